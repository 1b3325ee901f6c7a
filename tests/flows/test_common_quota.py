"""Two runs of different jobs on one key: processes of their own that meet at a place in a folder or a bucket."""

import signal
import time
from collections import Counter

import pytest
from PIL import Image

from mediascribe.sandbox import Behaviour, Sandbox

pytest_plugins = ("survival",)  # its fixtures
pytestmark = pytest.mark.long

KEY = "sk-canary0123456789abcdef"
PER_MINUTE = 1200
NIGHTLY, BACKFILL = 101, 102  # what the gateway's ledger tells them apart by
JOB = """
name = "{name}"
model = "gemini-2.0-flash"
output = "{name}/out"
[manifest]
path = "m.csv"
[gateway]
base_url = "{base_url}"
[media]
mode = "url"
same_once = false
[prompt]
text = "What is it?"
[parameters]
max_tokens = {tokens}
[limits]
concurrency = 40
requests_per_minute = {per_minute}
common = "{place}"
"""


@pytest.fixture
def asker(tmp_path):
    """A gateway that refuses what is above the quota in any minute."""
    media = tmp_path / "media"
    media.mkdir()
    Image.new("RGB", (16, 16), "red").save(media / "red.png")
    with Sandbox(samples=media, api_key=KEY) as sandbox:
        sandbox.behave("*", Behaviour(latency_s=0.3, jitter_s=0.3, requests_per_minute=PER_MINUTE))
        yield sandbox


class Watched:
    """The gateway's ledger while runs go on."""

    def __init__(self, asker):
        self._asker = asker

    def rates(self, seconds):
        """Requests a minute of either run, in the *seconds* to come."""
        before = self._counts()
        time.sleep(seconds)
        after = self._counts()
        return tuple((after[run] - before[run]) * 60 / seconds for run in (NIGHTLY, BACKFILL))

    def until(self, holds, within_s):
        """Wait until two seconds in a row look as *holds* says; gives how long that took."""
        began_at = time.monotonic()
        while not holds(*self.rates(2.0)):
            assert time.monotonic() - began_at < within_s, self.rates(2.0)
        return time.monotonic() - began_at

    def refused(self):
        return sum(entry.status == 429 for entry in self._asker.ledger())

    def most_in_a_minute(self):
        times = sorted(entry.arrived_at.timestamp() for entry in self._asker.ledger())
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 60:
                first += 1
            most = max(most, last - first + 1)
        return most

    def _counts(self):
        return Counter(entry.parameters["max_tokens"] for entry in self._asker.ledger())


@pytest.fixture
def jobs(asker, tmp_path):
    """`jobs(place)` writes two jobs of many rows; gives the gateway's ledger."""

    def _jobs(place):
        rows = "".join(f"i{number:05d},{asker.media_url}red.png\n" for number in range(20_000))
        (tmp_path / "m.csv").write_text("item_id,image_url\n" + rows)
        for name, tokens in (("nightly", NIGHTLY), ("backfill", BACKFILL)):
            filled = {"name": name, "tokens": tokens, "place": place, "base_url": asker.url, "per_minute": PER_MINUTE}
            (tmp_path / f"{name}.toml").write_text(JOB.format(**filled))
        return Watched(asker)

    return _jobs


def end(*running):
    for one in running:
        if one.poll() is None:
            one.send_signal(signal.SIGKILL)
        one.communicate()


def test_a_backfill_takes_its_share_and_gives_it_back(cli, jobs, capsys):
    """30 % beside the nightly run, all when that has ended, 30 % again when it is back; no 429, however they meet."""
    watched = jobs("quota")
    nightly = cli.start("run", "nightly.toml")
    watched.until(lambda one, _: one >= 0.9 * PER_MINUTE, 60)
    backfill = cli.start("backfill", "backfill.toml", "--share", "0.3")
    try:
        watched.until(lambda _, other: other >= 0.2 * PER_MINUTE, 60)
        time.sleep(5)
        beside = watched.rates(30)
        nightly.send_signal(signal.SIGINT)
        alone_after_s = watched.until(lambda one, other: not one and other >= 0.9 * PER_MINUTE, 30)
        alone = watched.rates(15)
        assert nightly.wait(60) == 130
        nightly.communicate()
        nightly = cli.start("run", "nightly.toml")
        watched.until(lambda one, _: one > 0, 60)
        back_after_s = watched.until(lambda one, _: one >= 0.6 * PER_MINUTE, 30)
        again = watched.rates(20)
    finally:
        end(nightly, backfill)
    with capsys.disabled():
        told = [f"{one:.0f} + {other:.0f}" for one, other in (beside, alone, again)]
        print(  # noqa: T201 - what was measured
            f"\nof {PER_MINUTE} a minute: {told}; all after {alone_after_s:.0f} s, back after {back_after_s:.0f} s;"
            f" most in a minute {watched.most_in_a_minute()}, 429s {watched.refused()}"
        )
    assert beside[0] == pytest.approx(0.7 * PER_MINUTE, rel=0.08)
    assert beside[1] == pytest.approx(0.3 * PER_MINUTE, rel=0.08)
    assert alone[1] >= 0.95 * PER_MINUTE
    assert again[1] == pytest.approx(0.3 * PER_MINUTE, rel=0.1)
    assert watched.refused() == 0


def test_a_killed_lead_is_followed(cli, jobs, bucket, tmp_path, capsys):
    """At a place in a bucket: the run that leads is killed, the other has all of the quota within 40 s, and no 429."""
    watched, work = jobs("s3://bucket/quota"), str(tmp_path / "work")
    nightly = cli.start("run", "nightly.toml", MEDIASCRIBE_WORK=work)
    watched.until(lambda one, _: one >= 0.9 * PER_MINUTE, 60)
    backfill = cli.start("backfill", "backfill.toml", "--share", "0.3", MEDIASCRIBE_WORK=work)
    try:
        watched.until(lambda _, other: other >= 0.2 * PER_MINUTE, 60)
        nightly.send_signal(signal.SIGKILL)
        nightly.wait()
        after_s = watched.until(lambda _, other: other >= 0.9 * PER_MINUTE, 60)
        alone = watched.rates(15)
    finally:
        end(nightly, backfill)
    with capsys.disabled():
        print(f"\na killed lead: all of the quota after {after_s:.0f} s, 429s {watched.refused()}")  # noqa: T201 - as above
    assert after_s <= 40
    assert alone[1] >= 0.95 * PER_MINUTE
    assert watched.refused() == 0
