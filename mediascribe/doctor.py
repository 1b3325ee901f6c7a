"""Doctor: what would go wrong with a job, found before a run is paid for.

Each check says pass, fail or unknown, what was seen, and what to do. It asks about one item of each kind of media,
which costs what these answers cost, and writes nothing to the output.
"""

from __future__ import annotations

import asyncio
import difflib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from mediascribe.errors import AttemptError, ConfigError, MediaError
from mediascribe.fleet.common import place
from mediascribe.models import ENDPOINTS
from mediascribe.redact import redact_text
from mediascribe.wire import DIALECTS
from mediascribe.wire.faults import fault, is_web_page, json_or_none

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from mediascribe.client import Client
    from mediascribe.domain import Completion, Item, MediaKind, Usage
    from mediascribe.job_sections import LimitsSection
    from mediascribe.media.prepared import Preparation
    from mediascribe.pricing import PriceBook
    from mediascribe.question import Question
    from mediascribe.wire import Answer

Verdict = Literal["pass", "fail", "unknown"]
_LOOKED_AT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the diagnosis. `advice` says what to do about it, where there is something to do."""

    name: str
    verdict: Verdict
    said: str
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A job, opened: what it asks, of whom, at which prices."""

    question: Question
    client: Client
    prices: PriceBook
    items: Iterable[Item]
    warnings: Iterable[str] = ()
    media: Preparation | None = None


async def examine(patient: Patient) -> AsyncIterator[Check]:
    """The checks in order, each as soon as it is made."""
    models = await listed(patient.client)
    for check in _gateway_checks(patient, models):
        yield check
    yield _price(patient)
    if common := await _common_quota(patient.question.job.limits):
        yield common
    for warning in patient.warnings:
        yield Check(name="table", verdict="unknown", said=warning)
    if isinstance(models, Check) and models.verdict == "fail":
        return
    quota: Check | None = None
    async for check, answer in _asked(patient):
        yield check
        quota = quota or _quota(answer)
    yield quota or Check(
        name="quota",
        verdict="unknown",
        said="the gateway tells no limits",
        advice="set limits.requests_per_minute and limits.concurrency to what your quota says",
    )


async def listed(client: Client) -> Mapping[str, Any] | Check:
    """The models that the gateway lists to this key, by id; or what is wrong with it."""
    url = f"{client.base_url}/models"
    try:
        answer = await client.get(url)
    except AttemptError as error:
        return Check(name="gateway", verdict="fail", said=str(error), advice="check gateway.base_url and the network")
    if is_web_page(answer):
        said = f"{url} answers with a web page"
        return Check(name="gateway", verdict="fail", said=said, advice="gateway.base_url must end in /v1")
    body = json_or_none(answer.body)
    if answer.status in (401, 403):
        said = f"the gateway refuses the key: {fault(answer)}"
        return Check(name="key", verdict="fail", said=said, advice="check the key, and that it may use this gateway")
    models = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(models, list):
        said = f"{url} answers {answer.status} without a list of models"
        return Check(name="gateway", verdict="unknown", said=said)
    return {str(model["id"]): model for model in models if isinstance(model, Mapping) and model.get("id")}


def _gateway_checks(patient: Patient, listed: Mapping[str, Any] | Check) -> Iterable[Check]:
    if isinstance(listed, Check):
        yield listed
        return
    name, dialect = patient.question.facts.model, patient.question.facts.dialect
    yield Check(name="gateway", verdict="pass", said=f"{patient.client.base_url} answers")
    yield Check(name="key", verdict="pass", said=f"accepted, {len(listed):,} models may be asked")
    plain = name.partition("+")[0]
    if plain not in listed:
        nearest = difflib.get_close_matches(plain, listed, n=3)
        advice = f"did you mean {' or '.join(nearest)}?" if nearest else "ask the operator, or choose a listed one"
        yield Check(name="model", verdict="fail", said=f"{name} is not served to this key", advice=advice)
        return
    yield Check(name="model", verdict="pass", said=f"{name} is served")
    served = {ENDPOINTS.get(str(one)) for one in listed[plain].get("supported_endpoint_types") or ()}
    if not served - {None}:
        yield Check(name="dialect", verdict="unknown", said="the gateway does not say in which dialects it answers")
    elif dialect in served:
        yield Check(name="dialect", verdict="pass", said=f"{dialect} is offered for it")
    else:
        offered = ", ".join(sorted(one for one in served if one))
        advice = f'set gateway.dialect to one of: {offered}, or leave it "auto"'
        yield Check(name="dialect", verdict="fail", said=f"{dialect} is not offered for {name}", advice=advice)


def _price(patient: Patient) -> Check:
    name = patient.question.facts.model
    price = patient.prices.price_of(name, datetime.now(UTC).date())
    if price:
        return Check(name="price", verdict="pass", said=f"known: {price.version}")
    advice = "add an entry to configs/prices.toml"
    return Check(name="price", verdict="fail", said=f"nobody lists a price of {name}", advice=advice)


async def _common_quota(limits: LimitsSection) -> Check | None:
    """Whether the place of a quota that runs share can be used, where the job names one."""
    if limits.common is None:
        return None
    try:
        await asyncio.to_thread(place, limits)
    except ConfigError as error:
        return Check(name="common quota", verdict="fail", said=str(error))
    return Check(name="common quota", verdict="pass", said=f"shared with other runs at {limits.common}")


async def _asked(patient: Patient) -> AsyncIterator[tuple[Check, Answer | None]]:
    """One item of each kind of media, really asked."""
    items = one_of_each(patient.items)
    if not items:
        yield Check(name="media", verdict="unknown", said="no row of the manifest can be asked"), None
    for kind, item in items.items():
        yield await _ask(patient, kind, item)


def one_of_each(items: Iterable[Item]) -> dict[MediaKind, Item]:
    """The first askable item of each kind, alone in its row where there is one such."""
    found: dict[MediaKind, Item] = {}
    for item in itertools.islice(items, _LOOKED_AT):
        for media in item.media:
            alone = len(item.media) == 1 < len(found[media.kind].media) if media.kind in found else True
            if item.problem is None and alone:
                found[media.kind] = item
    return found


async def _ask(patient: Patient, kind: MediaKind, item: Item) -> tuple[Check, Answer | None]:
    """Ask about *item*: was it answered, and were its media looked at?"""
    answer = None
    try:
        request = patient.question.request(item)
        if patient.media:
            made = await patient.media.prepare(request, patient.question.is_streamed)
            request = made.parts[0].request
            patient.media.release(made)
        dialect = DIALECTS[request.dialect]
        url = dialect.url(patient.client.base_url, request)
        answer = await patient.client.post(url, dialect.encode(request), dialect.headers)
        completion = dialect.decode(answer, request)
    except (AttemptError, MediaError, ValueError) as error:
        said = f"{item.item_id}: {redact_text(str(error))}"
        return Check(name=kind, verdict="fail", said=said, advice="is this a good item? see the message"), answer
    return _looked_at(kind, item, completion), answer


def _looked_at(kind: MediaKind, item: Item, completion: Completion) -> Check:
    billed, usage = _media_tokens(kind, completion.usage), completion.usage
    said = f"{item.item_id}: {completion.status}, {usage.prompt_tokens:,} tokens in"
    if "media_ignored" in completion.flags:
        advice = "the gateway dropped the media silently: try another dialect, or send inline"
        return Check(name=kind, verdict="fail", said=f"{said}, none of them for the {kind}", advice=advice)
    if billed:
        return Check(name=kind, verdict="pass", said=f"{said}, {billed:,} of them {kind}")
    return Check(name=kind, verdict="unknown", said=f"{said}; the gateway does not say how many for the {kind}")


def _media_tokens(kind: MediaKind, usage: Usage) -> int:
    return {
        "image": usage.prompt_image_tokens,
        "audio": usage.prompt_audio_tokens,
        "video": usage.prompt_video_tokens,
    }[kind]


def _quota(answer: Answer | None) -> Check | None:
    """The limits that an answer's headers tell."""
    limits = {name: value for name, value in (answer.headers if answer else {}).items() if "ratelimit-limit" in name}
    if not limits:
        return None
    said = ", ".join(f"{name} {value}" for name, value in sorted(limits.items()))
    return Check(name="quota", verdict="pass", said=said)
