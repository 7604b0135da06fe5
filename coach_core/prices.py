"""What a turn costs, from genai-prices' table that comes with the package: nothing is fetched.

Invariant: a model that the table does not know costs 0 and is said to be unknown by `known`.
"""

from __future__ import annotations

from decimal import Decimal

from coach_core.types import Usage

FREE = frozenset({"extractive", "local", "scripted"})


def cost(backend: str, model: str, usage: Usage) -> int:
    """The price of `usage` in micro-dollars; 0 for what runs here and for models without a known price."""
    return _price(model, usage) or 0 if backend not in FREE and model else 0


def known(model: str) -> bool:
    return _price(model, Usage(1, 1)) is not None


def _price(model: str, usage: Usage) -> int | None:
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    counts = Counts(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
    )
    try:
        return int((calc_price(counts, model_ref=model).total_price * Decimal(1_000_000)).to_integral_value())
    except (LookupError, ValueError):
        return None
