"""The pace is unlimited until the first refusal, and then close below what the gateway really takes."""

import pytest
from hidden_quotas import Bucket, Sliding

from mediascribe.pace import Pace


def sent(pace, start, seconds, per_s):
    """So many requests a second leave, whatever the pace."""
    for number in range(int(seconds * per_s)):
        pace.left(start + number / per_s, bound=False)
    return start + seconds


def paced(pace, now, until):
    """Requests leave as the pace allows; the times at which they do."""
    left = []
    while pace.per_s and (now := max(now, pace.ready_at)) < until:
        pace.left(now, bound=True)
        left.append(now)
    return left


def refusals(pace, quota, now, until):
    """Requests leave as the pace allows, and none for a while after a refusal, as in a cooldown; the times of those."""
    refused, series = [], 0
    while (now := max(now, pace.ready_at)) < until:
        pace.left(now, bound=True)
        if quota.take(now):
            if series:
                pace.resumed(now)
            series = 0
            continue
        pace.returned(now)
        pace.refused(now, again=series > 0)
        refused.append(now)
        now, series = now + 0.25 * 2**series, series + 1
    return refused


def refused_at(per_s, seconds=20.0, **limits):
    pace = Pace(**{"most_per_s": None, "burst_s": 1.0} | limits)
    now = sent(pace, 0.0, seconds, per_s)
    pace.refused(now, again=False)
    return pace, now


def test_nothing_is_limited_before_a_refusal():
    """No pace, no wait; and an end of refusals that never began is none."""
    pace = Pace(None, 1.0)
    pace.resumed(1.0)
    sent(pace, 0.0, 10.0, 100)
    assert pace.per_s is None
    assert pace.ready_at < 0


def test_a_refusal_teaches_what_was_taken():
    """Refused at 20 a second: 93 % of that; the first request after the refusal is not held up."""
    pace, now = refused_at(20)
    assert pace.per_s == pytest.approx(0.93 * 20, rel=0.06)
    assert pace.ready_at < now
    pace.left(now + 1, bound=False)
    assert pace.ready_at == pytest.approx(now + 1 + 1 / pace.per_s)


def test_what_was_refused_was_not_taken():
    """Of 20 a second, each second one refused: the pace is learned from ten."""
    pace = Pace(None, 1.0)
    now = sent(pace, 0.0, 20.0, 20)
    for number in range(200):
        pace.returned(number / 10)
    pace.refused(now, again=False)
    assert pace.per_s == pytest.approx(0.93 * 10, rel=0.1)


def test_it_grows_slowly_near_the_ceiling_and_has_doubled_in_half_a_minute():
    """Below the ceiling for 16 s, less than 5 % above it after 18 s, and the double of it after 24 s."""
    pace, now = refused_at(20)
    ceiling = pace.per_s / 0.95
    paced(pace, now, now + 15.5)
    assert 0.98 * ceiling < pace.per_s < ceiling
    paced(pace, now, now + 18)
    assert ceiling < pace.per_s < 1.05 * ceiling
    paced(pace, now, now + 25)
    assert 2 * ceiling <= pace.per_s < 2.2 * ceiling


def test_a_slow_pace_is_probed_more_slowly():
    """At one a second a probe costs a larger share: after 27 s it has grown by less than 1 %."""
    pace, now = refused_at(1, seconds=60.0)
    ceiling = pace.per_s / 0.95
    paced(pace, now, now + 27)
    assert pace.per_s < 1.01 * ceiling


def test_it_grows_only_while_it_is_waited_for():
    """Requests that come more slowly than the pace say nothing about it."""
    pace, now = refused_at(20)
    before = pace.per_s
    sent(pace, now, 60.0, 5)
    assert pace.per_s == before


def test_a_lower_pace_than_before_is_no_reason_to_go_faster():
    """Refused at a pace of 19: the next one is no higher, whatever was taken before, and no lower than a quarter."""
    pace, now = refused_at(20)
    first = pace.per_s
    pace.left(now + 0.3, bound=True)
    pace.refused(now + 0.4, again=False)
    assert first / 4 * 0.93 < pace.per_s <= first


def test_a_quota_that_stays_full_counts_by_the_minute():
    """600 in the first 10 s and then refused for long: ten a second from then on."""
    pace, now = refused_at(60, seconds=10.0)
    pace.refused(now + 8, again=True)
    assert pace.counts_by_minute(now + 8)
    pace.resumed(60.5)
    assert pace.per_s == pytest.approx(0.93 * 10, rel=0.01)
    assert pace.minute_over_at(now) == 60.5


def test_a_burst_is_found_out_by_refusals_at_once():
    """From a full bucket four times its rate is taken in the end; 1.5 s later the pace is within an eighth of it."""
    pace, now = refused_at(10)
    refused_at_s = refusals(pace, Bucket(10.0, burst_s=10.0), now, now + 35)
    assert refused_at_s[-1] - refused_at_s[0] < 1.5
    assert 7 / 8 * 10 < pace.per_s < 9 / 8 * 10


def test_a_quota_by_the_second_is_known_from_the_first_look_behind_a_change():
    """100 a second become 50: after at most four refusals in 2 s the pace is 85 to 100 % of that."""
    pace, now = refused_at(100)
    quota = Sliding(100.0, length_s=1.0)
    refusals(pace, quota, now, now + 10)
    quota.per_s = 50.0
    refused_at_s = refusals(pace, quota, now + 10, now + 20)
    assert len(refused_at_s) <= 4
    assert refused_at_s[-1] - refused_at_s[0] < 2
    assert 0.85 * 50 < pace.per_s <= 50


def test_one_refusal_below_the_ceiling_may_be_chance():
    """When half a second let nothing through, the pace falls half as far as the look; soon after another it falls all.

    Ten of 19.5 in the last second, or one more, as counts are whole: 0.7 to 0.8 of the pace, and 0.7 of that at most.
    """
    pace, now = refused_at(20)
    now, before = paced(pace, now, now + 10)[-1] + 0.5, pace.per_s
    pace.refused(now, again=False)
    assert 0.7 * before < pace.per_s < 0.8 * before
    now, before = paced(pace, now, now + 1.0)[-1] + 0.5, pace.per_s
    pace.refused(now, again=False)
    assert pace.per_s < 0.7 * before


def test_little_evidence_does_not_make_it_slow():
    """Refused from the first request on, as the quota was used up before: one a second, probed as fast as any pace."""
    pace = Pace(None, 1.0)
    pace.left(0.0, bound=False)
    pace.returned(0.0)
    pace.refused(0.1, again=False)
    pace.left(8.0, bound=False)
    pace.resumed(8.0)
    assert pace.per_s == pytest.approx(0.93, rel=0.01)
    paced(pace, 8.0, 38.0)
    assert pace.per_s > 2


def test_it_is_given_up_when_it_has_outgrown_the_configured_one():
    """Above the configured rate the configured one is enough."""
    pace, now = refused_at(20, most_per_s=25.0)
    paced(pace, now, now + 30)
    assert pace.per_s is None


def test_nothing_is_old_when_nothing_left():
    """Without a request in the last minute no window of a minute can be full."""
    assert Pace(None, 1.0).minute_over_at(100.0) is None


def test_where_nothing_is_known_it_feels_its_way():
    """From 16 requests a second with the square of the time: about 116 a second after 10 s; a refusal ends that."""
    pace = Pace(None, 1.0, feels_its_way=True)
    assert pace.per_s == 16
    left = paced(pace, 0.0, 10.0)
    assert pace.per_s == pytest.approx(16 + 100, rel=0.02)
    assert len(left) == pytest.approx(16 * 10 + 1000 / 3, rel=0.03)
    assert not pace.is_learned
    pace.refused(10.0, again=False)
    assert pace.is_learned
    assert pace.per_s < 116
