"""Attempts: one row's requests, until it has its outcome or the run has to stop.

Order of the guards, outermost first: retry policy, budget reservation, limiter slot, one exchange. Each attempt is
journalled before it leaves and as soon as it is back, before its answer is decoded, priced or counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mediascribe import retry
from mediascribe.blame import SAME_REFUSALS, FirstAnswers, Suspects
from mediascribe.domain import Failure
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    OutageError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.journal import Answered, Excused, GaveUp, Sent, Unanswered
from mediascribe.telemetry import OFF
from mediascribe.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.budget import Budget, BudgetView
    from mediascribe.case import Case
    from mediascribe.client import Client
    from mediascribe.domain import Completion
    from mediascribe.journal import Journal
    from mediascribe.lanes import Lanes
    from mediascribe.limiter import Admission, Limiter, Pacing
    from mediascribe.media.prepared import Preparation
    from mediascribe.question import Question
    from mediascribe.telemetry import Telemetry
    from mediascribe.weights import Weights

_GATEWAY_SIDE: Final = frozenset({"server", "network", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How the gateway is reached: the connections to it, and the quota and the budget that all shards share.

    *lost* says why nothing may be sent any more, when the output is not ours any longer. *media* makes requests ready;
    None where their media go as they are.
    """

    client: Client
    lanes: Lanes
    budget: Budget
    weights: Weights
    lost: Callable[[], str | None] = lambda: None
    media: Preparation | None = None
    telemetry: Telemetry = OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the rows of a run wait for, and how much is spent, at one instant."""

    pacing: Pacing
    budget: BudgetView


class Attempts:
    """Sends the requests of all rows of a run. Belongs to one event loop."""

    def __init__(self, question: Question, reach: Reach, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is sent yet."""
        self._question, self._retry = question, question.job.retry
        self._client, self._lanes = reach.client, reach.lanes
        self._budget, self._weights, self._lost = reach.budget, reach.weights, reach.lost
        self._telemetry = reach.telemetry
        self._stopping = asyncio.Event()
        self._share = retry.RetryShare(self._retry.share, clock=clock, sleep=self.pause)
        self._first, self._suspects = FirstAnswers(), Suspects()
        self.stopped: StopRunError | None = None

    def stop(self, error: StopRunError) -> None:
        """Send nothing more, because of *error*; what is in flight lands."""
        self.stopped = self.stopped or error
        self._stopping.set()
        self._lanes.close()
        self._budget.close()
        self._share.close()

    def watch(self) -> Watch:
        """What the rows wait for, and how much is spent, now."""
        return Watch(pacing=self._lanes.pacing(), budget=self._budget.view())

    async def take(self, case: Case, log: Journal) -> None:
        """Attempt until *case* has an outcome, or the run stops."""
        body = DIALECTS[case.request.dialect].encode(case.request)
        used, began_s = case.used, time.monotonic()
        try:
            met = await self._tried(case, body, log)
            if met is None:
                return
            spent_s = time.monotonic() - began_s
            async for attempt in retry.policy(
                self._retry, used=used, spent_s=spent_s, share=self._share, sleep=self.pause
            ):
                with attempt:
                    if met:
                        first, met = met, None
                        raise first
                    await self._attempt(case, body, log)
        except StopRunError as error:
            self.stop(error)
        except AttemptError:
            if case.outcome is None:
                log.append(GaveUp(row=case.item.row_number, at=time.time()))
                case.give_up()

    async def _tried(self, case: Case, body: bytes, log: Journal) -> AttemptError | None:
        """What the first attempt met, for the policy to judge: most meet nothing, and cost the policy nothing."""
        try:
            await self._attempt(case, body, log)
        except AttemptError as error:
            return error
        return None

    async def pause(self, wait_s: float) -> None:
        """Sleep, but no longer than the run goes on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def _attempt(self, case: Case, body: bytes, log: Journal) -> None:
        """One exchange within budget and limits; raises what is wrong with the answer."""
        sent_before = case.account.attempts
        load = self._weights.load(case.request, case.media)
        reservation = await self._budget.reserve(load.worst)
        lane = self._lanes.of(case.request.model)
        try:
            async with lane.slot(load.expected_tokens) as admission:
                self._see_that_the_output_is_ours()
                if self.stopped:
                    raise self.stopped
                self._share.sent()
                row = case.item.row_number
                sent = Sent(
                    row=row, key=case.key, at=time.time(), nano_usd=load.worst.nano_usd, tokens=load.worst.tokens
                )
                log.append(sent)
                case.sent(sent)
                with self._telemetry.attempt(case) as tried:
                    entry = await self._exchange(case, body, log, lane)
                    # Before the place in the window is free: a refusal holds the next one up.
                    tried.came_to(self._read(case, entry, log, (lane, admission)))
        finally:
            if case.account.attempts == sent_before:
                self._budget.release(reservation)
            else:
                self._budget.settle(reservation, case.account.last)

    def _see_that_the_output_is_ours(self) -> None:
        """Stop the run as soon as another may write its results."""
        if why := self._lost():
            self.stop(StopRunError(Failure(error_class="config", message=f"the output is lost: {why}")))

    async def _exchange(self, case: Case, body: bytes, log: Journal, lane: Limiter) -> Answered:
        """Send, and journal what comes back."""
        dialect, started = DIALECTS[case.request.dialect], time.perf_counter()
        try:
            answer = await self._client.post(dialect.url(self._client.base_url, case.request), body, dialect.headers)
        except AttemptError as error:
            _journal_unanswered(case, error, log)
            raise self._judged(error, case, log, lane) from None
        now = time.time()
        entry = Answered.of(case.item.row_number, answer, at=now, latency_s=time.perf_counter() - started)
        log.append(entry)
        return entry

    def _read(
        self, case: Case, entry: Answered, log: Journal, admitted: tuple[Limiter, Admission]
    ) -> Completion | Failure:
        """What *entry* says; the limiter is told what that says about the gateway."""
        lane, admission = admitted
        lane.heard(entry.headers)
        try:
            outcome = case.answered(entry)
        except RateLimitedError as error:
            lane.settle(admission, 0)
            lane.refused(admission, error.wait_s)
            raise
        except AttemptError as error:
            if isinstance(error, PermanentError) and self._first.refused(error.failure):
                raise _config_error(error.failure) from None
            raise self._judged(error, case, log, lane) from None
        finally:
            if case.account.last:
                lane.settle(admission, case.account.last.tokens)
        self._first.answered()
        self._suspects.answered()
        self._weights.learn(case.request, case.account.last)
        lane.succeeded(admission)
        return outcome

    def _judged(self, error: AttemptError, case: Case, log: Journal, lane: Limiter) -> AttemptError:
        """*error*, or what it means when the gateway is down: an outage costs no attempt, a long one stops the run.

        A request in doubt keeps its type: it may have been billed, whatever the state of the gateway.
        """
        row = case.item.row_number
        if not isinstance(error, TransientError) or error.failure.error_class not in _GATEWAY_SIDE:
            lane.answered()
            return error
        if self._suspects.failed(row, error.failure) and not isinstance(error, InDoubtError):
            return PermanentError(error.failure)
        excused = lane.failed(row, error.failure.message) and not isinstance(error, InDoubtError)
        if excused:
            log.append(Excused(row=row, at=time.time()))
            case.excused()
        outage = lane.outage()
        if outage and outage.lasted_s > self._question.job.limits.outage_stop_s:
            message = f"the gateway has been down for {outage.lasted_s / 60:.0f} min: {outage.why}"
            return StopRunError(replace(error.failure, message=message))
        return OutageError(error.failure, wait_s=error.wait_s) if excused else error


def _config_error(failure: Failure) -> StopRunError:
    message = (
        f"the first {SAME_REFUSALS} rows were all refused alike, so the job is at fault, not they: {failure.message}"
    )
    return StopRunError(replace(failure, error_class="config", message=message))


def _journal_unanswered(case: Case, error: AttemptError, log: Journal) -> None:
    failure, at = error.failure, time.time()
    in_doubt = isinstance(error, InDoubtError | PermanentError)
    row = case.item.row_number
    log.append(Unanswered(row=row, at=at, error_class=failure.error_class, message=failure.message, in_doubt=in_doubt))
    case.unanswered(failure, at, in_doubt=in_doubt)
