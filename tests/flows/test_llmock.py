"""The command against LLMock, a gateway with real quotas and scripted faults that judges its client.

Its verdict knows a retry by its body, so every row here asks about a picture of its own. Its errors carry a Retry-After
(one second, where a test names none), and every one of them must be heeded.
"""

import collections
import random

import pytest

from mediascribe import dataset

SHORT_WAITS = "[retry]\nfirst_wait_s = 0.2\n"


@pytest.fixture
def described(cli, job, llmock):
    """`described(rows)`: run a job of so many rows against LLMock; gives how many rows have which status."""

    def _described(rows, *, top="", gateway="", more=SHORT_WAITS):
        names = [f"i{number:04d}" for number in range(rows)]
        manifest = "item_id,image_url\n" + "".join(f"{name},http://127.0.0.1:9/{name}.png\n" for name in names)
        path = cli.folder / job(base_url=llmock.base_url("openai"), manifest=manifest, top=top, more=more)
        path.write_text(path.read_text().replace("[prompt]", f"{gateway}\n[prompt]"))
        ended = cli("run", path.name)
        assert ended.status == 0, ended
        found = dataset.current(cli.folder / "out").to_pylist()
        assert sorted(row["item_id"] for row in found) == names
        assert sum(row["attempts"] for row in found) == len(llmock.requests)
        return collections.Counter(row["status"] for row in found)

    return _described


def test_faults_of_every_kind_are_judged_resilient(described, llmock):
    """Rate limits, crashes, an overload and two refusals: waited out, retried or kept, each as it should be."""
    llmock.rate_limit(times=2, retry_after=0.6).fail(500, times=2).fail(503, retry_after=0.3).fail(400, times=2)
    assert described(30) == {"ok": 28, "failed": 2}
    llmock.assert_resilient(strict=True)
    assert llmock.verdict().faults == 7


def test_an_outage_is_waited_out(described, llmock):
    """Fourteen 503s on end: no row fails, nobody storms, and the wait that each asked for holds when it is over."""
    llmock.fail(503, times=14)
    assert described(60) == {"ok": 60}
    llmock.assert_resilient(strict=True)


def test_a_quota_that_nobody_told_is_found(described, llmock):
    """Sixty at once, then one a second: four rows wait as long as they are told, and no row fails."""
    llmock.limits(rpm=60)
    assert described(64) == {"ok": 64}
    llmock.assert_resilient(strict=True)
    assert llmock.verdict().faults > 0


@pytest.mark.long
def test_a_quota_that_is_known_is_kept(described, llmock):
    """A minute's quota is in LLMock's bucket at first; paced by the job, no request is refused."""
    llmock.limits(rpm=300, tpm=100_000)
    more = "[limits]\nrequests_per_minute = 300\ntokens_per_minute = 100000\n"
    assert described(150, more=more, top="parameters = { max_tokens = 100 }") == {"ok": 150}
    llmock.assert_resilient(strict=True)
    assert llmock.verdict().faults == 0


@pytest.mark.long
@pytest.mark.parametrize("quota", [{"rpm": 300}, {"rpm": 6000, "tpm": 60_000}])
def test_a_long_run_over_hidden_quotas_and_faults(described, llmock, quota):
    """More rows than the bucket holds, with faults among them: every row is accounted for, and the verdict is clean."""
    llmock.limits(**quota).fail(500, times=6).fail(503, times=4).fail(400, times=3)
    assert described(500, top="parameters = { max_tokens = 100 }") == {"ok": 497, "failed": 3}
    llmock.assert_resilient(strict=True)


def test_a_timeout_is_resent_once(described, llmock, cli):
    """An answer that takes longer than the job waits is asked for again, and counted in doubt."""
    llmock.delay(3.0, times=2)
    assert described(10, gateway="total_timeout_s = 1.0") == {"ok": 10}
    llmock.assert_resilient(strict=True)
    assert [run["in_doubt"] for run in dataset.runs(cli.folder / "out")] == [2]


def test_broken_streams_are_no_answers(described, llmock):
    """A stream that is cut, dropped or garbled is asked for again.

    The judge takes a garbled stream for a good one, and so misses that it was asked for again: it only warns.
    """
    llmock.truncate(after_chunks=2).disconnect(after_chunks=2).corrupt(after_chunks=2)
    assert described(12, gateway='stream = "always"') == {"ok": 12}
    assert {finding.code for finding in llmock.verdict().findings} == {"malformed_chunk_ignored"}
    assert len(llmock.requests) == 12 + 3


def test_a_row_that_fails_again_waits_longer(described, llmock, monkeypatch):
    """Two failures without a word about how long to wait: the second wait is the longer.

    Full jitter may draw it shorter, which the judge takes for a constant interval; so here the longest is drawn.
    """
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    llmock.fail(520, times=2)
    assert described(1) == {"ok": 1}
    llmock.assert_resilient(strict=True)
    first, second, third = llmock.requests
    assert (first.retry_after, second.retry_after) == (None, None)
    assert third.started_at - second.ended_at > second.started_at - first.ended_at > 0.15
