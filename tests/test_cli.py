"""The command line as a person and a script meet it: what goes where, with which exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.cli import VERSION, exit_code, main, personas
from coach_core.coach import Coach
from coach_core.errors import BadSetting, CoachError, DatabaseUnreachable, EmptyMessage, NotAllowed, ThreadNotFound
from coach_core.settings import ROOT, Settings
from coach_core.types import Event, PersonaDraft, ThreadQuery

HEAVY = ("streamlit", "openai", "sqlalchemy", "numpy", "pandas", "pydantic", "onnxruntime", "coach_core.coach")
WORDS_ALONE = "./nowhere"
SLOW_SCRIPT = json.dumps({"tokens_per_second": 20, "steps": ["word " * 400]})


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(used: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run one command line in this process; whatever it says, it never shows a traceback."""

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ran(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], None]]:
    def play(script: object) -> None:
        monkeypatch.setenv("COACH_BACKEND", "scripted")
        monkeypatch.setenv("COACH_SCRIPT", script if isinstance(script, str) else json.dumps(script))

    yield play


def thread_of(ran: Ran) -> str:
    return next(line.removeprefix("thread ") for line in ran.err.splitlines() if line.startswith("thread "))


# -- the whole ---------------------------------------------------------------------------------------


def test_help_needs_no_heavy_part() -> None:
    look = f"import sys, coach_core.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_and_version(run: Run) -> None:
    for command in (
        "ask",
        "ingest",
        "uploads",
        "search",
        "threads",
        "personas",
        "doctor",
        "backup",
        "restore",
        "cleanup",
        "serve",
    ):
        helped = run(command, "--help")
        assert helped.code == 0 and "Usage" in helped.out, command
    assert run("--version").out.strip() == f"coach_core {VERSION}"
    assert run("nonsense").code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EmptyMessage, 2),
        (ThreadNotFound, 2),
        (BadSetting, 2),
        (NotAllowed, 1),
        (DatabaseUnreachable, 1),
        (CoachError, 1),
    ],
)
def test_exit_codes(error: type[CoachError], code: int) -> None:
    assert exit_code(error()) == code


def test_what_nobody_expected_is_one_sentence_and_in_the_log(
    run: Run, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(Coach, "search", broken)
    ran = run("search", "anything")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "ZeroDivisionError: canary" in (used / "coach.log").read_text()


# -- ask ---------------------------------------------------------------------------------------------


def test_ask_answers_without_a_key_and_names_its_sources(run: Run) -> None:
    ran = run("ask", "How do I plan my time and set goals?")
    assert ran.code == 0
    assert "[1]" in ran.out and "\nSources:\n  [1] " in ran.out
    again = run("ask", "--thread", thread_of(ran), "And the day before?")
    assert again.code == 0 and thread_of(again) == thread_of(ran)
    assert run("threads", "show", thread_of(ran)).out.count("## You") == 2


def test_ask_json_is_one_event_a_line(run: Run) -> None:
    ran = run("ask", "--json", "How do I plan my time?")
    events = [Event.from_dict(json.loads(line)) for line in ran.out.splitlines()]
    assert ran.code == 0 and ran.err.startswith("thread ")
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "start" and (events[-1].kind, events[-1].status) == ("done", "completed")
    assert len({e.turn for e in events}) == 1 and any(e.kind == "text" for e in events)


def test_ask_reads_a_dash_from_stdin(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "question").write_text("What is a goal?")
    with (tmp_path / "question").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("ask", "-").code == 0


@pytest.mark.parametrize(
    "text", ["שלום, מה שלומך היום?", "🧗‍♀️🫶🏽 ?", "bell\x07 and \x1b[31mred\x1b[0m\x00 nul", "\udcff lone"], ids=ascii
)
def test_ask_takes_any_text(run: Run, text: str) -> None:
    ran = run("ask", text)
    assert ran.code == 0
    assert "\x00" not in run("threads", "show", thread_of(ran)).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ask", ""), "empty"),
        (("ask", " \n\t"), "empty"),
        (("ask", "a" * 100_000), "100,000 characters"),
        (("ask", "--thread", "nonsense", "hello"), "does not exist"),
        (("ask", "--thread", "0199c1a0-0000-7000-8000-000000000000", "hello"), "does not exist"),
        (("ask", "--persona", "nobody", "hello"), "no persona called 'nobody'"),
        (("ask", "--backend", "nothing", "hello"), "nothing"),
        (("--profile", "nobody", "ask", "hello"), "no profile called 'nobody'"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_ask_refuses_in_one_sentence(run: Run, used: Path, arguments: tuple[str, ...], says: str) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "") and says in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert run("threads", "list").out == "", "nothing is left behind"


def test_ask_attaches_files(run: Run, tmp_path: Path, scripted: Callable[[object], None]) -> None:
    scripted(["done"])
    note = tmp_path / "note.txt"
    note.write_text("My week is full of meetings.")
    ran = run("ask", "--file", str(note), "What does it say?")
    assert ran.code == 0 and "note.txt" in run("threads", "show", thread_of(ran)).out
    (tmp_path / "empty.txt").touch()
    assert run("ask", "--file", str(tmp_path / "empty.txt"), "And this?").code == 2


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (["so far ", {"error": "server_failed"}], "error of its own"),
        ([{"error": "auth_failed"}], "refused the key"),
        (["half ", {"cut": True}], "cut off"),
        (["half", {"done": "incomplete", "finish_reason": "length"}], "not complete"),
    ],
    ids=("failed", "key", "cut", "incomplete"),
)
def test_only_a_completed_turn_is_a_success(
    run: Run, scripted: Callable[[object], None], script: list[object], says: str
) -> None:
    scripted(script)
    ran = run("ask", "hello")
    assert ran.code == 1 and says in ran.err
    assert (run("ask", "--json", "hello")).code == 1


@pytest.mark.parametrize("how", [signal.SIGINT], ids=["Ctrl-C"])
def test_ctrl_c_stops_the_answer_and_keeps_it(used: Path, how: signal.Signals) -> None:
    env = os.environ | {"COACH_BACKEND": "scripted", "COACH_SCRIPT": SLOW_SCRIPT}
    with subprocess.Popen(
        [sys.executable, "-m", "coach_core", "ask", "--json", "hello"],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        heard = 0
        for line in process.stdout:
            heard += json.loads(line)["kind"] == "text"
            if heard == 3:
                process.send_signal(how)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()
    coach = Coach.from_settings(Settings(home=used, embedder=WORDS_ALONE), background=False)
    try:
        actor = coach.owner()
        hits, _ = coach.threads(actor, ThreadQuery())
        answer = coach.messages(actor, hits[0].thread.id)[-1]
        assert answer.status == "cancelled" and answer.text.startswith("word word word") and len(answer.text) < 1000
    finally:
        coach.close()


def test_a_reader_that_leaves_is_no_traceback(used: Path) -> None:
    env = os.environ | {"COACH_BACKEND": "scripted", "COACH_SCRIPT": json.dumps(["word " * 3000])}
    command = f"'{sys.executable}' -m coach_core ask --json hello | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert json.loads(done.stdout)["kind"] == "start"


# -- ingest and search -------------------------------------------------------------------------------


def test_a_quote_reads_in_the_terminal_as_in_the_document(run: Run, tmp_path: Path) -> None:
    said = "To train a peregrine falcon keep **steady** [hours](http://a.example) at home_now, :material/home: and $x$."
    (tmp_path / "hours.txt").write_text(f"{said} It is the same for each of the other hawks.\n")
    ran = run("ask", "--file", str(tmp_path / "hours.txt"), "How do I train a peregrine falcon to keep steady hours?")
    assert said in ran.out and "\\" not in ran.out


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    (folder / "falcons.md").write_text("# Falcons\n\nA peregrine falcon stoops at three hundred kilometres an hour.\n")
    (folder / "deep" / "bread.txt").write_text("Sourdough needs a lively starter and a slow night in the cold.\n")
    (folder / "deep" / ".hidden" / "secret.txt").write_text("hidden")
    (folder / "program.exe").write_bytes(b"MZ\x90\x00")
    return folder


def test_ingest_walks_and_search_finds(run: Run, papers: Path) -> None:
    ran = run("ingest", str(papers), "--collection", "Birds and bread", "--words-only")
    assert (ran.code, ran.out) == (0, "")
    assert "2 documents" in ran.err and "Passed over: 1" in ran.err
    found = json.loads(run("search", "peregrine stoop", "-c", "birds and BREAD", "--k", "3", "--json").out)
    assert found[0]["document"] == "falcons.md" and "peregrine" in found[0]["text"]
    assert {"text", "document", "page", "score"} <= found[0].keys() and 0 < found[0]["score"] <= 1
    assert "deep/bread.txt" in run("search", "sourdough", "-c", "Birds and bread", "--json").out
    assert "Falcons" in run("search", "peregrine").out
    away = run("search", "Which bread did the peregrine of Zanzibar invoice in Ravenna in 1887?")
    assert "No passage answers this; these are the nearest." in away.err and "Falcons" in away.out
    assert "No passage answers" not in run("search", "peregrine stoop").err
    again = run("ingest", str(papers), "-c", "Birds and bread", "--words-only")
    assert again.code == 0 and "2 documents" in again.err, "what is there already is not taken in twice"


def test_replace_puts_the_new_file_in_the_place_of_the_old(run: Run, papers: Path) -> None:
    run("ingest", str(papers / "falcons.md"), "-c", "Birds", "--words-only")
    (papers / "falcons.md").write_text("# Kestrels\n\nA kestrel hovers above the meadow.\n")
    ran = run("ingest", str(papers / "falcons.md"), "-c", "Birds", "--words-only", "--replace")
    assert ran.code == 0 and "1 documents" in ran.err
    assert "kestrel" in run("search", "kestrel", "-c", "Birds").out
    assert json.loads(run("search", "peregrine", "-c", "Birds", "--json").out) == []


def test_a_bad_file_costs_only_itself(run: Run, papers: Path) -> None:
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    (papers / "empty.txt").touch()
    ran = run("ingest", str(papers), "-c", "Mixed", "--words-only")
    assert ran.code == 1
    assert "broken.pdf: " in ran.err and "empty.txt: " in ran.err and "2 of 4 files" in ran.err
    assert "2 documents" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ingest", "/nowhere/at/all.pdf", "-c", "X"), "does not exist"),
        (("ingest", "{empty}", "-c", "X"), "no file here"),
        (("ingest", "{empty}", "-c", " "), "needs a name"),
        (("search", "x", "-c", "Nothing"), "no collection called 'Nothing'"),
        (("search", "  "), "empty"),
        (("search", "x", "--k", "0"), "--k"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_bad_input_of_the_library(run: Run, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    ran = run(*(a.replace("{empty}", str(tmp_path)) if a == "{empty}" else a for a in arguments))
    assert ran.code == 2 and says in ran.err


def test_meaning_finds_what_no_word_does(
    run: Run, used: Path, papers: Path, embedder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    coach = Coach.from_settings(Settings(home=used, embedder=WORDS_ALONE), background=False)
    for collection in coach.collections(coach.owner()):  # else all of it would be embedded here
        coach.delete_collection(coach.owner(), collection.id)
    coach.close()
    monkeypatch.setenv("COACH_EMBEDDER", embedder)
    assert run("ingest", str(papers), "-c", "Mixed").code == 0
    found = json.loads(run("search", "a very fast bird of prey", "-c", "Mixed", "--json").out)
    assert found[0]["document"] == "falcons.md" and found[0]["rank_meaning"] == 1
    assert run("ask", "--persona", "general", "How do I plan my time?").code == 0


def test_a_search_by_words_alone_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COACH_EMBEDDER", "http://127.0.0.1:9/v1#small")
    ran = run("search", "How do I plan my time?", "--json")
    assert ran.code == 0 and json.loads(ran.out)
    assert "(by words alone: The embedding endpoint at 127.0.0.1:9 cannot be reached.)" in ran.err


# -- threads -----------------------------------------------------------------------------------------


def test_threads_list_search_show_export(run: Run, tmp_path: Path, scripted: Callable[[object], None]) -> None:
    assert "no threads yet" in run("threads", "list").err
    scripted(["Breathe, then **begin**."])
    thread = thread_of(run("ask", "--persona", "career", "Tell me about rhododendrons"))
    assert thread in run("threads", "list").out
    listed = json.loads(run("threads", "list", "--search", "rhododendrons", "--persona", "career", "--json").out)
    assert [t["id"] for t in listed] == [thread] and "**rhododendrons**" in listed[0]["snippet"]
    assert run("threads", "list", "--search", "zeppelin").out == ""
    assert "Breathe, then **begin**." in run("threads", "show", thread).out
    target = tmp_path / "out.json"
    assert run("threads", "export", thread, "-f", "json", "-o", str(target)).code == 0
    assert [m["speaker"] for m in json.loads(target.read_text())["messages"]] == ["user", "assistant"]
    assert run("threads", "export", thread, "-o", str(tmp_path / "no" / "where.md")).code == 2
    assert run("threads", "show", "nonsense").code == 2


# -- personas ----------------------------------------------------------------------------------------


def test_a_persona_from_flags_through_its_versions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "told.txt").write_text("You help people sleep.\nBe brief.")
    assert run("personas", "create", "--name", "Sleep", "--instructions", f"@{tmp_path}/told.txt",
               "--starter", "Why do I wake at three?", "--set", "temperature=0.2").code == 0  # fmt: skip
    shown = tomllib.loads(run("personas", "show", "sleep", "--toml").out)
    assert shown["instructions"] == "You help people sleep.\nBe brief." and shown["parameters"] == {"temperature": 0.2}
    changed = run("personas", "edit", "sleep", "--greeting", "Good evening.", "--note", "warmer")
    assert changed.code == 0 and "+greeting: Good evening." in changed.out
    listed = run("personas", "versions", "sleep").out
    assert "v2" in listed and "warmer" in listed and "v1" in listed
    assert "Good evening." in run("personas", "versions", "sleep", "--diff", "1").out
    assert run("personas", "restore", "sleep", "1").code == 0
    assert tomllib.loads(run("personas", "show", "sleep", "--toml").out)["greeting"] == ""
    assert run("personas", "duplicate", "sleep").code == 0
    assert "Sleep copy" in run("personas", "list").out


def test_a_personas_parameters_change_one_by_one(run: Run) -> None:
    assert run("personas", "create", "--name", "Sleep", "--set", "temperature=0.2", "--set", "turn_timeout=60",
               "--state", "stateless", "--search", "hosted", "--background",
               "--assistant", "asst_1").code == 0  # fmt: skip

    def parameters() -> dict[str, object]:
        return tomllib.loads(run("personas", "show", "sleep", "--toml").out)["parameters"]

    first = parameters()
    assert first == {
        "temperature": 0.2, "turn_timeout": 60, "assistant_id": "asst_1",
        "state": "stateless", "search": "hosted", "background": True,
    }  # fmt: skip
    changed = run("personas", "edit", "sleep", "--set", "max_output_tokens=300", "--unset", "temperature",
                  "--no-background", "--assistant", "")  # fmt: skip
    assert changed.code == 0
    assert parameters() == {
        "turn_timeout": 60, "state": "stateless", "search": "hosted", "background": False, "max_output_tokens": 300,
    }  # fmt: skip


def test_a_persona_goes_out_and_comes_in_as_toml(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "career.toml"
    file.write_text(run("personas", "show", "career", "--toml").out)
    assert run("personas", "create", "--from", str(file), "--name", "Mine").code == 0
    mine, theirs = (tomllib.loads(run("personas", "show", s, "--toml").out) for s in ("mine", "career"))
    assert {**mine, "name": ""} == {**theirs, "name": ""}


def test_deleting_asks_and_can_be_undone(run: Run) -> None:
    assert run("personas", "delete", "health").code == 2, "nobody is there to say yes"
    gone = run("personas", "delete", "health", "--yes")
    assert gone.code == 0 and "health" not in run("personas", "list").out
    assert run("personas", "undelete", gone.err.split("undelete ")[1].split("`")[0]).code == 0
    assert "health" in run("personas", "list").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create",), "name"),
        (("create", "--name", "X", "--set", "temperature"), "temperature=0.3"),
        (("create", "--name", "X", "--set", "temperature=9"), "0 to 2"),
        (("create", "--name", "X", "--set", "turn_timeout=0"), "seconds from 1 to 86,400"),
        (("create", "--name", "X", "--set", "max_output_tokens=1e9"), "whole number of tokens"),
        (("create", "--name", "X", "--set", "heat=1"), "no parameter called 'heat'"),
        (("create", "--name", "X", "--state", "forever"), "previous_response, conversation or stateless"),
        (("create", "--name", "X", "--search", "web"), "local or hosted"),
        (("create", "--name", "X", "--assistant", "no id!"), "asst_abc123"),
        (("edit", "career", "--unset", "top_p"), "is not set"),
        (("create", "--name", "X", "--backend", "nothing"), "nothing"),
        (("create", "--name", "X", "--tool", "hammer"), "hammer"),
        (("create", "--name", "X", "--collection", "Nothing"), "no collection"),
        (("create", "--from", "{toml}"), "colour"),
        (("create", "--name", "X", "--instructions", "@/nowhere"), "cannot be read"),
        (("edit", "career"), "Nothing was changed"),
        (("edit", "nobody", "--name", "X"), "no persona called"),
        (("restore", "career", "99"), ""),
        (("versions", "career", "--diff", "99"), "no version 99"),
        (("undelete", "nonsense"), "does not exist"),
    ],
    ids=lambda v: " ".join(v)[:40] if isinstance(v, tuple) else None,
)
def test_bad_input_of_personas(run: Run, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    (tmp_path / "p.toml").write_text('name = "X"\ncolour = "red"\n')
    ran = run("personas", *(str(tmp_path / "p.toml") if a == "{toml}" else a for a in arguments))
    assert ran.code == 2 and says in ran.err and ran.err.count("\n") <= 4


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]))),
    st.dictionaries(st.sampled_from(["temperature", "top_p"]), st.floats(0, 1)),
)
def test_toml_comes_back_as_it_went(text: str, starters: list[str], parameters: dict[str, float]) -> None:
    draft = PersonaDraft("Any", instructions=text, starters=tuple(starters), parameters=parameters)
    fields = personas._fields(draft, {})
    assert tomllib.loads(personas._toml(fields)) == fields


# -- the house ---------------------------------------------------------------------------------------


def test_doctor_says_what_is_missing_and_shows_no_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = run("doctor")
    assert healthy.code == 0 and "ok    database" in healthy.out and "OPENAI_API_KEY" in healthy.out
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-123")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    sick = run("doctor", "--settings", "--json")
    assert sick.code == 1 and "sk-canary-123" not in sick.out + sick.err
    states = {c["name"]: c["state"] for c in json.loads(sick.out)["checks"]}
    assert states["openai_responses"] == "fail" and states["database"] == "ok"
    monkeypatch.setenv("COACH_PROT", "1")
    assert "COACH_PROT" in run("doctor").out


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DATABASE_URL", "postgresql://me:pw-canary@127.0.0.1:9/coach", "cannot be reached"),
        ("COACH_PORT", "abc", "COACH_PORT"),
    ],
)
def test_doctor_speaks_when_nothing_else_does(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    ran = run("doctor")
    assert ran.code == 1 and says in ran.out and "pw-canary" not in ran.out + ran.err
    assert run("threads", "list").code in {1, 2}


def test_backup_and_restore_into_another_home(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: Callable[[object], None]
) -> None:
    scripted(["kept"])
    thread = thread_of(run("ask", "Keep this for me"))
    file = tmp_path / "coach.zip"
    assert run("backup", str(file)).code == 0
    assert run("backup", str(file)).code == 2, "never written over by accident"
    monkeypatch.setenv("COACH_HOME", str(tmp_path / "elsewhere"))
    assert run("restore", str(file)).code == 2, "nobody is there to say yes"
    assert run("restore", str(file), "--yes").code == 0
    assert thread in run("threads", "list").out
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 cut off")
    assert run("restore", str(tmp_path / "bad.zip"), "--yes").code == 1
    assert thread in run("threads", "list").out, "a bad backup takes nothing away"
    assert run("restore", str(tmp_path / "none.zip")).code == 2


def test_cleanup_says_what_it_cleared(run: Run) -> None:
    ran = run("cleanup")
    assert ran.code == 0 and "cleared" in ran.out


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.test"])
def test_serve_refuses_to_be_reached_from_elsewhere(run: Run, host: str) -> None:
    ran = run("serve", "--host", host)
    assert ran.code == 2 and "--allow-remote" in ran.err


def test_serve_names_a_port_that_is_taken(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("serve", "--port", str(taken.getsockname()[1]))
    assert ran.code == 2 and "--port" in ran.err


def test_a_role_is_held_to_its_rights(run: Run, used: Path) -> None:
    coach = Coach.from_settings(Settings(home=used, embedder=WORDS_ALONE), background=False)
    coach.add_profile(coach.owner(), "Sam", "stakeholder")
    coach.close()
    ran = run("--profile", "sam", "ask", "hello")
    assert ran.code == 1 and "role" in ran.err
