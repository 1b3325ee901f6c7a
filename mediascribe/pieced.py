"""Pieced: a row whose long medium is asked in pieces, each a case of its own, and put together again.

Rules of this file:

- The journal keeps each piece under a number of its own (`number`), so that a row resumed asks only what is missing.
  Before the first piece it has the pieces themselves: recovery puts an answer together only where all of them have one.
- The row's answer has all texts with their times, or is that of one more question (`join = "ask"`), which is piece 0.
- A piece that failed fails the row; what the others said stays in its description, and all are in its cost.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mediascribe.case import Case
from mediascribe.domain import Completion, Cost, Failure, Record, Usage
from mediascribe.journal import Split
from mediascribe.media import stitch
from mediascribe.media.pieces import Piece
from mediascribe.media.prepared import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mediascribe.case import Fit
    from mediascribe.desk import Row
    from mediascribe.domain import CompletionStatus, Media, UsageSource
    from mediascribe.journal import Entry
    from mediascribe.pricing import PriceBook

_MOST_PIECES: Final = 10_000
_COUNTED: Final = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens"),
    *("prompt_text_tokens", "prompt_image_tokens", "prompt_audio_tokens", "prompt_video_tokens"),
    *("completion_text_tokens", "completion_audio_tokens", "reasoning_tokens"),
)
_WORST_FIRST: Final[tuple[CompletionStatus, ...]] = ("refused", "truncated", "ok")


class Pieced:
    """The pieces of one row, live: the cases to ask, and what they come to together."""

    def __init__(self, row: Row, found: Mapping[int, Sequence[Entry]], prices: PriceBook, fit: Fit) -> None:
        """Open a case for each piece; what the journal *found* of the same pieces is taken up again."""
        parts = row.prepared.parts if row.prepared else ()
        self._whole, self._prices, self._fit = row.case, prices, fit
        self._found: Mapping[int, Sequence[Entry]] = {}
        self.pieces = tuple(part.piece for part in parts if part.piece)
        self._known = pieces_of(found.get(row.due.item.row_number, ())) == self.pieces
        if self._known:
            self._found = found
        self.cases = [self._case(part, part.piece.number + 1) for part in parts if part.piece]
        self._joining: Case | None = None

    def split(self) -> Split | None:
        """What the journal has to know before the first piece is asked, if it does not yet."""
        if self._known:
            return None
        seconds = [(piece.start_s, piece.end_s) for piece in self.pieces]
        return Split(row=self._whole.item.row_number, at=time.time(), seconds=seconds)

    def join(self) -> Case | None:
        """The question that makes one description of all; None where a piece has no answer."""
        said = texts(self.pieces, self.cases)
        if len(said) < len(self.cases):
            return None
        request = replace(
            self._whole.request, prompt=stitch.ask_prompt(self._whole.request.prompt, said), media=(), identity=()
        )
        self._joining = self._case(Part(request=request, each=()), 0)
        return self._joining

    def record(self) -> Record | None:
        """The row's record; None where the run stopped before every piece had its outcome."""
        asked = [*self.cases, *([self._joining] if self._joining else [])]
        return (
            record(self._whole, self.pieces, self.cases, self._joining) if all(one.outcome for one in asked) else None
        )

    def _case(self, part: Part, place: int) -> Case:
        whole, row = self._whole, number(self._whole.item.row_number, place)
        identity = tuple(_piece_of(media, part.piece) for media in part.request.identity)
        request = replace(part.request, identity=identity)
        case = Case(replace(whole.item, row_number=row), whole.reason, request, self._prices, fit=self._fit)
        case.media = part.each
        case.replay(self._found.get(row, ()))
        return case


def _piece_of(media: Media, piece: Piece | None) -> Media:
    """*media* by the name of its *piece*, as media fragments are named."""
    return media if piece is None else replace(media, url=f"{media.url}#t={piece.start_s:.3f},{piece.end_s:.3f}")


def number(row_number: int, piece: int) -> int:
    """The number by which the journal knows a piece of a row: below 0, where no row is; piece 0 joins the others."""
    return -(row_number * _MOST_PIECES + piece)


def pieces_of(entries: Iterable[Entry]) -> tuple[Piece, ...] | None:
    """The pieces that a row's *entries* in the journal tell of; None where it is asked as a whole."""
    for entry in entries:
        if isinstance(entry, Split):
            return tuple(Piece(number=place, start_s=a, end_s=b) for place, (a, b) in enumerate(entry.seconds))
    return None


def texts(pieces: Sequence[Piece], cases: Sequence[Case]) -> list[tuple[Piece, str]]:
    """What was said of each piece that has an answer."""
    found = []
    for piece, case in zip(pieces, cases, strict=True):
        if isinstance(case.outcome, Completion):
            found.append((piece, case.outcome.text))
    return found


def record(whole: Case, pieces: Sequence[Piece], cases: Sequence[Case], joining: Case | None = None) -> Record:
    """The record of the row *whole*, whose *pieces* came to *cases*; *joining* asked for one description of all.

    Every case has its outcome.
    """
    asked = [*cases, *([joining] if joining else [])]
    records = [case.record() for case in asked]
    costs = [one.cost for one in records if one.attempts]
    priced = [cost for cost in costs if cost]
    return Record(
        item=whole.item,
        reason=whole.reason,
        outcome=_outcome(pieces, cases, joining),
        request_key=whole.key,
        cost=Cost(nano_usd=sum(one.nano_usd for one in priced), price_version=priced[-1].price_version)
        if priced and len(priced) == len(costs)
        else None,
        attempts=sum(one.attempts for one in records),
        wasted_tokens=sum(one.wasted_tokens for one in records),
        requested_at=min((one.requested_at for one in records if one.requested_at), default=None),
        completed_at=max((one.completed_at for one in records if one.completed_at), default=None),
        latency_s=sum(one.latency_s for one in records if one.latency_s) or None,
    )


def _outcome(pieces: Sequence[Piece], cases: Sequence[Case], joining: Case | None) -> Completion | Failure:
    outcomes = [case.outcome for case in (*cases, *([joining] if joining else [])) if case.outcome]
    usage, text = _total([one.usage for one in outcomes]), stitch.joined(texts(pieces, cases))
    flags = tuple(dict.fromkeys(flag for one in outcomes for flag in one.flags))
    ids = " ".join(one.gateway_request_id for one in outcomes if one.gateway_request_id) or None
    for place, one in enumerate(outcomes):
        if isinstance(one, Failure):
            part = "the question that joins its pieces" if place == len(cases) else f"piece {place + 1} of {len(cases)}"
            message = f"{part}: {one.message}"
            return replace(one, message=message, usage=usage, flags=flags, text=text or None, gateway_request_id=ids)
    answers = [one for one in outcomes if isinstance(one, Completion)]
    return replace(
        answers[-1],
        status=next(status for status in _WORST_FIRST if any(one.status == status for one in answers)),
        text=answers[-1].text if joining else text,
        usage=usage,
        flags=flags,
        response_id=None,
        gateway_request_id=ids,
    )


def _total(usages: Sequence[Usage]) -> Usage:
    """All tokens together; how far to trust them is what the least trusted of them says."""
    order: tuple[UsageSource, ...] = ("missing", "estimated", "derived", "reported", "shared")
    source: UsageSource = min((one.source for one in usages), key=order.index)
    return Usage(**{name: sum(getattr(one, name) for one in usages) for name in _COUNTED}, source=source)
