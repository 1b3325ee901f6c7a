"""Planning: a plan that is kept, made beside whatever runs: after what killed runs left behind, and under the lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediascribe import plan, recovery, replacement, run, store, takedown
from mediascribe.landing import Landing
from mediascribe.plan import kept
from mediascribe.store import shipping

if TYPE_CHECKING:
    from mediascribe.inputs import Inputs
    from mediascribe.plan import Order
    from mediascribe.plan.kept import Kept
    from mediascribe.run import RunFile


def make(inputs: Inputs, order: Order) -> tuple[Kept, list[RunFile]]:
    """The plan of what *order* wants, kept, and the killed runs whose answers were published first; asks nothing.

    Raises:
        ConfigError: the manifest cannot be read, the order cannot be followed, or another run holds the output.
        CorruptError: the results cannot be read.
        StoreError: the output's bucket cannot be reached.
    """
    with store.lease(inputs.store, holder="mediascribe: planning"):
        shipping.fetch(inputs.store)
        replacement.settle(inputs.store)
        takedown.resume(inputs.store)
        landing = Landing(store=inputs.store, prices=inputs.prices, ballast=None)
        hold = inputs.job.retry.in_doubt == "hold"
        recovered = [
            run.close(one, recovery.recover(one, landing, hold=hold), landing, interrupted=True)
            for one in plan.unfinished(inputs.store)
        ]
        return kept.make(inputs, order), recovered
