"""Writes the list of files into docs/architecture.md, from the first line of each docstring: `make docs`."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("app.py", "pages/*.py", "coach_core/*.py", "coach_core/*/**/*.py", "benchmarks/*.py")
LEFT_OUT = re.compile(r"alembic/baseline/|__main__")


def main() -> None:
    page = ROOT / "docs" / "architecture.md"
    block = "<!-- files -->\n" + "\n".join(lines()) + "\n<!-- /files -->"
    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub("<!-- files -->.*<!-- /files -->", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def lines() -> list[str]:
    out: list[str] = []
    found = sorted(
        {p for place in PLACES for p in ROOT.glob(place)}, key=lambda p: (p.parent != ROOT, p.parent, p.name)
    )
    kept = [p for p in found if not LEFT_OUT.search(p.as_posix()) and said(p)]
    for folder, files in groupby(kept, key=lambda p: p.parent):
        out += ["", f"**{folder.relative_to(ROOT).as_posix()}/**" if folder != ROOT else "**At the top**", ""]
        out += [f"- `{path.name}` {said(path)}" for path in files]
    return out


def said(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


if __name__ == "__main__":
    main()
