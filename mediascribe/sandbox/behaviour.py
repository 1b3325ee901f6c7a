"""Behaviour: how the sandbox is told to behave, for one model or for all.

In Python it is a value; to the admin API it is a JSON object with the same members; and a request may spell it behind
the model's name, `gemini-2.0-flash+slow=0.2+rpm=600+fault=http_500:0.3`, with these words:

    slow=SECONDS  jitter=SECONDS  seed=NUMBER  pause=SECONDS  chunk=SECONDS  answers=least|most|random
    rpm=NUMBER  tpm=NUMBER  rpd=NUMBER  inflight=NUMBER  window=SECONDS  limiter=window|bucket
    headers=none|openai|anthropic  empty429  retryafter
    outage=SECONDS  outageafter=SECONDS  outagefault=NAME
    fault=NAME[:RATE[:TIMES[:SKIP]]]     as often as wanted, in order

A spelled behaviour stands alone: nothing that was set for the model or for all models is added to it, and its limits
count the requests with exactly this spelling.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from mediascribe.errors import ConfigError
from mediascribe.sandbox.faults import bills, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the table, played for a share `rate` of the requests, at most `times`, never for the first `skip`."""

    name: str
    rate: float = 1.0
    times: int | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        _check_types(self)
        check_name(self.name)
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"fault {self.name!r}: its rate is {self.rate}, and must be 0 to 1")
        if (self.times or 0) < 0 or self.skip < 0:
            raise ConfigError(f"fault {self.name!r}: times and skip must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How requests fare: wait `latency_s` and up to `jitter_s` more, keep to limits, meet the first fault drawn.

    Draws come from `seed` and the request's number in the ledger. `chunk_pause_s` is the pace of streams,
    `byte_pause_s` that of the fault `slow_body`. `answer_tokens` makes answers as short as can be, as long as the
    request allows, or anything between (`length.py`).

    The limits by the minute hold for every stretch of `window_s`, of which each has its share (`limiter` "window"), or
    refill evenly and save up `window_s` seconds' worth, full at first ("bucket"). `requests_per_day` slides over 24 h.
    `max_in_flight` requests are answered at a time. `empty_429` and `retry_after` say how a limit refuses; the gateway
    sends no Retry-After. `rate_headers` tells with every answer, in a vendor's words, what is left.

    For `outage_s` seconds, from `outage_after_s` after the behaviour was set, every request meets the fault `outage`.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    requests_per_day: int | None = None
    window_s: float = 60.0
    limiter: str = "window"
    max_in_flight: int | None = None
    empty_429: bool = False
    retry_after: bool = False
    rate_headers: str = "none"
    outage_s: float = 0.0
    outage_after_s: float = 0.0
    outage: str = "http_503"
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    answer_tokens: str | None = None
    byte_pause_s: float = 0.005
    chunk_pause_s: float = 0.0

    def __post_init__(self) -> None:
        _check_types(self)
        for name in ("latency_s", "jitter_s", "byte_pause_s", "chunk_pause_s", "outage_s", "outage_after_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"behaviour: {name} is {getattr(self, name)}, and must be 0 or more")
        for name in ("requests_per_minute", "tokens_per_minute", "requests_per_day", "window_s", "max_in_flight"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ConfigError(f"behaviour: {name} is {getattr(self, name)}, and must be more than 0")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                wanted = ", ".join(str(choice) for choice in choices if choice)
                raise ConfigError(f"behaviour: {name} is {getattr(self, name)!r}, and must be one of {wanted}")
        if self.limiter == "window" and (self.requests_per_minute or math.inf) * self.window_s < _MINUTE_S:
            raise ConfigError(f"behaviour: window_s is {self.window_s:g}, too short for a single request of the limit")
        check_name(self.outage)
        if bills(self.outage):
            raise ConfigError(f"behaviour: a gateway that is down bills nothing, and {self.outage!r} is billed")


def from_members(members: Mapping[str, Any]) -> Behaviour:
    """The behaviour that a JSON object describes.

    Raises:
        ConfigError: a member is unknown, or has a wrong value.
    """
    _check_members(Behaviour, members)
    faults = members.get("faults", [])
    if not isinstance(faults, list) or not all(isinstance(fault, dict) for fault in faults):
        raise ConfigError("behaviour: faults must be a list of objects")
    for fault in faults:
        _check_members(Fault, fault)
        if "name" not in fault:
            raise ConfigError("behaviour: a fault has no name")
    return Behaviour(**{**members, "faults": tuple(Fault(**fault) for fault in faults)})


def from_words(words: Iterable[str]) -> Behaviour:
    """The behaviour that the words behind a model's name spell.

    Raises:
        ConfigError: a word is unknown, or its value is wrong.
    """
    members: dict[str, Any] = {}
    faults: list[Fault] = []
    for word in words:
        name, _, text = word.partition("=")
        try:
            if name == "fault":
                faults.append(_fault(text))
            else:
                member, read = _WORDS[name]
                members[member] = read(text)
        except KeyError:
            raise ConfigError(f"unknown word {name!r} behind the model's name{_nearest(name, _WORDS)}") from None
        except ValueError:
            raise ConfigError(f"{word!r} behind the model's name: {text!r} is no number") from None
    return Behaviour(**members, faults=tuple(faults))


def _yes(_text: str) -> bool:
    return True


_CHOICES: Final[dict[str, tuple[str | None, ...]]] = {
    "limiter": ("window", "bucket"),
    "rate_headers": ("none", "openai", "anthropic"),
    "answer_tokens": (None, "least", "most", "random"),
}

_WORDS: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "slow": ("latency_s", float),
    "jitter": ("jitter_s", float),
    "rpm": ("requests_per_minute", float),
    "tpm": ("tokens_per_minute", float),
    "rpd": ("requests_per_day", int),
    "inflight": ("max_in_flight", int),
    "window": ("window_s", float),
    "limiter": ("limiter", str),
    "headers": ("rate_headers", str),
    "outage": ("outage_s", float),
    "outageafter": ("outage_after_s", float),
    "outagefault": ("outage", str),
    "answers": ("answer_tokens", str),
    "seed": ("seed", int),
    "pause": ("byte_pause_s", float),
    "chunk": ("chunk_pause_s", float),
    "empty429": ("empty_429", _yes),
    "retryafter": ("retry_after", _yes),
}


def _fault(text: str) -> Fault:
    name, *numbers = text.split(":")
    rate, times, skip = [*numbers, "", "", ""][:3]
    return Fault(name, float(rate or 1), int(times) if times else None, int(skip or 0))


def _check_members(kind: type[Behaviour | Fault], members: Mapping[str, Any]) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    for name in members:
        if name not in names:
            raise ConfigError(f"{kind.__name__.lower()}: unknown member {name!r}{_nearest(name, names)}")


def _nearest(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.4)
    return f"; did you mean {found[0]!r}?" if found else f"; known are {', '.join(names)}"


def _check_types(value: Behaviour | Fault) -> None:
    """Values come from JSON as well, so each must be of its member's type; a whole number will do for a float."""
    for name, kind in get_type_hints(type(value)).items():
        given = getattr(value, name)
        kinds = kind.__args__ if isinstance(kind, types.UnionType) else (kind,)
        accepted = {getattr(one, "__origin__", one) for one in kinds} | ({int} if float in kinds else set())
        if type(given) not in accepted:
            raise ConfigError(f"{type(value).__name__.lower()}: {name} is {given!r}, and must be {_spelled(kinds)}")


def _spelled(kinds: Iterable[Any]) -> str:
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", types.NoneType: "null"}
    return " or ".join(names.get(kind, "a list") for kind in kinds)
