"""How far passages are found by meaning, in one sentence."""

from __future__ import annotations

import pytest

from coach_core.types import EmbeddingProgress
from pages._search_models import about, said


@pytest.mark.parametrize(
    ("state", "done", "total", "share", "sentence"),
    [
        (EmbeddingProgress(), 0, 0, None, ""),
        (
            EmbeddingProgress(1200, 7177, "e5", seconds=180.0),
            1200,
            7177,
            1200 / 7177,
            "Found by words already; by meaning 1,200 of 7,177 passages, about 3 min left",
        ),
        (
            EmbeddingProgress(1200, 7177, "new", "old"),
            500,
            500,
            1200 / 7177,
            "The new model has read 1,200 of 7,177 passages; the old one finds them until then",
        ),
        (
            EmbeddingProgress(0, 9, "new", "", trouble="It cannot be reached."),
            0,
            9,
            0.0,
            "Found by words already; by meaning 0 of 9 passages. It cannot be reached.",
        ),
        (
            EmbeddingProgress(9, 9, "far", trouble="It cannot be reached.", alone=True),
            5,
            5,
            None,
            ":material/cloud_off: Passages are found by words alone for now. It cannot be reached.",
        ),
        (
            EmbeddingProgress(9, 9, "far", trouble="It cannot be reached.", instead="e5"),
            5,
            5,
            None,
            ":material/cloud_off: It cannot be reached. Until it answers, the model before finds passages by meaning",
        ),
        (
            EmbeddingProgress(9, 9, "e5"),
            5,
            5,
            None,
            ":material/done_all: All 5 passages are found by words and by meaning",
        ),
    ],
)
def test_the_line(state: EmbeddingProgress, done: int, total: int, share: float | None, sentence: str) -> None:
    assert said(state, done, total) == (share, sentence)


def test_times() -> None:
    assert [about(s) for s in (0.2, 40, 95, 3600, 9000)] == [
        "about 1 s",
        "about 40 s",
        "about 2 min",
        "about 60 min",
        "about 2.5 h",
    ]
