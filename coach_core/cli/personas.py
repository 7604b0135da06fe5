"""`personas`: who answers, kept as versions; each is a TOML file when it leaves or comes in.

Invariant: `personas show --toml` prints what `create` and `edit` take by --from.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coach_core.cli import shell
from coach_core.errors import InputError, PersonaNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coach_core.coach import Coach
    from coach_core.types import Actor, Persona, PersonaDraft

app = typer.Typer(
    help="List, create, edit, copy and delete personas; go back to an earlier version.", no_args_is_help=True
)

Which = Annotated[str, typer.Argument(help="The persona's name or slug.", metavar="PERSONA")]
From = Annotated[Path | None, typer.Option("--from", help="A TOML file with any of the fields; - reads it from stdin.")]
Name = Annotated[str | None, typer.Option(help="The name that people see.")]
Instructions = Annotated[str | None, typer.Option(help="What it is told first; @FILE reads them from a file.")]
Greeting = Annotated[str | None, typer.Option(help="Its first words in a new thread.")]
EmptyState = Annotated[str | None, typer.Option(help="Its sentence on an empty page.")]
Starters = Annotated[list[str] | None, typer.Option("--starter", help="A question to begin with; several times.")]
BackendName = Annotated[str | None, typer.Option("--backend", help="Which backend answers; empty: the default.")]
Model = Annotated[str | None, typer.Option(help="Which model; empty: the default.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A parameter, several times: temperature=0.3, top_p, max_output_tokens, reasoning_effort, and in seconds "
        "first_token_timeout, token_timeout, turn_timeout.",
    ),
]
Unset = Annotated[
    list[str] | None, typer.Option("--unset", help="A parameter to leave to the endpoint and the settings again.")
]
State = Annotated[
    str | None,
    typer.Option(help="How the Responses API keeps a conversation: previous_response, conversation or stateless."),
]
Search = Annotated[
    str | None,
    typer.Option(help="Who searches the documents: local (the app), or hosted (the API, in copies kept there)."),
]
Background = Annotated[
    bool | None,
    typer.Option("--background/--no-background", help="Whether an answer runs on at the API when the line is cut."),
]
Assistant = Annotated[
    str | None, typer.Option(help="The id of an assistant that exists already (Assistants API); empty: none.")
]
Tools = Annotated[list[str] | None, typer.Option("--tool", help="A tool it may use; several times.")]
Sources = Annotated[list[str] | None, typer.Option("--collection", help="A collection it reads; several times.")]
Picture = Annotated[Path | None, typer.Option(help="A picture (PNG, JPEG, WebP).")]
Note = Annotated[str, typer.Option(help="What this version is for.")]


@app.command("list")
def list_personas(as_json: Annotated[bool, typer.Option("--json", help="As a JSON list.")] = False) -> None:
    """List the personas."""
    with shell.opened() as (coach, actor):
        found = coach.personas(actor)
        names = _collection_names(coach, actor)
    if as_json:
        shell.put_json([{"slug": p.slug, "version": p.version, **_fields(p.draft, names)} for p in found])
        return
    for p in found:
        reads = ", ".join(names.get(str(c), "a deleted collection") for c in p.draft.collections) or "no documents"
        shell.put(f"{p.slug:<16} v{p.version:<4} {p.name} ({reads})")


@app.command("show")
def show(
    persona: Which,
    as_toml: Annotated[bool, typer.Option("--toml", help="As a file for --from.")] = False,
) -> None:
    """Show one persona with everything it is told."""
    with shell.opened() as (coach, actor):
        found = coach.persona(actor, persona)
        fields = _fields(found.draft, _collection_names(coach, actor))
    if as_toml:
        shell.put(_toml(fields))
        return
    shell.put(f"{found.name} ({found.slug}), version {found.version} of {found.updated_at.astimezone():%Y-%m-%d %H:%M}")
    for key, value in fields.items():
        if value and key != "name":
            shell.put(f"\n{key}:\n{_readable(value)}")


@app.command("create")
def create(
    source: From = None,
    name: Name = None,
    instructions: Instructions = None,
    greeting: Greeting = None,
    empty_state: EmptyState = None,
    starters: Starters = None,
    backend: BackendName = None,
    model: Model = None,
    parameters: Parameters = None,
    unset: Unset = None,
    state: State = None,
    search: Search = None,
    background: Background = None,
    assistant: Assistant = None,
    tools: Tools = None,
    collections: Sources = None,
    picture: Picture = None,
    note: Note = "",
) -> None:
    """Create a persona from flags, a TOML file, or both (flags win).

    python -m coach_core personas create --name Sleep --instructions @sleep.txt --collection Handbook
    """
    flags = _flags(name, instructions, greeting, empty_state, starters, backend, model, tools, collections)
    chosen = _chosen(parameters, state, search, background, assistant)
    with shell.opened() as (coach, actor):
        saved = coach.save_persona(
            actor, _draft(coach, actor, {}, source, flags, picture, chosen, unset or ()), note=note
        )
    shell.say(f"{saved.name} is there as {saved.slug}, version {saved.version}.")


@app.command("edit")
def edit(
    persona: Which,
    source: From = None,
    name: Name = None,
    instructions: Instructions = None,
    greeting: Greeting = None,
    empty_state: EmptyState = None,
    starters: Starters = None,
    backend: BackendName = None,
    model: Model = None,
    parameters: Parameters = None,
    unset: Unset = None,
    state: State = None,
    search: Search = None,
    background: Background = None,
    assistant: Assistant = None,
    tools: Tools = None,
    collections: Sources = None,
    picture: Picture = None,
    note: Note = "",
) -> None:
    """Change what is named and save it as a new version; all else stays."""
    flags = _flags(name, instructions, greeting, empty_state, starters, backend, model, tools, collections)
    chosen = _chosen(parameters, state, search, background, assistant)
    with shell.opened() as (coach, actor):
        old = coach.persona(actor, persona)
        draft = _draft(coach, actor, old.draft.to_dict(), source, flags, picture, chosen, unset or ())
        if draft == old.draft:
            raise InputError("Nothing was changed. Name what to change; `personas edit --help` says how.")
        saved = coach.save_persona(actor, draft, old.id, note=note)
        shell.put(coach.persona_diff(actor, old.draft, saved.draft))
    shell.say(f"{saved.name} is now version {saved.version}.")


@app.command("duplicate")
def duplicate(persona: Which) -> None:
    """Make a copy to try changes on."""
    with shell.opened() as (coach, actor):
        copy = coach.duplicate_persona(actor, coach.persona(actor, persona).id)
    shell.say(f"{copy.name} is there as {copy.slug}.")


@app.command("delete")
def delete(persona: Which, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete a persona. Its threads stay readable; `undelete` brings it back."""
    with shell.opened() as (coach, actor):
        found = coach.persona(actor, persona)
        shell.confirmed(f"Delete the persona {found.name}?", yes)
        coach.delete_persona(actor, found.id)
    shell.say(f"{found.name} is deleted. `personas undelete {found.id}` brings it back.")


@app.command("undelete")
def undelete(persona: Annotated[str, typer.Argument(help="The id that delete told.", metavar="ID")]) -> None:
    """Bring a deleted persona back."""
    with shell.opened() as (coach, actor):
        coach.undelete_persona(actor, shell.as_uuid(persona, PersonaNotFound))
    shell.say("It is back.")


@app.command("versions")
def versions(
    persona: Which,
    diff: Annotated[int | None, typer.Option(help="Show what the version after this one changed.")] = None,
) -> None:
    """List the versions of a persona, the latest first."""
    with shell.opened() as (coach, actor):
        found = coach.persona(actor, persona)
        known = sorted(coach.persona_versions(actor, found.id), key=lambda v: -v.version)
        if diff is not None:
            by_number = {v.version: v.draft for v in known}
            if diff not in by_number:
                raise InputError(f"There is no version {diff}; there are 1 to {known[0].version}.")
            shell.put(coach.persona_diff(actor, by_number[diff], by_number.get(diff + 1, by_number[diff])))
            return
    for v in known:
        shell.put(f"v{v.version:<4} {v.created_at.astimezone():%Y-%m-%d %H:%M}  {v.created_by or 'unknown'}  {v.note}")


@app.command("restore")
def restore(
    persona: Which, version: Annotated[int, typer.Argument(help="The version's number, from `versions`.", min=1)]
) -> None:
    """Go back to an earlier version; it is saved as the newest."""
    with shell.opened() as (coach, actor):
        saved: Persona = coach.restore_persona(actor, coach.persona(actor, persona).id, version)
    shell.say(f"{saved.name} is as in version {version}, saved as version {saved.version}.")


def _flags(
    name: str | None,
    instructions: str | None,
    greeting: str | None,
    empty_state: str | None,
    starters: list[str] | None,
    backend: str | None,
    model: str | None,
    tools: list[str] | None,
    collections: list[str] | None,
) -> dict[str, Any]:
    """The fields that were named on the command line."""
    if instructions is not None and instructions.startswith("@"):
        instructions = _text(Path(instructions[1:]))
    given: dict[str, Any] = {
        "name": name,
        "instructions": instructions,
        "greeting": greeting,
        "empty_state": empty_state,
        "starters": starters,
        "backend": backend,
        "model": model,
        "tools": tools,
        "collections": collections,
    }
    return {key: value for key, value in given.items() if value is not None and value != []}


def _chosen(
    parameters: list[str] | None, state: str | None, search: str | None, background: bool | None, assistant: str | None
) -> dict[str, Any]:
    """The parameters that were named on the command line; None for one that is taken out."""
    chosen = dict(_parameter(p) for p in parameters or ())
    if assistant is not None:
        chosen["assistant_id"] = assistant.strip() or None
    given = {"state": state, "search": search, "background": background}
    return chosen | {name: value for name, value in given.items() if value is not None}


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{text!r} is no parameter. Write it as temperature=0.3.")
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value.strip()


def _draft(
    coach: Coach,
    actor: Actor,
    old: dict[str, Any],
    source: Path | None,
    flags: dict[str, Any],
    picture: Path | None,
    chosen: dict[str, Any],
    unset: Sequence[str],
) -> PersonaDraft:
    from coach_core.types import PersonaDraft

    new = (_read_toml(source) if source else {}) | flags
    known = {f.name for f in dataclasses.fields(PersonaDraft)} - {"picture_id"}
    unknown = sorted(new.keys() - known)
    if unknown:
        raise InputError(f"There is no field called {unknown[0]!r}. There are: {', '.join(sorted(known))}.")
    if "collections" in new:
        new["collections"] = [shell.collection_named(coach, actor, str(name)).id for name in new["collections"]]
    if picture is not None:
        new["picture_id"] = coach.attach(actor, picture.name, shell.read_file(picture)).id
    merged = old | new
    for key, kind in (("starters", list), ("tools", list), ("parameters", dict), ("name", str), ("instructions", str)):
        if not isinstance(merged.get(key, kind()), kind):
            raise InputError(f"The field {key} must be {'a table' if kind is dict else f'a {kind.__name__}'}.")
    parameters = {**merged.get("parameters", {}), **chosen}
    if unknown := [name for name in unset if name not in parameters]:
        raise InputError(f"The parameter {unknown[0]!r} is not set. Set are: {', '.join(parameters) or 'none'}.")
    merged["parameters"] = {k: v for k, v in parameters.items() if k not in unset and v is not None}
    return PersonaDraft.from_dict({"name": "", **merged})


def _read_toml(path: Path) -> dict[str, Any]:
    text = sys.stdin.read() if str(path) == "-" else _text(path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None


def _text(path: Path) -> str:
    try:
        return shell.read_file(path).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None


def _collection_names(coach: Coach, actor: Actor) -> dict[str, str]:
    from coach_core import access

    if not access.allowed(actor.role, "knowledge.read"):
        return {}
    return {str(c.id): c.name for c in coach.collections(actor)}


def _fields(draft: PersonaDraft, names: dict[str, str]) -> dict[str, Any]:
    """The draft with collections by name and without the picture's id, which means nothing elsewhere."""
    fields = {k: v for k, v in draft.to_dict().items() if k != "picture_id"}
    fields["collections"] = [names.get(c, c) for c in fields["collections"]]
    return fields


def _toml(fields: dict[str, Any]) -> str:
    """Strings and lists as JSON writes them are TOML too; the parameters, a table, come last."""
    lines = [f"{key} = {_toml_value(value)}" for key, value in fields.items() if not isinstance(value, dict)]
    for key, table in fields.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *(f"{k} = {_toml_value(v)}" for k, v in table.items())]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        inner = value.replace("\\", "\\\\").replace('"""', '""\\"')
        inner = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", inner)
        # A quote at the end would run into the closing ones.
        return '"""\n' + (inner[:-1] + '\\"' if inner.endswith('"') else inner) + '"""'
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _readable(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"  - {item}" for item in value)
    if isinstance(value, dict):
        return "\n".join(f"  {k} = {v}" for k, v in value.items())
    return "\n".join(f"  {line}" for line in str(value).splitlines())
