"""Blame: whether a failure is the job's, the row's or the gateway's, as the failures of others tell."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mediascribe.domain import Failure

_POISONED: Final = 500
_LATELY: Final = 200  # requests
_CLEARLY: Final = 5
_AS_A_RULE: Final = 20
SAME_REFUSALS: Final = 20  # reliability notes 3: the request itself is wrong, not the rows


class FirstAnswers:
    """Whether the first rows of a run are all refused in the same words: then no row can succeed."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._cause: tuple[int | None, str | None] | None = None
        self._count = 0
        self._hopeless = True

    def answered(self) -> None:
        """A row was answered: the request is not wrong as such."""
        self._hopeless = False

    def refused(self, failure: Failure) -> bool:
        """Count a row's *failure*; whether it is one too many of a kind."""
        if not self._hopeless or failure.error_class != "request":
            self._hopeless = False
            return False
        cause = failure.http_status, failure.code
        self._hopeless = self._cause in {None, cause}
        self._cause = cause
        self._count += 1
        return self._hopeless and self._count >= SAME_REFUSALS


class Suspects:
    """Whether a row that the gateway cannot answer is itself the cause.

    Some gateways answer bad media with 500 (reliability notes 3). A row that meets that twice, while others were
    answered all along, would meet it again; the gateway is not down. Where others meet it too, it is the gateway's.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._lately: deque[int | None] = deque(maxlen=_LATELY)
        self._seen = 0
        self._first_at: dict[int, int] = {}
        self._guilty: set[int] = set()

    def answered(self) -> None:
        """Some row was answered well."""
        self._see(None)

    def failed(self, row: int, failure: Failure) -> bool:
        """Count a failure of the gateway's that *row* met; whether the row is to blame."""
        self._see(row)
        if failure.http_status != _POISONED:
            return False
        since = self._seen - self._first_at.setdefault(row, self._seen)
        if not since or not self._alone(row, since, _CLEARLY) or not self._alone(row, _LATELY, _AS_A_RULE):
            return False
        self._guilty.add(row)
        return True

    def _see(self, row: int | None) -> None:
        self._lately.append(row)
        self._seen += 1

    def _alone(self, row: int, last: int, times: int) -> bool:
        """Whether, of the *last* requests, *times* as many were answered as failed, the guilty and *row* aside."""
        seen = list(self._lately)[-last:]
        failed = sum(one is not None and one != row and one not in self._guilty for one in seen)
        answered = seen.count(None)
        return answered > 0 and answered >= times * failed
