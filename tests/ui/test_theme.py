"""The theme measured: WCAG 2 AA contrast of every pair that text is drawn in, and its fonts are here."""

from __future__ import annotations

import tomllib
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
THEME: dict[str, Any] = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
TEXT, LARGE = 4.5, 3.0


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read(mode: str) -> None:
    theme = THEME[mode]
    grounds = [theme["backgroundColor"], theme["secondaryBackgroundColor"]]
    grounds += [theme["sidebar"]["backgroundColor"], theme["sidebar"]["secondaryBackgroundColor"]]
    inks = [theme["textColor"], theme["linkColor"], theme["grayTextColor"]]
    weak = {(i, g): contrast(i, g) for i, g in product(inks, grounds) if contrast(i, g) < TEXT}
    assert not weak
    for name in ("red", "orange", "yellow", "blue", "green", "violet", "gray"):
        ink = theme[f"{name}TextColor"]
        assert contrast(ink, theme[f"{name}BackgroundColor"]) >= TEXT, name
        assert contrast(ink, theme["backgroundColor"]) >= TEXT, name
    assert contrast(theme["codeTextColor"], theme["codeBackgroundColor"]) >= TEXT
    assert contrast(theme["dataframeHeaderTextColor"], theme["dataframeHeaderBackgroundColor"]) >= TEXT
    assert contrast("#ffffff", theme["primaryColor"]) >= TEXT  # the words on a primary button


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_lines_of_charts_stand_out_and_differ(mode: str) -> None:
    theme = THEME[mode]
    colours = theme["chartCategoricalColors"]
    assert all(contrast(c, theme["backgroundColor"]) >= LARGE for c in colours)
    assert len(set(colours)) == len(colours) == 8
    scale = [luminance(c) for c in theme["chartSequentialColors"]]
    assert len(scale) == 10
    assert all(a > b for a, b in pairwise(scale)) if mode == "light" else all(a < b for a, b in pairwise(scale))


def test_every_font_is_here_with_its_licence() -> None:
    for face in THEME["fontFaces"]:
        file = ROOT / face["url"].removeprefix("app/")
        assert file.read_bytes()[:4] == b"wOF2", file
    licences = [p.read_text() for p in (ROOT / "static" / "fonts").glob("*.OFL.txt")]
    assert len(licences) == 2
    assert all("SIL OPEN FONT LICENSE Version 1.1" in text for text in licences)
