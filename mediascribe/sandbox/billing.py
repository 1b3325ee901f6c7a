"""Billing: the gateway's own log of what it charged, from the ledger, with the ways of charging that surprise people.

A line has the members that the gateway's log has, money in quota: 500,000 are 1 USD (gateway notes 2.2). The ledger
keeps the list price; what is charged beside it is said by a `Billing`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediascribe.sandbox.ledger import Entry
    from mediascribe.sandbox.models import Rates

_NANO_PER_RATIO: Final = 2000  # a ratio of 1 is 2 USD for a million tokens of the prompt
_CONSUMED: Final = 2  # the log's type of a line that charges
_KEY_NAME: Final = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """How the operator charges.

    `markup` multiplies every model's ratio, `group_ratio` what the key's group pays. With `audio_path` a request with
    sound is charged by its text and its sound alone, at `audio_ratio` (gateway notes 2.2). `cached_share` of each
    prompt was in the upstream's cache, is charged at `cache_ratio`, and is not told to the client (gateway notes 2.4).
    `request_ids` and `terms` say whether the log names them, `bearer` whether it takes the key from the header, too:
    older versions do not. `paged` gives pages where they are asked for, as forks do. `is_open` is false where the
    operator keeps no log.
    """

    group_ratio: Decimal = Decimal(1)
    markup: Decimal = Decimal(1)
    audio_path: bool = False
    audio_ratio: Decimal = Decimal(20)
    cached_share: Decimal = Decimal(0)
    cache_ratio: Decimal = Decimal("0.25")
    request_ids: bool = True
    terms: bool = True
    bearer: bool = True
    paged: bool = False
    is_open: bool = True


def log_lines(entries: Iterable[Entry], billing: Billing) -> list[dict[str, Any]]:
    """The lines of the gateway's log for the billed ones of *entries*, in their order."""
    billed = [entry for entry in entries if entry.billed and entry.model in MODELS]
    return [_line(number, entry, billing) for number, entry in enumerate(billed, 1)]


def _line(number: int, entry: Entry, billing: Billing) -> dict[str, Any]:
    quota, other = _charged(entry, billing)
    line = {
        "id": number,
        "created_at": int(entry.arrived_at.timestamp()),
        "type": _CONSUMED,
        "content": "",
        "token_name": _KEY_NAME,
        "model_name": entry.model,
        "quota": quota if entry.total_tokens else 0,
        "prompt_tokens": entry.prompt_tokens,
        "completion_tokens": entry.completion_tokens,
        "use_time": 0,
        "is_stream": entry.stream,
        "group": "default",
        "other": json.dumps(other) if billing.terms else "",
    }
    return line | ({"request_id": entry.request_id} if billing.request_ids else {})


def _charged(entry: Entry, billing: Billing) -> tuple[int, dict[str, Any]]:
    """The quota that *entry* costs, and what the log says about how it came to it."""
    rates = MODELS[entry.model or ""].rates_at(entry.prompt_tokens)
    ratio = Decimal(rates.input) / _NANO_PER_RATIO * billing.markup
    completion_ratio = _binary(Decimal(rates.output) / rates.input)
    other: dict[str, Any] = {
        "model_ratio": float(ratio),
        "group_ratio": float(billing.group_ratio),
        "completion_ratio": float(completion_ratio),
        "cache_tokens": 0,
        "cache_ratio": float(billing.cache_ratio),
        "model_price": -1,
        "user_group_ratio": -1,
        "frt": 0,
    }
    if entry.audio_tokens and billing.audio_path:
        tokens, more = _by_sound_alone(entry, billing)
    else:
        tokens, more = _in_full(entry, rates, billing, completion_ratio)
    quota = (tokens * ratio * billing.group_ratio).quantize(Decimal(1), ROUND_HALF_UP)
    return max(1, int(quota)) if ratio else 0, other | more


def _by_sound_alone(entry: Entry, billing: Billing) -> tuple[Decimal, dict[str, Any]]:
    """What the audio path counts, in tokens of the prompt: not pictures, and no answer that is not told apart."""
    more = {
        "audio": True,
        "audio_input": entry.audio_tokens,
        "audio_output": 0,
        "text_input": entry.text_tokens,
        "text_output": 0,
        "audio_ratio": float(billing.audio_ratio),
        "audio_completion_ratio": 1,
    }
    return entry.text_tokens + entry.audio_tokens * billing.audio_ratio, more


def _in_full(entry: Entry, rates: Rates, billing: Billing, completion_ratio: Decimal) -> tuple[Decimal, dict[str, Any]]:
    """All tokens of *entry* in tokens of the prompt: sound at a price of its own where the model has one."""
    cached = int(entry.prompt_tokens * billing.cached_share)
    tokens = entry.prompt_tokens - cached + cached * billing.cache_ratio + entry.completion_tokens * completion_ratio
    more: dict[str, Any] = {"cache_tokens": cached}
    if entry.audio_tokens and rates.audio != rates.input:
        price = Decimal(rates.audio) * billing.markup
        tokens += entry.audio_tokens * (price / (rates.input * billing.markup) - 1)
        more |= {
            "audio_input_seperate_price": True,  # the gateway's own spelling
            "audio_input_token_count": entry.audio_tokens,
            "audio_input_price": float(price / 1000),
        }
    return tokens, more


def _binary(ratio: Decimal) -> Decimal:
    """*ratio* as the gateway keeps it: a binary fraction."""
    return Decimal(repr(float(ratio)))
