"""The design's table, read off the source: imports point down only, and each thing has its place."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from coach_core.backends import BACKENDS

ROOT = Path(__file__).resolve().parent.parent
#: From the top down. Parts on one line never import each other, but for the last line's plain values.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in (
        "app pages ui cli server __main__",
        "coach migrate",
        "jobs",
        "runner channels compare",
        "turn routing",
        "context",
        "backends tools memory knowledge clients personas metrics limits guard care privacy prices",
        "search",
        "store",
        "types errors settings access tokens words welcome",
    )
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
#: On the top line a page draws with ui, and the entry points start what they are entries to.
SIDEWAYS = {("pages", "ui"), ("app", "ui"), ("app", "server"), ("__main__", "cli")}
SETTINGS_READERS = {"coach", "cli", "__main__", "app", "settings"}
VENDOR = re.compile(
    r"openai|anthropic|claude|gemini|mistral|groq|ollama|azure|whatsapp|instagram|facebook"
    r"|llama[ ._-]?(?:cpp|stack|index|\d)",  # by itself it is a Spanish word
    re.IGNORECASE,
)
#: How the world's own variables are called; sentences that say how to mend something name them.
VARIABLES = re.compile(r"OPENAI_(API_KEY|BASE_URL)")
SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s|PRAGMA\s|WITH\s.+\sAS)\b",
    re.S,
)
DATABASES = {"sqlalchemy", "sqlmodel", "sqlite3", "psycopg", "alembic", "pgvector"}


def sources() -> list[Path]:
    found = [
        *sorted((ROOT / "coach_core").rglob("*.py")),
        *sorted((ROOT / "pages").glob("*.py")),
        ROOT / "app.py",
    ]
    return [path for path in found if path.exists()]


def part_of(path: Path) -> str:
    """The part of the table that a file belongs to: `coach_core/store/turns.py` is `store`."""
    return part_named(path.relative_to(ROOT).with_suffix("").parts)


def part_named(names: Sequence[str]) -> str:
    """`search/words.py` is a part of its own: how text becomes words, which the store's own index needs too."""
    if names[0] != "coach_core":
        return names[0]
    below = names[1:]
    if tuple(below[:2]) in {("search", "words"), ("search", "stopwords")}:
        return "words"
    return below[0] if below else "__init__"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} uses a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each string that is not a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imports(path):
        if name.startswith("coach_core."):
            yield line, part_named(name.split("."))
        elif name.split(".")[0] in {"pages", "app"}:
            yield line, name.split(".")[0]


def at(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_part_is_in_the_table() -> None:
    parts = {part_of(path) for path in sources()} - {"__init__"}
    assert parts <= LEVEL.keys(), "new parts need a place in LAYERS"


def test_imports_point_down_only() -> None:
    wrong = []
    for path in sources():
        part = part_of(path)
        for line, other in own_imports(path):
            if part in (other, "__init__") or not {part, other} <= LEVEL.keys():
                continue
            plain_values = LEVEL[part] == LEVEL[other] == len(LAYERS) - 1 and part != "types"
            if LEVEL[other] <= LEVEL[part] and not plain_values and (part, other) not in SIDEWAYS:
                wrong.append(f"{at(path, line)}: {part} imports {other}")
            if other == "settings" and part not in SETTINGS_READERS:
                wrong.append(f"{at(path, line)}: only coach and cli read settings")
    assert not wrong, "\n".join(wrong)


def test_streamlit_stays_in_pages_and_ui() -> None:
    wrong = [
        at(path, line)
        for path in sources()
        if part_of(path) not in {"pages", "ui", "app"}
        for line, name in imports(path)
        if name.split(".")[0] == "streamlit"
    ]
    # `serve` starts the server; it knows the program's name but draws nothing.
    assert not [place for place in wrong if not place.startswith("coach_core/cli/serve.py")], wrong


def test_databases_stay_in_store_and_search() -> None:
    wrong = [
        at(path, line)
        for path in sources()
        if part_of(path) not in {"store", "search"}
        for line, name in imports(path)
        if name.split(".")[0] in DATABASES and name != "sqlalchemy.Connection"  # handed on, not spoken to
    ]
    wrong += [
        at(path, line)
        for path in sources()
        if part_of(path) not in {"store", "search"}
        for line, text in strings(path)
        if SQL.match(text)
    ]
    assert not wrong, wrong


def test_vendors_stay_in_backends_channels_and_settings() -> None:
    wrong = []
    for path in sources():
        if part_of(path) in {"backends", "channels", "settings"} or path.stem == "settings":
            continue
        # coach builds the concrete parts, so it names them by their keys.
        keys = BACKENDS.keys() if part_of(path) == "coach" else ()
        named = [(line, name) for line, name in imports(path)]
        named += [(line, VARIABLES.sub("", text)) for line, text in strings(path) if text not in keys]
        named += [
            (node.lineno, node.id)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Name)
        ]
        wrong += [f"{at(path, line)}: {text[:60]!r}" for line, text in named if VENDOR.search(text)]
    assert not wrong, "\n".join(wrong)


def test_types_and_errors_import_nothing_of_the_project() -> None:
    for path in (ROOT / "coach_core" / "errors.py", *sorted((ROOT / "coach_core" / "types").glob("*.py"))):
        assert {name for _, name in own_imports(path)} <= {"types"}, path


def test_what_is_imported_is_pinned() -> None:
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = {_plain(m) for m in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[.*\])?==", pins, re.MULTILINE)}
    providers = packages_distributions()
    missing = set()
    for path in sources():
        for line, name in imports(path):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in {"coach_core", "pages", "app"}:
                continue
            if not pinned & {_plain(dist) for dist in providers.get(top, [])}:
                missing.add(f"{at(path, line)}: {top}")
    assert not missing, "add to requirements.txt: " + ", ".join(sorted(missing))


def test_constraints_pin_everything_once() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = [_plain(line.split("==")[0]) for line in lines if line and not line.startswith("#")]
    assert len(names) == len(set(names))
    assert all("==" in line for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_small_and_say_what_holds(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 520, "no module over about 500 lines"
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "the module docstring states the invariant"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
