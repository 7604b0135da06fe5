"""What the operator has set: the only reader of the environment, `.env` and `.streamlit/secrets.toml`.

Invariant: a value comes from the first of command line, environment, .env, secrets.toml, settings table
and default that names it, and `sources` says which. Keys, addresses and places never come from the
table; no `repr` shows a secret. Making `Settings(...)` by hand reads nothing: only `load` looks around.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, AliasGenerator, BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from coach_core.errors import BadSetting

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_MODEL = "gpt-5.4-mini"
#: Names that other programs know too; all others are COACH_<NAME>.
SHARED = {
    "database_url": "DATABASE_URL",
    "openai_api_key": "OPENAI_API_KEY",
    "openai_base_url": "OPENAI_BASE_URL",
}
#: The variable of the key of the settings' own endpoint.
OWN_KEY = SHARED["openai_api_key"]
SECRETS = frozenset({"openai_api_key", "database_url", "embedder_key", "reranker_key"})
#: Needed before the table can be read, or where a table could lead secrets away: never from the table.
NOT_IN_TABLE = SECRETS | {"home", "host", "port", "openai_base_url", "log_level", "script"}
#: How a variable with an endpoint's key may be called: COACH_KEY_... is meant for nothing else, and of the
#: world's own names those that end like a key, but for keys of other things: an endpoint could lead them away.
_KEY_NAME = re.compile(r"COACH_KEY_[A-Z0-9_]+|(?!COACH_)[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)")
_KEY_OF_ANOTHER = re.compile(
    r"SECRET|PRIVATE|PASSW|COOKIE|SESSION|SIGNING|ENCRYPT|"
    r"^(?:AWS|BITBUCKET|CI|DATADOG|DD|DOCKER|FACEBOOK|GH|GITHUB|GITLAB|GOOGLE_APPLICATION|HF|HUGGING\w*|INSTAGRAM|META|"
    r"NPM|PYPI|SENTRY|SLACK|SSH|STRIPE|TELEGRAM|TWILIO|TWINE|VAULT|WHATSAPP)_"
)
LAYERS = ("command line", "environment", ".env", "secrets.toml", "settings table", "default")


def variable(name: str) -> str:
    """The environment variable of the setting `name`."""
    return SHARED.get(name, f"COACH_{name.upper()}")


def _address(value: str) -> str:
    """A base URL without a slash at its end; "" stays "" (the vendor's own)."""
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value.rstrip("/")


def _database(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme in {"postgres", "postgresql", "postgresql+psycopg"} and rest:
        return f"postgresql+psycopg://{rest}"
    if scheme.split("+")[0] == "sqlite" and rest:
        return value
    if value:
        raise ValueError("must look like sqlite:////folder/coach.db or postgresql://user:password@host/name")
    return ""


def _country(value: str) -> str:
    if value and not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise ValueError("must be a country as two letters, such as US")
    return value.upper()


def _seconds(value: float) -> float:
    if not 0 < value <= 86_400:
        raise ValueError("must be a number of seconds above 0")
    return value


Text = Annotated[str, BeforeValidator(lambda v: v.strip() if isinstance(v, str) else v)]
Seconds = Annotated[float, AfterValidator(_seconds)]


class Settings(BaseSettings):
    """All settings, frozen. An empty value in any layer means: the default, and look no further."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=AliasGenerator(validation_alias=variable),
        hide_input_in_errors=True,
        validate_default=True,
    )

    home: Path = Field(ROOT / "data", description="The folder that holds everything the app writes.")
    database_url: Annotated[Text, AfterValidator(_database)] = Field(
        "", repr=False, description="The database. Default: the file coach.db in the home folder."
    )
    backend: Text = Field("", description="Who answers. Default: openai_responses with a key, else extractive.")
    fallback: Text = Field("", description="Who answers when that fails before the first word. Empty: nobody.")
    model: Text = Field("", description=f"The model's name at the API. Default with a key: {DEFAULT_MODEL}.")
    openai_api_key: Text = Field("", repr=False, description="The key of the model API.")
    openai_base_url: Annotated[Text, AfterValidator(_address)] = Field(
        "", description="Another server that speaks the same API, such as http://127.0.0.1:8000/v1."
    )
    local_model: Text = Field("", description="A GGUF file or hub id (owner/name) for the backend `local`.")
    local_model_context: int = Field(4096, ge=512, le=1_048_576, description="The local model's window, in tokens.")
    embedder: Text = Field(
        "",
        description="Embedding model: empty for the bundled one, a folder, a hub id, an endpoint as name#model, or "
        "https://host/v1/embeddings#model.",
    )
    embedder_key: Text = Field("", repr=False, description="The key for an embedder that is set by its address.")
    script: Text = Field("", description="A JSON script that the backend `scripted` plays. For tests only.")
    reranker: Text = Field(
        "",
        description="A model that reads the best passages once more: name#model of an endpoint, or "
        "https://host/v1/rerank#model. Empty: none.",
    )
    reranker_key: Text = Field("", repr=False, description="The key for a reranker that is set by its address.")
    reranker_passages: int = Field(30, ge=2, le=200, description="Passages that the reranker reads for a question.")
    reranker_deadline: Seconds = Field(
        0.3, description="Seconds to wait for the reranker; at most three quarters of the context's deadline."
    )
    host: Text = Field("127.0.0.1", min_length=1, description="The address the app listens on.")
    port: int = Field(8501, ge=1, le=65_535, description="The port the app listens on.")
    conversation_state: Literal["previous_response", "conversation", "stateless"] = Field(
        "previous_response", description="How the Responses API keeps a conversation between two questions."
    )
    history_messages: int = Field(20, ge=0, le=1000, description="Messages of the thread that a model is told.")
    history_tokens: int = Field(6000, ge=0, le=2_000_000, description="Their length at most, in tokens.")
    summary_tokens: int = Field(
        600, ge=0, le=20_000, description="Longest summary of the older part of a long thread, in tokens. 0: none."
    )
    summary_by: Literal["rules", "model"] = Field(
        "rules", description="Who writes it, after an answer: rules alone, or the model that answered."
    )
    passages: int = Field(8, ge=0, le=100, description="Passages looked up for a question.")
    passage_tokens: int = Field(
        3000,
        ge=100,
        le=1_000_000,
        description="Their length at most, together, in tokens.",
    )
    memories: int = Field(5, ge=0, le=100, description="Memories looked up for a question.")
    memory_tokens: int = Field(600, ge=0, le=100_000, description="Their length at most, in tokens.")
    memory_mode: Literal["review", "automatic", "off"] = Field(
        "review", description="How memories of one's own threads come to be; each client has a choice of their own."
    )
    memory_extraction: Literal["rules", "model"] = Field(
        "rules", description="How facts are read: by rules, or by the thread's model too, after each answer."
    )
    answer_tokens: int = Field(2000, ge=1, le=1_000_000, description="The longest answer, in tokens.")
    temperature: float = Field(0.7, ge=0, le=2, description="How freely a model words things, where it takes one.")
    first_token_timeout: Seconds = Field(25.0, description="Seconds to wait for an answer's first word.")
    token_timeout: Seconds = Field(30.0, description="Seconds to wait between two pieces of an answer.")
    turn_timeout: Seconds = Field(180.0, description="Seconds that a whole turn may take.")
    tool_rounds: int = Field(8, ge=0, le=100, description="Rounds of tool calls in one turn, at most.")
    context_deadline: Seconds = Field(0.4, description="Seconds that gathering the context may take.")
    message_chars: int = Field(50_000, ge=1, le=1_000_000, description="The longest message, in characters.")
    upload_mb: int = Field(25, ge=1, le=1024, description="The largest file, in MB.")
    unanswered_days: int = Field(
        180, ge=0, le=3650, description="Days that questions the documents did not answer are kept. 0: never."
    )
    care: bool = Field(True, description="Whether signs of acute crisis bring help lines beside the answer.")
    care_model: bool = Field(
        True, description="Whether the model that answers judges doubtful messages too, in the background."
    )
    care_country: Annotated[Text, AfterValidator(_country)] = Field(
        "", description="Whose help lines are shown, as two letters. Empty: the browser's country, else by language."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")

    _sources: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _problems: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _keys: _Keys | None = PrivateAttr(None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: Any,
        **_named_others: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    def model_post_init(self, context: Any, /) -> None:
        def settle(name: str, value: Any) -> None:
            if not getattr(self, name):
                object.__setattr__(self, name, value)

        self._sources = MappingProxyType(dict.fromkeys(self.model_fields_set, LAYERS[0]))
        object.__setattr__(self, "home", self.home.expanduser().resolve())
        settle("database_url", f"sqlite:///{self.home / 'coach.db'}")
        settle("backend", "openai_responses" if self.openai_api_key else "extractive")
        settle("model", DEFAULT_MODEL if self.openai_api_key else "")

    @classmethod
    def load(cls, *, config: Path | None = None, **overrides: Any) -> Self:
        """The settings in force. `overrides` come from the command line; None and "" count as not given.

        `.env` and `.streamlit/secrets.toml` are looked for in `config`, else COACH_CONFIG, else the checkout.
        """
        folder = config or Path(os.environ.get("COACH_CONFIG") or ROOT)
        layers = {
            "command line": {k: v for k, v in overrides.items() if v not in (None, "")},
            "environment": _named(EnvSettingsSource(cls)()),
            ".env": _dotenv(cls, folder / ".env"),
            "secrets.toml": _secrets(folder / ".streamlit" / "secrets.toml"),
        }
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for where, layer in layers.items():
            for name, value in layer.items():
                if name in sources:
                    continue
                sources[name] = where
                if name == "home" and where in {".env", "secrets.toml"} and value:
                    value = folder / Path(value).expanduser()
                if value != "":
                    values[name] = value
        settings = cls._checked(values, sources)
        settings._problems = MappingProxyType(_unknown(folder / ".env"))
        settings._keys = _Keys(folder)
        return settings

    def with_table(self, rows: Mapping[str, str]) -> Self:
        """These settings with the rows of the settings table below the first four sources.

        A row that cannot be used is left out and named in `problems`: a slip on a page must not keep
        the app from starting.
        """
        values = self._given()
        sources = {name: where for name, where in self._sources.items() if where not in LAYERS[4:]}
        problems = {name: why for name, why in self._problems.items() if name not in type(self).model_fields}
        for name, value in rows.items():
            if name in sources or name not in type(self).model_fields or value == "":
                continue
            try:
                self.check(name, value)
            except BadSetting as error:
                problems[name] = f"{variable(name)} in the settings table cannot be used. {error.sentence}"
                continue
            values[name] = value
            sources[name] = "settings table"
        merged = self._checked(values, sources)
        merged._problems = MappingProxyType(problems)
        merged._keys = self._keys
        return merged

    @classmethod
    def check(cls, name: str, value: str) -> None:
        """Whether an admin may put `value` into the settings table; BadSetting says why not."""
        if name not in cls.model_fields:
            raise BadSetting(f"There is no setting called {name!r}.")
        if name in NOT_IN_TABLE:
            raise BadSetting(f"{variable(name)} is set in the environment or in .env only, never on a page.")
        if value != "":
            given: dict[str, Any] = {name: value}
            try:
                cls(**given)
            except ValidationError as error:
                raise BadSetting(_choose(cls.model_fields[name], error)) from None

    @property
    def sources(self) -> Mapping[str, str]:
        """name of the setting -> where its value comes from, for every setting."""
        return {name: self._sources.get(name, "default") for name in type(self).model_fields}

    @property
    def problems(self) -> Mapping[str, str]:
        """What was left out, and why: unusable rows of the table, unknown COACH_ names."""
        return self._problems

    @classmethod
    def check_key_name(cls, name: str) -> None:
        """Whether an endpoint's key may stand under the variable `name`; BadSetting says why not."""
        if not _KEY_NAME.fullmatch(name):  # never repeated: it may be the key itself, pasted into the wrong field
            raise BadSetting(
                "That cannot name a key. Use capitals and an ending _API_KEY, _KEY or _TOKEN, or a name such as "
                "COACH_KEY_NAME; the key itself stands in .env."
            )
        if _KEY_OF_ANOTHER.search(name):
            raise BadSetting(
                f"{name[:60]} looks like the key of something else, which must not be sent to a model's server. "
                "Put the model's key into .env under a name of its own, such as COACH_KEY_NAME."
            )

    def secret(self, name: str) -> str:
        """The key under the variable `name` as it is now, from the environment, .env or secrets.toml; "" if none.

        What is written into .env while the app runs is found. Raises BadSetting for a name that may hold no key.
        """
        self.check_key_name(name)
        if name == OWN_KEY:
            return self.openai_api_key
        return self._keys.get(name) if self._keys else ""

    def holds_secret(self, text: str) -> bool:
        """Whether a key that this app knows stands in `text`."""
        known = [self.openai_api_key, self.embedder_key, self.reranker_key, *(self._keys.all() if self._keys else ())]
        return any(len(key) >= 8 and key in text for key in known)

    def shown(self, name: str) -> str:
        """The value as a person may see it: secrets are "set" or "missing", those that few need "none"."""
        if name == "database_url":
            return self.database_url if self.database_url.startswith("sqlite") else "set"
        value = getattr(self, name)
        if name in SECRETS:
            return "set" if value else "missing" if name == "openai_api_key" else "none"
        return str(value)

    def view(self) -> list[tuple[str, str, str]]:
        """(name, value or "set"/"missing", where from) of every setting, in order."""
        return [(name, self.shown(name), where) for name, where in self.sources.items()]

    def _given(self) -> dict[str, Any]:
        named = [name for name, where in self._sources.items() if where in LAYERS[:4]]
        return {name: getattr(self, name) for name in named}

    @classmethod
    def _checked(cls, values: Mapping[str, Any], sources: Mapping[str, str]) -> Self:
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise BadSetting(_sentence(error, sources)) from None
        settings._sources = MappingProxyType(dict(sources))
        return settings


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Field name -> value, whichever of name, variable or spelling the layer uses."""
    fields = {variable(name).upper(): name for name in Settings.model_fields}
    return {fields[k.upper()]: v for k, v in values.items() if k.upper() in fields and v is not None}


def _dotenv(cls: type[Settings], path: Path) -> dict[str, Any]:
    try:
        return _named(DotEnvSettingsSource(cls, env_file=path)())
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path.name} cannot be read ({type(error).__name__}). Save it as UTF-8 text.") from None


def _secrets(path: Path) -> dict[str, Any]:
    """Top-level names as in the environment; tables are Streamlit's own and not read."""
    return _named(_toml(path)) if path.is_file() else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadSetting(f'{path.name} is not valid TOML. Write each line as NAME = "value".') from None
    return {name: value for name, value in data.items() if not isinstance(value, dict)}


def _unknown(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    known = {variable(name) for name in Settings.model_fields} | {"COACH_CONFIG"}
    places = {"the environment": os.environ, ".env": dotenv_values(path) if path.is_file() else {}}
    return {
        name: f"{name} in {where} is not a setting of this app. Check its spelling."
        for where, names in places.items()
        for name in names
        if name.startswith("COACH_") and not name.startswith("COACH_KEY_") and name not in known
    }


class _Keys:
    """Keys of endpoints, looked up when they are needed; the files are read anew when they have changed."""

    def __init__(self, folder: Path) -> None:
        self._readers = {folder / ".env": _dotenv_names, folder / ".streamlit" / "secrets.toml": _toml_names}
        self._read: dict[Path, tuple[tuple[int, int], Mapping[str, str]]] = {}

    def get(self, name: str) -> str:
        return next((layer[name].strip() for layer in self._layers() if name in layer), "")

    def all(self) -> list[str]:
        return [
            value.strip()
            for layer in self._layers()
            for name, value in layer.items()
            if _KEY_NAME.fullmatch(name.upper()) and value.strip()
        ]

    def _layers(self) -> Iterator[Mapping[str, str]]:
        yield os.environ
        for path, read in self._readers.items():
            try:
                found = path.stat()
            except OSError:
                continue
            stamp = (found.st_mtime_ns, found.st_size)
            if self._read.get(path, (None, {}))[0] != stamp:
                self._read[path] = (stamp, read(path))
            yield self._read[path][1]


def _dotenv_names(path: Path) -> Mapping[str, str]:
    from dotenv import dotenv_values

    try:
        return {name: value or "" for name, value in dotenv_values(path, encoding="utf-8").items()}
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path.name} cannot be read ({type(error).__name__}). Save it as UTF-8 text.") from None


def _toml_names(path: Path) -> Mapping[str, str]:
    return {name: str(value) for name, value in _toml(path).items()}


def _choose(field: FieldInfo, error: ValidationError) -> str:
    """What to choose instead, for a person who looks at the field."""
    if get_origin(field.annotation) is Literal:
        return f"Choose one of {', '.join(map(str, get_args(field.annotation)))}."
    wanted: Any = field.annotation
    if wanted not in (int, float):
        text = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ").rstrip(".")
        return f"Choose another value: {text[:1].lower()}{text[1:]}."
    low = next((m.ge for m in field.metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in field.metadata if hasattr(m, "le")), None)
    kind = "whole number" if wanted is int else "number"
    if low is None:
        return "Choose a number of seconds above 0, at most 86,400."
    return f"Choose a {kind} from {low:,} " + ("up." if high is None else f"to {high:,}.")


def _sentence(error: ValidationError, sources: Mapping[str, str]) -> str:
    """One sentence for the first bad value: its variable, where it stands, what it should be."""
    first = error.errors(include_url=False, include_input=True)[0]
    place = str(first["loc"][0]) if first["loc"] else ""
    name = next((n for n in Settings.model_fields if place in (n, variable(n))), place)
    where = sources.get(name, "default")
    shown = "" if name in SECRETS else f" is {str(first['input'])[:80]!r} and"
    text = first["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return f"{variable(name)} ({where}){shown} {text[:1].lower()}{text[1:]}. Change it there and start again."
