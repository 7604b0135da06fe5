"""`endpoints`: where models are served, several at once, each with its own key, facts and live test.

Invariant: a key is never an argument, only the name of the variable that holds it; `add` and `edit` take the
same options.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coach_core.cli import shell
from coach_core.errors import InputError

if TYPE_CHECKING:
    from coach_core.coach import Coach
    from coach_core.types import Actor, EndpointDraft, EndpointInfo, Trial, Vendor

app = typer.Typer(
    help="List, add, test and remove endpoints: servers and vendors that answer beside the settings' own.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="What threads, personas and settings call it.", metavar="NAME")]
VendorName = Annotated[str, typer.Option("--vendor", help="Begin with what is known of it; `vendors` lists them.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="Its address, such as http://127.0.0.1:8000/v1.")]
WireName = Annotated[str | None, typer.Option("--wire", help="The protocol; `vendors` shows which a vendor speaks.")]
KeyVariable = Annotated[
    str | None, typer.Option("--key-variable", help="The variable in .env that holds its key; empty: it wants none.")
]
ModelName = Annotated[str | None, typer.Option("--model", help="The model's name there.")]
Facts = Annotated[
    list[str] | None,
    typer.Option("--fact", help="A fact as name=value, the value as JSON; several times. name= takes it away."),
]
Test = Annotated[bool, typer.Option("--test", help="Ask it a small question first; it is not saved if that fails.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """The endpoints there are, with the state of each key."""
    with shell.opened() as (coach, actor):
        infos = coach.endpoints(actor)
        if as_json:
            shell.put_json([_plain(i) for i in infos])
            return
        for info in infos:
            _line(info)
        if not infos:
            shell.say("No endpoint yet. `endpoints vendors` lists what can be added, `endpoints add --help` says how.")


@app.command()
def vendors(as_json: AsJson = False) -> None:
    """The vendors and servers that are known: their address, the variable of their key, what they take."""
    with shell.opened() as (coach, actor):
        known, wires = coach.vendors(actor), coach.endpoint_wires(actor)
    if as_json:
        shell.put_json([dataclasses.asdict(v) for v in known])
        return
    for vendor in known:
        shell.put(f"{vendor.name:<18} {vendor.label}")
        for text in (vendor.base_url, vendor.key_variable, ", ".join(w for w in vendor.wires if w in wires)):
            if text:
                shell.put(f"{'':<18} {text}")
        if vendor.note:
            shell.put(f"{'':<18} {vendor.note}")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """All that is stated of an endpoint."""
    with shell.opened() as (coach, actor):
        info = coach.endpoint(actor, name)
        uses = coach.endpoint_uses(actor, name)
    if as_json:
        shell.put_json(_plain(info) | {"uses": uses})
        return
    _line(info)
    for fact, value in sorted(info.draft.profile.items()):
        shell.put(f"  {fact} = {json.dumps(value, ensure_ascii=False)}")
    if uses:
        shell.put(f"  used: {'; '.join(uses)}")


@app.command()
def add(
    name: Name,
    vendor: VendorName = "custom",
    base_url: BaseUrl = None,
    wire: WireName = None,
    key_variable: KeyVariable = None,
    model: ModelName = None,
    fact: Facts = None,
    test: Test = False,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. Its key stays in .env, under the variable that is named here.

    python -m coach_core endpoints add groq --vendor groq --model llama-3.3-70b-versatile --test
    """
    from coach_core.types import EndpointDraft

    with shell.opened() as (coach, actor):
        known = _vendor(coach, actor, vendor)
        begun = EndpointDraft(name, known.base_url, known.wires[0], known.key_variable, "", dict(known.profile))
        draft = _changed(begun, base_url, wire, key_variable, model, fact)
        _saved(coach, actor, draft, None, test, as_json)


@app.command()
def edit(
    name: Name,
    base_url: BaseUrl = None,
    wire: WireName = None,
    key_variable: KeyVariable = None,
    model: ModelName = None,
    fact: Facts = None,
    test: Test = False,
    as_json: AsJson = False,
) -> None:
    """Change what is named; the rest stays. It holds from the next question on, also in an app that runs."""
    with shell.opened() as (coach, actor):
        info = coach.endpoint(actor, name)
        draft = _changed(info.draft, base_url, wire, key_variable, model, fact)
        _saved(coach, actor, draft, info, test, as_json)


@app.command("test")
def test_(name: Name, as_json: AsJson = False) -> None:
    """Ask an endpoint, or any backend, one small question. The exit code is 1 when it does not answer."""
    with shell.opened() as (coach, actor):
        found = coach.test_backend(actor, name)
    _trial(found, as_json)
    if found.state != "ok":
        raise typer.Exit(1)


@app.command()
def models(name: Name, as_json: AsJson = False) -> None:
    """The models that an endpoint's server lists."""
    with shell.opened() as (coach, actor):
        found = coach.list_models(actor, coach.endpoint(actor, name).draft)
    if as_json:
        shell.put_json(found)
    elif found:
        shell.put("\n".join(found))
    else:
        shell.say("Its server lists no models.")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take an endpoint off the list. What names it is answered by another backend, with a notice."""
    with shell.opened() as (coach, actor):
        info = coach.endpoint(actor, name)
        uses = coach.endpoint_uses(actor, name)
        used = f" It is in use ({'; '.join(uses)})." if uses else ""
        shell.confirmed(f"Remove the endpoint {name}?{used}", yes)
        coach.delete_endpoint(actor, info.id)
    shell.say(f"{name} is removed.{used and ' Another backend answers in its place.'}")


def _vendor(coach: Coach, actor: Actor, name: str) -> Vendor:
    known = {v.name: v for v in coach.vendors(actor)}
    if name not in known:
        raise InputError(f"There is no vendor called {name!r}. There are: {', '.join(known)}.")
    return known[name]


def _changed(
    draft: EndpointDraft,
    base_url: str | None,
    wire: str | None,
    key_variable: str | None,
    model: str | None,
    given: list[str] | None,
) -> EndpointDraft:
    profile = dict(draft.profile)
    for name, value in (_fact(text) for text in given or ()):
        if value is None:
            profile.pop(name, None)
        else:
            profile[name] = value
    named = {"base_url": base_url, "wire": wire, "key_variable": key_variable, "model": model}
    return dataclasses.replace(draft, profile=profile, **{k: v for k, v in named.items() if v is not None})


def _fact(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError("A fact is written as name=value, such as stream_options=false.")
    if not value.strip():
        return name.strip(), None
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        if value.strip()[:1] in "[{":
            raise InputError(f"The value of {name.strip()} is not JSON.") from None
        return name.strip(), value.strip()


def _saved(
    coach: Coach, actor: Actor, draft: EndpointDraft, before: EndpointInfo | None, test: bool, as_json: bool
) -> None:
    found = coach.test_endpoint(actor, draft) if test else None
    if found is not None and found.state == "fail":
        _trial(found, as_json)
        shell.say(f"{draft.name} is not saved.")
        raise typer.Exit(1)
    info = coach.save_endpoint(actor, draft, before.id if before else None)
    if as_json:
        shell.put_json(_plain(info) | ({"test": dataclasses.asdict(found)} if found else {}))
        return
    _line(info)
    if found is not None:
        _trial(found, as_json)
    else:
        shell.say(f"Try it: python -m coach_core endpoints test {info.draft.name}")


def _line(info: EndpointInfo) -> None:
    draft = info.draft
    key = {"none": "no key needed"}.get(info.key, f"{draft.key_variable or 'key'} {info.key}")
    shell.put(f"{draft.name:<18} {draft.wire:<18} {draft.base_url}")
    shell.put(f"{'':<18} {draft.model or 'no model named'}, {key}")
    for text in (info.why, info.note):
        if text:
            shell.put(f"{'':<18} {text}")


def _trial(found: Trial, as_json: bool) -> None:
    if as_json:
        shell.put_json(dataclasses.asdict(found))
        return
    state = f"{found.state:<4}"
    if sys.stdout.isatty():
        state = typer.style(state, fg=shell.COLOURS[found.state])
    shell.put(f"{state}  {found.name}  {found.detail}")
    if found.mend:
        shell.put(f"      {found.mend}")


def _plain(info: EndpointInfo) -> dict[str, Any]:
    plain = dataclasses.asdict(info)
    return {"id": plain["id"], **plain["draft"], **{k: plain[k] for k in ("key", "why", "host", "note")}}
