"""Every error that mediascribe raises.

    MediascribeError
    ├── ConfigError              the job, the manifest or the command is wrong; exit status 2, nothing sent
    │   └── OutputInUse          another run holds the output
    ├── CorruptError             a file of ours does not hold what we wrote
    ├── StoreError               the object store cannot be reached, refuses, or fails; exit status 1, resumable
    ├── DiskError                the disk is full, or fails; exit status 1, resumable
    ├── MediaError               a medium cannot be sent, as was found before asking; carries a Failure
    └── AttemptError             one attempt gave no answer to keep; carries a Failure
        ├── PermanentError       the same request would fail again: the row fails now
        ├── TransientError       the next attempt may succeed; costs one of the row's attempts
        │   └── InDoubtError     sent, and no whole answer came back: it may have been billed
        ├── RateLimitedError     the quota is used up for now: everybody waits, no attempt is lost
        ├── OutageError          the gateway is down: everybody waits, no attempt is lost
        └── StopRunError         no row can succeed: key rejected, balance empty, model not served
            ├── SpentError       a budget or the day's quota is used up
            └── DrainError       the run was told to stop

Retry is decided by these types, never by a message's text (`retry.py`). `wire.faults` is the table from an HTTP answer
to one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediascribe.domain import Failure


class MediascribeError(Exception):
    """The root of the tree."""


class ConfigError(MediascribeError):
    """Something that the user wrote is wrong: names the file, the place, the value and what to do."""


class OutputInUse(ConfigError):  # noqa: N818 - a state of the output, not a defect
    """Another run holds the lease of this output."""


class CorruptError(MediascribeError):
    """A file of ours does not hold what was written."""


class StoreError(MediascribeError):
    """The object store cannot be reached, refuses, or fails; what was received is safe in the local work folder."""


class DiskError(MediascribeError):
    """The disk is full, or fails: says how much room is needed; what was received is safe in the journal."""


class MediaError(MediascribeError):
    """A medium cannot be sent: found before anything was sent, so that the row is skipped and nothing is paid."""

    def __init__(self, failure: Failure) -> None:
        """Carry *failure*, whose class says whether a later look may find better: `network` and `timeout` may."""
        super().__init__(failure.message)
        self.failure = failure


class AttemptError(MediascribeError):
    """One attempt gave no answer to keep."""

    def __init__(self, failure: Failure, *, wait_s: float | None = None) -> None:
        """Carry *failure*, and the wait in seconds that the gateway asked for, if it did."""
        super().__init__(failure.message)
        self.failure = failure
        self.wait_s = wait_s


class PermanentError(AttemptError):
    """The same request would fail again."""


class TransientError(AttemptError):
    """The next attempt may succeed."""


class InDoubtError(TransientError):
    """The request was sent and no whole answer came back: it may have been billed."""


class RateLimitedError(AttemptError):
    """The quota is used up for now."""


class OutageError(AttemptError):
    """The gateway is down, as other rows found too."""


class StopRunError(AttemptError):
    """No row of this run can succeed."""


class SpentError(StopRunError):
    """A budget, or the quota of the day, is used up: the run can go on with more of it, or later."""


class DrainError(StopRunError):
    """The run was told to stop: what is in flight still lands."""
