"""Vendors as rows of facts: what each preset says can be sent, whose key goes where, and what may stand in a fact."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.backends import BACKENDS, Endpoint, build, facts, vendors
from coach_core.backends.sdk import Profile
from coach_core.errors import BadSetting
from coach_core.types import Fact, Part, ToolSpec, Vendor
from tests.backends.conftest import KEY, message, play, request, text_of
from tests.backends.fake_api import FakeApi, Reply, json_reply, recorded, sse

SPOKEN = {"openai_chat": "chat_text", "openai_responses": "responses_text"}
PRESETS = [(v, wire) for v in vendors.VENDORS for wire in v.wires if wire in SPOKEN]
TOOL = ToolSpec("look_up", "Look something up.", {"type": "object", "properties": {"q": {"type": "string"}}})


def test_the_facts_are_those_that_the_wires_take() -> None:
    assert {f.name: f.default for f in facts.FACTS} == {
        f.name: {} if f.default is dataclasses.MISSING else f.default for f in dataclasses.fields(Profile)
    }


@pytest.mark.parametrize("vendor", vendors.VENDORS, ids=lambda v: v.name)
def test_a_preset_is_a_whole_form(vendor: Vendor) -> None:
    facts.check(vendor.profile)
    assert vendor.wires and set(vendor.wires) <= set(vendors.WIRES)
    assert vendor.label and (vendor.base_url or vendor.name == "custom")
    address = vendor.base_url.replace("RESOURCE", "contoso").replace("DEPLOYMENT", "gpt-eu")
    if address:
        vendors.check_address(address)
        assert vendors.tidy(address) == (address, {})
    if vendor.hosts:
        assert vendor.key_variable and not vendors.leads_away(vendor.key_variable, address)


@pytest.mark.parametrize(("vendor", "wire"), PRESETS, ids=lambda v: v if isinstance(v, str) else v.name)
def test_a_preset_answers_over_its_wire_and_sends_what_its_facts_say(vendor: Vendor, wire: str) -> None:
    history = (message("Hello."), message("Hi.", "assistant"))
    image = Part("image", name="p.png", media_type="image/png", file_id=message("").id)
    asked = request(
        instructions="Be kind.",
        history=history,
        tools=(TOOL,),
        model="m1",
        parameters={"max_output_tokens": 99},
        read_file=lambda _: b"png",
    )
    asked = dataclasses.replace(asked, question=message("What is this?", "user", Part("text", "What is this?"), image))
    with FakeApi(recorded(SPOKEN[wire])) as api:
        backend = build(wire, Endpoint("row", api.url, KEY, "m1", vendor.profile))
        try:
            events = play(backend, asked)
        finally:
            backend.close()
    assert text_of(events) and events[-1].status == "completed"
    seen, sent = api.requests[0], api.bodies[0]
    profile = Profile(**vendor.profile)
    if header := profile.key_header:
        assert seen.headers[header] == KEY and "authorization" not in seen.headers
    else:
        assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert dict(p.split("=") for p in urlsplit(seen.path).query.split("&") if p) == dict(profile.query)
    assert ("image_url" in json.dumps(sent)) == profile.images
    if wire == "openai_chat":
        assert sent["messages"][0]["role"] == profile.role
        assert sent[profile.max_tokens] == 99
        assert ("stream_options" in sent) == profile.stream_options
    else:
        assert sent["store"] == profile.state


def test_a_call_id_has_the_length_that_the_vendor_insists_on() -> None:
    called = {"id": "call_abcdefghijklmnop", "type": "function", "index": 0}
    delta = {"tool_calls": [called | {"function": {"name": "look_up", "arguments": "{}"}}]}
    chunk: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "model": "m1", "created": 1}
    stream = sse(
        chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        done=True,
    )
    with FakeApi(Reply(stream), recorded("chat_text")) as api:
        backend = build("openai_chat", Endpoint("row", api.url, KEY, "m1", vendors.BY_NAME["mistral"].profile))
        call = next(e for e in play(backend, request(tools=(TOOL,))) if e.kind == "tool_call")
        told = message("", "assistant", Part("tool_call", call_id=call.call_id, name="look_up", arguments={}))
        answered = message("", "tool", Part("tool_result", "found", call_id=call.call_id, name="look_up"))
        play(backend, request(tools=(TOOL,), exchange=(told, answered)))
        backend.close()
    messages = api.bodies[1]["messages"]
    ids = {messages[-2]["tool_calls"][0]["id"], messages[-1]["tool_call_id"]}
    assert len(ids) == 1 and len(ids.pop()) == 9


def test_a_servers_models_are_listed_unless_it_lists_none() -> None:
    models = json_reply(200, '{"object": "list", "data": [{"id": "b"}, {"id": "a"}]}')
    with FakeApi(models, models=models) as api:
        for profile, expected in (({}, ["a", "b"]), ({"models": False}, [])):
            backend: Any = build("openai_chat", Endpoint("row", api.url, KEY, "", profile))
            assert backend.models() == expected
            backend.close()


def test_the_wires_offered_are_those_that_there_are() -> None:
    assert list(vendors.wires()) == [w for w in vendors.WIRES if w in BACKENDS]
    assert not set(vendors.wires()) & {"local", "extractive", "scripted"}


# -- whose key goes where ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "address", "leads"),
    [
        ("OPENAI_API_KEY", "https://api.openai.com/v1", ""),
        ("OPENAI_API_KEY", "https://eu.api.openai.com/v1", ""),
        ("OPENAI_API_KEY", "https://API.OpenAI.com./v1", ""),
        ("OPENAI_API_KEY", "https://api.openai.com.evil.example/v1", "sent only to api.openai.com"),
        ("OPENAI_API_KEY", "https://notapi.openai.com/v1", "sent only to"),
        ("OPENAI_API_KEY", "https://evil.example/api.openai.com/v1", "COACH_KEY_NAME"),
        ("OPENAI_API_KEY", "http://api.openai.com/v1", "only over https"),
        ("OPENAI_API_KEY", "http://127.0.0.1:9/v1", "sent only to"),
        ("MISTRAL_API_KEY", "https://api.groq.com/openai/v1", "sent only to api.mistral.ai"),
        ("GOOGLE_API_KEY", "https://evil.example/v1", "generativelanguage"),
        ("AZURE_OPENAI_API_KEY", "https://contoso.openai.azure.com/openai/v1", ""),
        ("AZURE_OPENAI_API_KEY", "https://contoso.services.ai.azure.com/openai/v1", ""),
        ("AZURE_OPENAI_API_KEY", "https://openai.azure.com.evil.example/v1", "sent only to"),
        ("COACH_KEY_ANY", "https://anywhere.example/v1", ""),
        ("ACME_API_KEY", "http://10.0.0.1/v1", ""),
    ],
)
def test_a_vendors_key_stays_with_the_vendor(variable: str, address: str, leads: str) -> None:
    why = vendors.leads_away(variable, address)
    assert bool(why) == bool(leads) and leads in why


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "address is missing"),
        ("api.mistral.ai/v1", "must begin with https://"),
        ("ftp://host/v1", "must begin with https://"),
        ("javascript://host/%0aalert(1)", "must begin with"),
        ("https://", "cannot be read"),
        ("https:///v1", "cannot be read"),
        ("https://user:word@host/v1", "a user or a key"),
        ("https://api.openai.com@evil.example/v1", "a user or a key"),
        ("https://api.openai.com\\@evil.example/v1", "a user or a key"),
        ("https://evil.example\\.api.openai.com/v1", "cannot be read"),
        ("https://evil.example#.api.openai.com/v1", "cannot be read"),
        ("https://host/v1?api-key=1", "cannot be read"),
        ("https://host/sk-abcdefghijklmnop1234/v1", "a user or a key"),
        ("https://ho st/v1", "cannot be read"),
        ("https://host/v1\r\nX: y", "cannot be read"),
        ("https://hóst/v1", "cannot be read"),
        ("https://host:0/v1", "a port"),
        ("https://host:99999/v1", "a port"),
        ("https://RESOURCE.openai.azure.com/openai/v1", "Replace RESOURCE"),
        ("https://r.openai.azure.com/openai/deployments/DEPLOYMENT", "Replace DEPLOYMENT"),
        ("http://169.254.169.254/latest", "network setup"),
        ("http://2852039166/latest", "network setup"),
        ("http://[::ffff:169.254.169.254]/v1", "network setup"),
        ("http://[fe80::1]/v1", "network setup"),
        ("https://host/" + "a" * 600, "cannot be read"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_a_sentence(address: str, says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        vendors.check_address(address)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:11434/v1", "http://[::1]:8080/v1", "http://gpu-3.lan:8000", "https://host/a/b:c/v1beta/openai"],
)
def test_an_address_of_a_server_of_ones_own_is_taken(address: str) -> None:
    vendors.check_address(address)


@pytest.mark.parametrize(
    ("pasted", "base_url", "query"),
    [
        (
            "https://r.openai.azure.com/openai/deployments/eu/chat/completions?api-version=2024-10-21",
            "https://r.openai.azure.com/openai/deployments/eu",
            {"api-version": "2024-10-21"},
        ),
        ("https://r.openai.azure.com/openai/v1/responses", "https://r.openai.azure.com/openai/v1", {}),
        (" https://api.mistral.ai/v1/ ", "https://api.mistral.ai/v1", {}),
        ("http://127.0.0.1:1234/v1/models", "http://127.0.0.1:1234/v1", {}),
    ],
)
def test_what_people_paste_is_taken_apart(pasted: str, base_url: str, query: dict[str, str]) -> None:
    assert vendors.tidy(pasted) == (base_url, query)


@given(st.text(max_size=60))
def test_whatever_is_typed_as_an_address_is_taken_or_refused_in_a_sentence(text: str) -> None:
    base_url, _ = vendors.tidy(text)
    for typed in (base_url, f"https://{base_url}"):
        try:
            vendors.check_address(typed)
        except BadSetting as refused:
            assert refused.sentence
        else:
            assert vendors.host(typed) and "@" not in typed.split("/")[2]


# -- facts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ({"streaming": True}, "no fact called 'streaming'. There are: stream,"),
        ({"stream": "yes"}, "must be true or false"),
        ({"role": "boss"}, "must be one of system, developer, user"),
        ({"call_id_length": 9.5}, "whole number"),
        ({"call_id_length": True}, "whole number"),
        ({"call_id_length": -1}, "whole number"),
        ({"headers": ["a"]}, "must be a table of texts"),
        ({"headers": {"a": 1}}, "must be a table of texts"),
        ({"query": {"": "x"}}, "must be a table of texts"),
        ({"body": "x"}, "must be a table"),
        ({"key_header": "api key"}, "header's name, not the key"),
        ({"key_header": "Host"}, "header's name, not the key"),
        ({"reasoning": "a\nb"}, "short text"),
        ({"headers": {"X-Bad": "a\r\nb"}}, "cannot be sent"),
        ({"headers": {"X Bad": "a"}}, "cannot be sent"),
        ({"headers": {"Host": "elsewhere.example"}}, "set by the app itself"),
        ({"body": {"a": "x" * 10_001}}, "too long"),
        ({"body": {"a": float("nan")}}, "JSON cannot say"),
        ({"body": {"a": {1, 2}}}, "JSON cannot say"),
    ],
)
def test_a_fact_that_cannot_be_is_refused_in_a_sentence(profile: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        facts.check(profile)


@pytest.mark.parametrize("name", sorted(facts.OWN_FIELDS))
def test_what_the_app_sends_itself_is_no_more_field(name: str) -> None:
    with pytest.raises(BadSetting, match=f"The field {name} is set by the app itself"):
        facts.check({"body": {"seed": 7, f" {name}": "other"}})


@pytest.mark.parametrize("wire", SPOKEN)
def test_what_a_wire_sends_of_its_own_is_refused_as_more_fields_or_a_parameter(wire: str) -> None:
    asked = request(tools=(TOOL,), schema={"type": "object"}, parameters={"max_output_tokens": 9, "temperature": 0.1})
    with FakeApi(recorded(SPOKEN[wire])) as api:
        play(build(wire, Endpoint("new", api.url, "k", "m1")), asked)
    assert api.bodies[0].keys() - facts.OWN_FIELDS == {
        "temperature",
        *({"max_tokens"} if wire == "openai_chat" else {"max_output_tokens", "text"}),
    }


@pytest.mark.parametrize(
    "profile",
    [
        {"headers": {"Authorization": "x"}},
        {"headers": {"Api-Key": "x"}},
        {"headers": {"x-goog-api-key": "x"}},
        {"headers": {"Cookie": "session=1"}},
        {"headers": {"X-Auth-Token": "x"}},
        {"headers": {"Ocp-Apim-Subscription-Key": "x"}},
        {"headers": {"X-Plain": "Bearer abcdefgh"}},
        {"headers": {"X-Plain": KEY}},
        {"query": {"key": "x"}},
        {"query": {"sig": "x"}},
        {"query": {"plain": "AIzaSyA1234567890abcdefghijklmno"}},
        {"body": {"api_key": "x"}},
        {"body": {"metadata": {"deep": [{"access_token": "x"}]}}},
        {"body": {"metadata": {"deep": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIi"]}}},
        {"body": {KEY: 1}},
    ],
)
def test_what_looks_like_a_secret_never_becomes_a_fact(profile: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match="looks like a secret") as refused:
        facts.check(profile)
    for table in profile.values():
        for value in table.values():
            assert value == "x" or not isinstance(value, str) or value not in refused.value.sentence
    assert KEY not in refused.value.sentence


def test_everyday_names_are_no_secrets() -> None:
    facts.check(
        {
            "headers": {"HTTP-Referer": "https://coach.example", "X-Title": "Coach", "anthropic-version": "2023-06-01"},
            "query": {"api-version": "2024-10-21"},
            "body": {
                "stop_token_ids": [1],
                "skip_special_tokens": True,
                "prompt_cache_key": "coach",
                "tool_choice": "auto",
                "parallel_tool_calls": False,
                "service_tier": "flex",
                "reasoning": {"effort": "low"},
                "metadata": {"app": "coach"},
                "chat_template_kwargs": {"enable_thinking": False},
                "provider": {"order": ["a", "b"], "allow_fallbacks": False},
            },
            "parameters": {"max_output_tokens": 100, "first_token_timeout": 60},
        }
    )


def fact(name: str) -> Fact:
    return facts.BY_NAME[name]


def test_a_table_is_read_from_json_and_a_slip_is_placed() -> None:
    assert facts.parse("", fact("body")) == {}
    assert facts.parse('{"a": [1]}', fact("body")) == {"a": [1]}
    with pytest.raises(BadSetting, match="More fields: line 2, column 1 is not JSON"):
        facts.parse('{"a": 1,\n}', fact("body"))
    with pytest.raises(BadSetting, match="table of texts"):
        facts.parse('{"a": 1}', fact("headers"))
    with pytest.raises(BadSetting, match="must be a table"):
        facts.parse("[]", fact("body"))


@given(st.dictionaries(st.sampled_from([f.name for f in facts.FACTS]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6,
)))  # fmt: skip
def test_whatever_is_stated_is_taken_by_the_wires_or_refused_in_a_sentence(profile: dict[str, Any]) -> None:
    try:
        facts.check(profile)
    except BadSetting as refused:
        assert refused.sentence
    else:
        build("openai_chat", Endpoint("row", "http://127.0.0.1:9/v1", "", "m1", profile)).close()


def test_the_page_on_connecting_says_all_of_this() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "connecting-a-model.md").read_text(encoding="utf-8")
    for vendor in vendors.VENDORS:
        assert re.search(rf"`{vendor.name}`|--vendor {vendor.name}\b", page), vendor.name
        assert not vendor.key_variable or vendor.key_variable in page, vendor.key_variable
    missing = [f.name for f in facts.FACTS if f"`{f.name}`" not in page]
    assert not missing
