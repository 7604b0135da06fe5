"""Where a value comes from, what is said of a bad one, and that no secret is ever shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.errors import BadSetting
from coach_core.settings import DEFAULT_MODEL, NOT_IN_TABLE, ROOT, SECRETS, Settings, variable

KEY = "sk-canary-5d41402abc4b2a76"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (folder / ".streamlit").mkdir(parents=True)
    return folder


def write(config: Path, *, env: str = "", secrets: str = "") -> None:
    if env:
        (config / ".env").write_text(env, encoding="utf-8")
    if secrets:
        (config / ".streamlit" / "secrets.toml").write_text(secrets, encoding="utf-8")


def test_without_anything_the_defaults_hold(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COACH_HOME")
    settings = Settings.load(config=config)
    assert settings.home == ROOT / "data"
    assert settings.database_url == f"sqlite:///{ROOT / 'data' / 'coach.db'}"
    assert (settings.backend, settings.model, settings.port) == ("extractive", "", 8501)
    assert set(settings.sources.values()) == {"default"}


def test_the_first_source_that_names_a_value_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        config, env="COACH_PORT=3\nCOACH_PASSAGES=3\nCOACH_MEMORIES=3\n", secrets="COACH_PORT = 4\nCOACH_MODEL = 'm4'\n"
    )
    monkeypatch.setenv("COACH_PORT", "2")
    monkeypatch.setenv("COACH_PASSAGES", "2")
    settings = Settings.load(config=config, port=1).with_table({"model": "m5", "passages": "5", "tool_rounds": "5"})
    found = {
        n: (str(getattr(settings, n)), settings.sources[n])
        for n in ("port", "passages", "memories", "model", "tool_rounds")
    }
    assert found == {
        "port": ("1", "command line"),
        "passages": ("2", "environment"),
        "memories": ("3", ".env"),
        "model": ("m4", "secrets.toml"),
        "tool_rounds": ("5", "settings table"),
    }


def test_a_key_chooses_the_api_and_its_model(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    settings = Settings.load(config=config)
    assert (settings.openai_api_key, settings.backend, settings.model) == (KEY, "openai_responses", DEFAULT_MODEL)
    assert Settings.load(config=config, backend="extractive").backend == "extractive"


def test_an_empty_value_hides_what_lies_below(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config, env=f"OPENAI_API_KEY={KEY}\nCOACH_PORT=9000\n")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("COACH_PORT", "")
    settings = Settings.load(config=config)
    assert (settings.openai_api_key, settings.backend, settings.port) == ("", "extractive", 8501)


def test_secrets_are_never_shown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = "p4ss-canary"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", f"postgres://me:{password}@db/coach")
    settings = Settings.load(config=config)
    assert settings.database_url == f"postgresql+psycopg://me:{password}@db/coach"
    shown = repr(settings) + str(settings) + str(settings.view()) + str(settings.sources)
    assert KEY not in shown and password not in shown
    assert {n: v for n, v, _ in settings.view()}["openai_api_key"] == "set"
    monkeypatch.setenv("DATABASE_URL", f"mysql://me:{password}@db/coach")
    with pytest.raises(BadSetting) as caught:
        Settings.load(config=config)
    assert password not in caught.value.sentence and "DATABASE_URL (environment)" in caught.value.sentence
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("COACH_PORT", "abc", "whole number|integer"),
        ("COACH_PORT", "70000", "65535"),
        ("COACH_TEMPERATURE", "hot", "number"),
        ("COACH_TEMPERATURE", "3", "less than or equal to 2"),
        ("COACH_TURN_TIMEOUT", "-1", "seconds above 0"),
        ("COACH_TURN_TIMEOUT", "nan", "seconds above 0"),
        ("COACH_LOG_LEVEL", "LOUD", "DEBUG"),
        ("OPENAI_BASE_URL", "localhost:8000", "http://"),
        ("DATABASE_URL", "coach.db", "sqlite:"),
    ],
)
def test_a_bad_value_is_one_sentence(
    name: str, value: str, says: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as caught:
        Settings.load(config=config)
    sentence = caught.value.sentence
    assert sentence.startswith(f"{name} (environment)") and re.search(says, sentence) and "\n" not in sentence


def test_files_that_cannot_be_read_have_a_sentence(config: Path) -> None:
    (config / ".env").write_bytes(b"COACH_MODEL=\xff\xfe\n")
    with pytest.raises(BadSetting, match="UTF-8"):
        Settings.load(config=config)
    (config / ".env").unlink()
    write(config, secrets="not toml at all")
    with pytest.raises(BadSetting, match="TOML"):
        Settings.load(config=config)


def test_streamlits_own_tables_in_secrets_are_left_alone(config: Path) -> None:
    write(config, secrets='COACH_MODEL = "m"\n[auth]\nclient_secret = "x"\n[COACH_PORT]\nx = 1\n')
    settings = Settings.load(config=config)
    assert (settings.model, settings.port) == ("m", 8501)


def test_a_home_in_the_env_file_is_beside_it(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(config, env="COACH_HOME=mine\n")
    monkeypatch.delenv("COACH_HOME")
    assert Settings.load(config=config).home == config / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COACH_HOME", "here")
    assert Settings.load(config=config).home == tmp_path / "here"


@pytest.mark.parametrize("name", sorted(NOT_IN_TABLE))
def test_secrets_and_places_never_come_from_the_table(name: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COACH_HOME")
    before = Settings.load(config=config)
    after = before.with_table({name: "http://elsewhere.test/v1"})
    assert getattr(after, name) == getattr(before, name)
    assert "never on a page" in after.problems[name]
    with pytest.raises(BadSetting, match="never on a page"):
        Settings.check(name, "x")
    assert SECRETS <= NOT_IN_TABLE


def test_a_bad_row_of_the_table_is_left_out_and_named(config: Path) -> None:
    settings = Settings.load(config=config).with_table({"passages": "many", "memories": "2", "seeded": "1"})
    assert (settings.passages, settings.memories) == (8, 2)
    assert "settings table" in settings.problems["passages"] and "seeded" not in settings.problems
    with pytest.raises(BadSetting):
        Settings.check("passages", "many")
    Settings.check("passages", "")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("passages", "many", "Choose a whole number from 0 to 100."),
        ("passages", "-1", "Choose a whole number from 0 to 100."),
        ("temperature", "hot", "Choose a number from 0 to 2."),
        ("token_timeout", "0", "Choose a number of seconds above 0, at most 86,400."),
    ],
)
def test_on_the_page_a_bad_value_says_what_to_choose(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadSetting) as told:
        Settings.check(name, value)
    assert told.value.sentence == sentence


def test_a_row_taken_out_of_the_table_is_gone(config: Path) -> None:
    base = Settings.load(config=config, memories=1)
    assert base.with_table({"passages": "3"}).with_table({}).passages == 8
    assert base.with_table({"passages": "3"}).with_table({}).memories == 1


def test_a_misspelt_name_is_noticed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config, env="COACH_MODLE=x\n")
    monkeypatch.setenv("COACH_PASAGES", "3")
    assert {"COACH_MODLE", "COACH_PASAGES"} <= Settings.load(config=config).problems.keys()


def test_made_by_hand_nothing_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COACH_PASSAGES", "3")
    settings = Settings(home=tmp_path, port=1234)
    assert (settings.passages, settings.port, settings.home) == (8, 1234, tmp_path)
    assert settings.with_table({"memories": "1"}).port == 1234


def test_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings().port = 1


@given(st.sampled_from(sorted(Settings.model_fields)), st.text())
def test_any_row_is_taken_or_refused_in_one_sentence(name: str, value: str) -> None:
    try:
        Settings.check(name, value)
    except BadSetting as error:
        assert "\n" not in error.sentence.replace(value, "") and len(error.sentence) < 400
    else:
        assert Settings().with_table({name: value}).problems == {}


def test_the_example_and_the_operators_table_name_every_setting() -> None:
    hidden = {"script"}
    names = {variable(n) for n in Settings.model_fields if n not in hidden}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^# ([A-Z][A-Z_]+)=", example, re.MULTILINE))
    assert named >= names
    for key in named - names:
        Settings.check_key_name(key)  # what is no setting is the key of an endpoint
    table = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z][A-Z_]+)`", table, re.MULTILINE)) == names
