"""Apart: a plan drawn up in a process of its own, whose memory goes when it is done.

Comparing 1,000,000 rows takes some hundred MB for some seconds, which a process keeps that goes on to ask about them
for hours. The other process reads its order from standard input, and writes what came of it to standard output. It dies
with the process that waits for it, and never makes a plan that of a run: only who holds the output's lease may.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from mediascribe.errors import MediascribeError
from mediascribe.lineage import end_with_parent

if TYPE_CHECKING:
    from pathlib import Path

    from mediascribe.dataset import RunFacts
    from mediascribe.manifest.listing import Items
    from mediascribe.plan import Plan
    from mediascribe.plan.order import Order
    from mediascribe.store import Store


def draw_up(items: Items, facts: RunFacts, order: Order, store: Store, into: Path) -> Plan:
    """What `plan.draw_up` gives, and raises. *items* are of files of this machine: connections go nowhere else.

    Raises:
        MediascribeError: the process was ended from outside.
    """
    wanted = pickle.dumps((os.getpid(), (items, facts, order, store.address, into)))
    command = [sys.executable, "-P", "-m", "mediascribe.plan.apart"]  # whatever lies in the caller's folder
    done = subprocess.run(command, input=wanted, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise MediascribeError(f"the plan was not made: {_ended(done.returncode)}; start again, nothing was sent")
    drawn: Plan | Exception = pickle.loads(done.stdout)  # noqa: S301 - from the process just started
    if isinstance(drawn, Exception):
        raise drawn
    return drawn


def _ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its process was killed, perhaps because this machine has too little memory"
    return f"its process ended with status {status}"


def main() -> None:
    """Carry out the order on standard input. Ctrl-C is for the process that waits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent, wanted = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from the process that started this one
    end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        return
    from mediascribe import plan, store  # noqa: PLC0415 - what this module belongs to, and what it stands on

    items, facts, order, address, into = wanted
    drawn: Plan | Exception
    try:
        drawn = plan.draw_up(items, facts, order, store.store_at(address), into)
    except (MediascribeError, OSError) as error:
        drawn = error
    sys.stdout.buffer.write(pickle.dumps(drawn))


if __name__ == "__main__":
    main()
