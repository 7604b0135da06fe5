"""A benchmark's table in its page of docs: between the page's marks, and nowhere else."""

from __future__ import annotations

from pathlib import Path


def put(path: Path, name: str, table: str) -> None:
    """Put `table` between the marks of `name` in the file at `path`, which is made where there is none."""
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    text = path.read_text("utf-8") if path.exists() else f"# {name.capitalize()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    path.write_text(f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}", "utf-8")
