"""A judge of what a run that met a fault left behind: the sandbox's ledger against journals, run files and Parquet.

The job under judgement asks `What is {{ item_id }}?`, so that the ledger tells the rows apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from http import HTTPStatus
from pathlib import Path

import pyarrow.parquet as pq

from mediascribe import dataset, journal
from mediascribe.verification import verify

QUESTION = "What is {{ item_id }}?"
OUT_WORK = Path("out/_work")  # of a local output
_REQUEST_ID = "x-oneapi-request-id"


class Judge:
    """Looks at the work folder after every kill, and says in the end whether all promises were kept."""

    def __init__(self, gateway, items):
        self.gateway = gateway
        self._asked = {}
        self.doubts = {}  # (run, row) -> item: sent, and no answer is in the journal
        self.received = {}  # request id -> item: the journal has the whole answer
        self.received_at = {}  # request id -> when
        self.kills = 0
        self.expect(items)

    def expect(self, items, question="What is {}?"):
        """Items that are to have a result in the end, beside earlier ones; and how they are asked about."""
        self._asked |= {hashlib.sha256(question.format(item).encode()).hexdigest(): item for item in items}

    def look(self, work):
        """Note what the journals in the folder *work* hold, once whatever wrote them is dead."""
        self.kills += 1
        for folder in sorted(work.glob("journal/*/*/")):
            run_id, rows = folder.parent.name, journal.replay(folder).rows
            if rows:
                items = _planned(work / f"plans/{run_id}.parquet")
                for row, entries in rows.items():
                    self._note(run_id, row, items[row], entries)

    def _note(self, run_id, row, item, entries):
        waiting = False
        for entry in entries:
            waiting = isinstance(entry, journal.Sent) or (waiting and not _ends(entry))
            if isinstance(entry, journal.Answered) and entry.status == HTTPStatus.OK:
                self.received[entry.headers[_REQUEST_ID]] = item
                self.received_at[entry.headers[_REQUEST_ID]] = entry.at
        if waiting:
            self.doubts[run_id, row] = item

    def billed(self):
        """How many times each item was billed."""
        self.gateway.drain()
        return Counter(self._asked[entry.prompt_sha256] for entry in self.gateway.ledger() if entry.billed)

    def billed_again(self):
        """The bills beyond the first one of each item."""
        return Counter({item: times - 1 for item, times in self.billed().items() if times > 1})

    def convict(self, output, *, excused=()):
        """Everything that is wrong, in words; [] where every promise was kept.

        *excused* are items whose journal was damaged on purpose.
        """
        rows = dataset.history(output).to_pylist()
        kept = {row["gateway_request_id"] for row in rows}
        doubtful, excused = Counter(self.doubts.values()), set(excused)
        wrong = [f"not verified: {problem}" for problem in verify(output).problems]
        wrong += [f"{item} has {n} results" for item, n in Counter(row["item_id"] for row in rows).items() if n > 1]
        wrong += [f"{item} was lost" for item in set(self._asked.values()).difference(row["item_id"] for row in rows)]
        wrong += [
            f"the answer {request_id} about {item} was received, and is not in the results"
            for request_id, item in self.received.items()
            if request_id not in kept and item not in excused
        ]
        wrong += [
            f"{item} was billed {again + 1} times, and was in doubt {doubtful[item]} times"
            for item, again in self.billed_again().items()
            if again > doubtful[item] and item not in excused
        ]
        wrong += [
            f"the answer {entry.request_id} about {item} was delivered, is not in the results and was never in doubt"
            for entry in self.gateway.ledger()
            if entry.billed and entry.finished and entry.request_id not in kept
            if (item := self._asked[entry.prompt_sha256]) not in doubtful and item not in excused
        ]
        counted = sum(run["in_doubt"] for run in dataset.runs(output))
        if counted != len(self.doubts):
            wrong.append(f"the run files count {counted} requests in doubt, the journals had {len(self.doubts)}")
        return wrong


def _ends(entry):
    return isinstance(entry, journal.Answered | journal.Unanswered)


def _planned(path):
    """The item of each row of a plan."""
    table = pq.read_table(path, columns=["row_number", "item_id"])
    return dict(zip(table["row_number"].to_pylist(), table["item_id"].to_pylist(), strict=True))


def answered(gateway):
    """How many answers were delivered."""
    return sum(entry.finished and entry.billed for entry in gateway.ledger())


def wait_for(condition, running, timeout_s=60):
    """Return when *condition* holds; *running* must not end before."""
    for _ in range(timeout_s * 200):
        if condition():
            return
        assert not running.is_over(0.005), running.wait()
    raise TimeoutError(f"waited in vain: {running.said()}")


def killed_midway(running, judge, answers, work=OUT_WORK):
    """Kill *running* when it has so many answers, and let *judge* look at what it left."""
    wait_for(lambda: answered(judge.gateway) >= answers, running)
    running.kill()
    judge.look(work)
