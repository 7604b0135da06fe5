"""Who may do what: one table, asked by coach.py before everything it does.

Invariant: what is not in the table is forbidden. Whose threads and clients a person may see is part of
each query in store/; this table says only which kinds of action a role has at all.
"""

from __future__ import annotations

from typing import Literal, get_args

from coach_core.errors import NotAllowed
from coach_core.types import Actor, Role

Action = Literal[
    "chat",
    "threads",
    "clients",
    "knowledge.read",
    "knowledge.write",
    "personas.read",
    "personas.write",
    "metrics",
    "settings",
    "profiles",
    "operate",
]

ROLES: tuple[Role, ...] = ("owner", "admin", "coach", "client", "stakeholder")

_ALL: frozenset[Action] = frozenset(get_args(Action))

#: An admin tries personas in threads of their own; nobody's threads but one's own are ever shown.
TABLE: dict[Role, frozenset[Action]] = {
    "owner": _ALL,
    "admin": _ALL - {"operate", "clients"},
    "coach": frozenset({"chat", "threads", "clients", "knowledge.read", "personas.read", "metrics"}),
    "client": frozenset({"chat", "threads", "personas.read"}),
    "stakeholder": frozenset({"metrics"}),
}

_SENTENCES: dict[Action, str] = {
    "chat": "Your role cannot chat. Choose another profile at the bottom of the sidebar.",
    "threads": "Your role cannot read threads. Choose another profile at the bottom of the sidebar.",
    "clients": "Only a coach can see clients, and only their own. Choose another profile at the bottom of the sidebar.",
    "knowledge.read": "Your role cannot see the documents. Ask a coach or an admin.",
    "knowledge.write": "Only an admin can change the documents. Ask one, or choose another profile.",
    "personas.read": "Your role cannot see the personas. Choose another profile.",
    "personas.write": "Only an admin can change personas. Ask one, or choose another profile.",
    "metrics": "Your role cannot see the numbers. Ask an admin, or choose another profile.",
    "settings": "Only an admin can see the settings. Ask one, or choose another profile.",
    "profiles": "Only an admin can change profiles. Ask one, or choose another profile.",
    "operate": "Only the owner can do this. Choose the owner's profile.",
}


def allowed(role: Role, action: Action) -> bool:
    return action in TABLE.get(role, frozenset())


def require(actor: Actor, action: Action) -> None:
    """Raise NotAllowed with what to do, unless the actor's role has `action`."""
    if not allowed(actor.role, action):
        raise NotAllowed(_SENTENCES[action])
