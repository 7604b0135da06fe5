"""Known vendors and servers as rows of facts: what the form for a new endpoint begins with.

Invariant: a vendor is data, never a class; every fact says where it is from, and the person may change it.
A vendor's key goes to the vendor's own hosts and nowhere else.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from coach_core.backends import BACKENDS
from coach_core.backends.facts import secret_in
from coach_core.errors import BadSetting
from coach_core.types import Vendor

_RESPONSES, _CHAT, _ASSISTANTS = "openai_responses", "openai_chat", "openai_assistants"
#: The protocols that an endpoint may speak.
WIRES = (_RESPONSES, _CHAT, _ASSISTANTS)

VENDORS: tuple[Vendor, ...] = (
    Vendor(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        (_RESPONSES, _CHAT),
        "OPENAI_API_KEY",
        # platform.openai.com/docs: o-series and later want `developer` and `max_completion_tokens`; files as input.
        {"role": "developer", "max_tokens": "max_completion_tokens", "files": True, "stores": True},
        (".api.openai.com", "api.openai.com"),  # eu.api.openai.com and others keep data in a region
        "A second row for another project or region; the settings' own key needs none.",
    ),
    Vendor(
        "azure",
        "Azure OpenAI (v1)",
        # learn.microsoft.com, "api version lifecycle": since August 2025 /openai/v1/ takes no api-version, and `model`
        # is the deployment's name. GET /models there names base models, not deployments, so it proves nothing.
        "https://RESOURCE.openai.azure.com/openai/v1",
        (_RESPONSES, _CHAT),
        "AZURE_OPENAI_API_KEY",
        {
            "key_header": "api-key",
            "models": False,
            "max_tokens": "max_completion_tokens",
            "files": True,
            "stores": True,
        },
        (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
        "The model is the name of your deployment, not of the model behind it.",
    ),
    Vendor(
        "azure-deployments",
        "Azure OpenAI (deployments, api-version)",
        # learn.microsoft.com, "REST API reference": /openai/deployments/NAME/chat/completions?api-version=...;
        # 2024-10-21 is the last GA version of that form. No /models below a deployment (404, OpenAI-API-dotnet#140).
        "https://RESOURCE.openai.azure.com/openai/deployments/DEPLOYMENT",
        (_CHAT,),
        "AZURE_OPENAI_API_KEY",
        {"key_header": "api-key", "query": {"api-version": "2024-10-21"}, "models": False},
        (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
        "The older form of the address. Paste the target URI of the portal: it is taken apart by itself.",
    ),
    Vendor(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        (_CHAT,),
        "MISTRAL_API_KEY",
        # "Tool call id was ... but must be a-z, A-Z, 0-9, with a length of 9" (langchain#24668). Fields it does not
        # know are 422 extra_forbidden: stream_options (avante.nvim#2347), max_completion_tokens (eca#231). It tells
        # the tokens used without being asked.
        {"stream_options": False, "call_id_length": 9},
        ("api.mistral.ai",),
    ),
    Vendor(
        "groq",
        "Groq",
        # console.groq.com/docs/openai: Responses too, in beta and without previous_response_id or store.
        "https://api.groq.com/openai/v1",
        (_CHAT, _RESPONSES),
        "GROQ_API_KEY",
        {"state": False, "conversations": False},
        ("api.groq.com",),
    ),
    Vendor(
        "deepseek",
        "DeepSeek",
        # api-docs.deepseek.com: text only; thoughts come as reasoning_content, and go back with tool results.
        "https://api.deepseek.com",
        (_CHAT,),
        "DEEPSEEK_API_KEY",
        {"images": False, "schema": False, "reasoning": "reasoning_content"},
        ("api.deepseek.com",),
    ),
    Vendor(
        "openrouter",
        "OpenRouter",
        # openrouter.ai/docs: the Responses API is a stateless beta; thoughts come and go back as `reasoning`.
        "https://openrouter.ai/api/v1",
        (_CHAT, _RESPONSES),
        "OPENROUTER_API_KEY",
        {"state": False, "conversations": False},
        ("openrouter.ai",),
        "Models are called vendor/model.",
    ),
    Vendor(
        "together",
        "Together AI",
        # docs.together.ai/docs/inference/openai-compatibility: chat, vision and models; no Responses.
        "https://api.together.ai/v1",
        (_CHAT,),
        "TOGETHER_API_KEY",
        {},
        ("api.together.ai", "api.together.xyz"),
        "Models are called provider/model.",
    ),
    Vendor(
        "fireworks",
        "Fireworks AI",
        # docs.fireworks.ai/guides/response-api: keeps responses unless store=false; no Conversations API.
        "https://api.fireworks.ai/inference/v1",
        (_CHAT, _RESPONSES),
        "FIREWORKS_API_KEY",
        {"conversations": False},
        ("api.fireworks.ai",),
        "Models are called accounts/fireworks/models/NAME.",
    ),
    Vendor(
        "xai",
        "xAI",
        # docs.x.ai: Responses is the first API, kept for 30 days; Chat Completions is legacy.
        "https://api.x.ai/v1",
        (_RESPONSES, _CHAT),
        "XAI_API_KEY",
        {"conversations": False},
        ("api.x.ai", ".api.x.ai"),
    ),
    Vendor(
        "gemini",
        "Google Gemini",
        # ai.google.dev/gemini-api/docs/openai. Tool calls may lack `index` (openai-python#2806): the wire copes.
        "https://generativelanguage.googleapis.com/v1beta/openai",
        (_CHAT,),
        "GEMINI_API_KEY",
        {},
        ("generativelanguage.googleapis.com",),
    ),
    Vendor(
        "anthropic",
        "Anthropic Claude",
        # platform.claude.com, "OpenAI SDK compatibility": response_format is ignored, PDF files are not taken; GET
        # /models is of the native API, which wants x-api-key and anthropic-version.
        "https://api.anthropic.com/v1",
        (_CHAT,),
        "ANTHROPIC_API_KEY",
        {"schema": False, "models": False},
        ("api.anthropic.com",),
        "Its compatible layer, meant for trying the models.",
    ),
    Vendor(
        "ollama",
        "Ollama",
        # docs.ollama.com/api/openai-compatibility: no key; Responses since 0.13.3, stateless.
        "http://127.0.0.1:11434/v1",
        (_CHAT, _RESPONSES),
        profile={"state": False, "conversations": False},
        note="Without a key. Pull the model first: ollama pull NAME.",
    ),
    Vendor(
        "lmstudio",
        "LM Studio",
        # lmstudio.ai/blog/lmstudio-v0.3.29: Responses with previous_response_id; no Conversations API.
        "http://127.0.0.1:1234/v1",
        (_CHAT, _RESPONSES),
        profile={"conversations": False},
        note="Without a key. Start the server on the tab Developer.",
    ),
    Vendor(
        "vllm",
        "vLLM",
        # vllm#22137: Responses are not kept unless the server has VLLM_ENABLE_RESPONSES_API_STORE=1 (store=true is
        # refused with 501). Tools need --enable-auto-tool-choice and a --tool-call-parser.
        "http://127.0.0.1:8000/v1",
        (_CHAT, _RESPONSES),
        "VLLM_API_KEY",
        {"state": False, "conversations": False},
        note="Leave the key's variable empty if the server was started without --api-key.",
    ),
    Vendor(
        "llamacpp",
        "llama.cpp server",
        # tools/server/README: a last assistant message is gone on with; tools need --jinja; no vector stores.
        "http://127.0.0.1:8080/v1",
        (_CHAT,),
        profile={"prefill": True},
        note="Without a key, unless it was started with --api-key. Start it with --jinja for tools.",
    ),
    Vendor(
        "llama-stack",
        "Llama Stack",
        # github.com/ogx-ai/llama-stack: Responses, Conversations, files and vector stores under /v1.
        "http://127.0.0.1:8321/v1",
        (_RESPONSES, _CHAT),
        profile={"stores": True},
        note="Without a key, unless its configuration asks for one.",
    ),
    Vendor(
        "litellm",
        "LiteLLM proxy",
        # docs.litellm.ai: virtual keys; /v1/responses is bridged to Chat for most providers, which keep nothing.
        "http://127.0.0.1:4000/v1",
        (_CHAT, _RESPONSES),
        "LITELLM_API_KEY",
        {"state": False, "conversations": False},
        note="The models are those of its configuration.",
    ),
    Vendor(
        "custom",
        "Another server that speaks the same API",
        "",
        (_CHAT, _RESPONSES, _ASSISTANTS),
        note="Put its key into .env under a name such as COACH_KEY_NAME, and write that name here.",
    ),
)
BY_NAME: Mapping[str, Vendor] = {vendor.name: vendor for vendor in VENDORS}
#: Variables that vendors' keys go by besides.
_ALSO = {
    "GOOGLE_API_KEY": "gemini",
    "AZURE_API_KEY": "azure",
    "AZURE_OPENAI_KEY": "azure",
    "CLAUDE_API_KEY": "anthropic",
}

#: Plain addresses alone: no user, no query, nothing that two programs could read in two ways.
_ADDRESS = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]*)*",
    re.IGNORECASE,
)
_OPERATIONS = ("/chat/completions", "/responses", "/models", "/completions", "/assistants", "/threads")
_LONGEST = 500
#: The vendor of Assistants and the cloud that served it too; learn.microsoft.com gives the same day for both.
_OFF = re.compile(
    r"(?:.+\.)?api\.openai\.com|.+\.(?:openai|cognitiveservices|services\.ai)\.azure\.(?:com|us|cn)", re.IGNORECASE
)
_SWITCHED_OFF = (
    "{} switched the Assistants API off on 2026-08-26. Choose Responses or Chat Completions, or give the base URL "
    "of a compatible server."
)


def wires() -> dict[str, str]:
    """wire -> label, of those that there are."""
    return {wire: BACKENDS[wire][1] for wire in WIRES if wire in BACKENDS}


def tidy(address: str) -> tuple[str, dict[str, str]]:
    """The base URL that `address` means, and its query: people paste what a vendor's page shows as the target."""
    plain, _, query = address.strip().partition("?")
    plain = plain.rstrip("/")
    for operation in _OPERATIONS:
        plain = plain.removesuffix(operation).rstrip("/")
    return plain, dict(parse_qsl(query.partition("#")[0]))


def check_address(base_url: str) -> None:
    """Raise BadSetting with what to write instead, unless `base_url` can be a server's address."""
    if not base_url:
        raise BadSetting("The address is missing. It looks like https://host/v1.")
    if not base_url.lower().startswith(("http://", "https://")):
        raise BadSetting("The address must begin with https:// or http://.")
    if "@" in base_url.split("/")[2] or secret_in(base_url):
        raise BadSetting("The address holds a user or a key. Put the key into .env and name its variable instead.")
    if len(base_url) > _LONGEST or not _ADDRESS.fullmatch(base_url):
        raise BadSetting(
            "The address cannot be read. It looks like https://host/v1, in plain letters, without a query."
        )
    for place in ("RESOURCE", "DEPLOYMENT"):
        if place in base_url:
            raise BadSetting(f"Replace {place} in the address by your own; the vendor's page shows it.")
    try:
        port = urlsplit(base_url).port
    except ValueError:
        port = 0
    if port == 0:
        raise BadSetting("The address has a port that cannot be. Use one from 1 to 65535.")
    if _link_local(host(base_url)):
        raise BadSetting("This address belongs to the machine's own network setup, not to a model's server.")


def host(base_url: str) -> str:
    """The host's name in lower case, without the port."""
    try:
        return (urlsplit(base_url).hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def origin(base_url: str) -> tuple[str, str, int | None]:
    """(scheme, host, port): what must be the same for a key to go there."""
    try:
        parts = urlsplit(base_url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme.lower(), host(base_url), port


def leads_away(variable: str, base_url: str) -> str:
    """Why the key under `variable` may not be sent to `base_url`: a known vendor's key stays with the vendor."""
    hosts = _hosts_of(variable)
    if not hosts:
        return ""
    there = host(base_url)
    if any(there == h or (h.startswith(".") and there.endswith(h)) for h in hosts):
        if origin(base_url)[0] == "https":
            return ""
        return f"The key in {variable} is sent only over https://. Change the address."
    where = " or ".join(f"hosts below {h[1:]}" if h.startswith(".") else h for h in sorted(hosts, key=len)[:2])
    return (
        f"The key in {variable} is sent only to {where}. "
        "Give this server's key a variable of its own in .env, such as COACH_KEY_NAME."
    )


def switched_off(wire: str, base_url: str) -> str:
    """That the vendor no longer serves this wire at `base_url`, and what to do; "" where it may be served."""
    there = host(base_url or "https://api.openai.com")
    return _SWITCHED_OFF.format(there) if wire == _ASSISTANTS and _OFF.fullmatch(there) else ""


def in_clear(base_url: str) -> bool:
    """Whether what is sent can be read on its way: http to another machine."""
    if origin(base_url)[0] != "http":
        return False
    name = host(base_url)
    try:
        return not ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name != "localhost"


def _hosts_of(variable: str) -> tuple[str, ...]:
    if variable in _ALSO:
        return BY_NAME[_ALSO[variable]].hosts
    return tuple(dict.fromkeys(h for vendor in VENDORS if vendor.key_variable == variable for h in vendor.hosts))


def _link_local(name: str) -> bool:
    """Such as 169.254.169.254, where clouds tell a machine its own secrets."""
    try:
        address: Any = ipaddress.ip_address(name)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(name))  # 2852039166 and other old spellings
        except (OSError, ValueError):
            return name == "metadata.google.internal"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_link_local)
