"""What goes wrong between the app and a model's server, and what comes of it on each wire: the table as data.

`python -m tests.backends.faults docs/faults.md` writes it down for people. Invariant: every cell is played
over real HTTP, by test_fault_table.py at the backend and by tests/coach/test_faults_of_a_turn.py as a turn.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.backends.fault import TWICE, WIRES, Fault, Outcome
from tests.backends.faults_of_http import NO_STREAM, NOWHERE, REFUSED
from tests.backends.faults_of_streams import BROKEN, DAMAGED, ITS_OWN, ODD, SLOW, TOLD
from tests.backends.voices import BEGUN, TEXT

TABLE: Mapping[str, Sequence[Fault]] = {
    "Refused before the answer": REFUSED,
    "No stream": NO_STREAM,
    "Slow": SLOW,
    "Cut": BROKEN,
    "Damaged": DAMAGED,
    "Told within the stream": TOLD,
    "Odd, and read all the same": ODD,
    "No way there": NOWHERE,
    "The model's own ends": ITS_OWN,
}
FAULTS = [fault for faults in TABLE.values() for fault in faults]
CELLS = [(fault, wire) for fault in FAULTS for wire in fault.wires]

_KEPT = {TEXT: "all of it", BEGUN: "what had come", TWICE: "all of it, each piece twice", "": "nothing"}
_HEAD = """# What goes wrong on the way to a model

Each row is something that goes wrong between the app and a model's server; each cell says what comes of it:
the outcome, what is kept of the answer, how often the question was sent, and the sentence that stands under
the answer. `{host}` is the server's host and port. "the same" is as in the first column; "-" cannot happen:
the local model is a server of our own, so what a proxy or a stranger's server does is left out there.

Every cell is played over real HTTP by the tests, at the backend and as a turn of a thread; this page is
written from the same table, by `python -m tests.backends.faults docs/faults.md`.

- **Sent again** is a question only while nothing of its answer has come: at most twice, after as long as the
  server asks, else after half a second and then a whole one, a little less or more by chance. When the time
  to the first word does not allow the wait, it fails at once and says how long the server asks to wait. A
  refused key, a bad request, a used-up quota or a web page are not tried again.
- **Kept** is every word that has come. After the first word nothing is sent again: the partial answer stays in
  the thread, and Continue goes on with it. Where nothing is kept, Answer again asks anew.
- In a turn, a backup (`COACH_FALLBACK`) answers in place of an error while nothing has come.
- Where an event comes twice and the wire numbers nothing, nobody can know: its text stands twice. So with words
  that are lost, where the wire does not tell all of them once more at the end.
- The limits in these rows are 0.5 s to the first word and 0.3 s between words; the real ones are 25 and 30 s,
  and 180 s for all of it.
"""


def page() -> str:
    """docs/faults.md."""
    return "\n".join([_HEAD, *(line for title, faults in TABLE.items() for line in _section(title, faults))])


def _section(title: str, faults: Sequence[Fault]) -> list[str]:
    rows = [f"| {fault.says} | {' | '.join(_cells(fault))} |" for fault in faults]
    return [f"## {title}", "", f"| | {' | '.join(WIRES.values())} |", "| --- " * (len(WIRES) + 1) + "|", *rows, ""]


def _cells(fault: Fault) -> list[str]:
    first = fault.on(fault.wires[0])
    out: list[str] = []
    for wire in WIRES:
        if wire not in fault.wires:
            out.append("-")
        elif wire != fault.wires[0] and fault.on(wire) == first:
            out.append("the same")
        else:
            out.append(_cell(fault.on(wire)))
    return out


def _cell(outcome: Outcome) -> str:
    sent = {1: "once", 2: "twice"}.get(outcome.requests, f"{outcome.requests} times")
    ending = {"stop": "answered", "tool_calls": "the tool is called", "refusal": "answered: a refusal"}
    ended = ending.get(outcome.finish, f"ends early: `{outcome.finish}`")
    told = f"**`{outcome.error}`**" if outcome.error else f"**{ended}**"
    kept = "" if outcome.called else f", {_KEPT[outcome.kept]} kept"
    sentence = f"<br>“{outcome.sentence}”" if outcome.sentence else ""
    return f"{told}{kept}, sent {sent}{sentence}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
