"""Rows, hosts and prompts that cost far above their group, and two runs side by side."""

from __future__ import annotations

import pytest

from mediascribe.cost import Rows, compare, outliers
from mediascribe.domain import Cost, Media
from mediascribe.errors import ConfigError
from mediascribe.part import write_part

pytestmark = pytest.mark.wide

FIRST, SECOND = "20261123T010000Z-aaaaaa", "20261124T010000Z-bbbbbb"


def usual(build, count, *, start=0, cost=34_300, **changes):
    """*count* rows of the plain answer, each a nano-dollar dearer than the one before."""
    return [
        build.record(
            f"i{number}", number, cost=Cost(nano_usd=cost + number, price_version="2025-02-05 google"), **changes
        )
        for number in range(start, start + count)
    ]


def one(build, nano_usd, outcome, **changes):
    """A row of its own."""
    priced = Cost(nano_usd=nano_usd, price_version=changes.pop("version", "2025-02-05 google"))
    return build.record("odd", 900, cost=priced, outcome=outcome, **changes)


class TestRows:
    """`outliers`: rows."""

    @pytest.mark.parametrize(
        ("odd", "reason"),
        [
            (({"completion_tokens": 900}, {}), "long answer: 900 tokens, 20 in its group"),
            (({"completion_tokens": 900, "reasoning_tokens": 880}, {}), "reasoning: 880 tokens, 0 in its group"),
            (
                ({"prompt_tokens": 5005, "prompt_image_tokens": 5000}, {}),
                "many media tokens: 5,000 tokens, 258 in its group",
            ),
            (({"prompt_tokens": 763, "prompt_audio_tokens": 500}, {}), "many media tokens (sound): 500 tokens, 0"),
            (
                ({"prompt_tokens": 5258}, {}),
                "long prompt, or media that are not told apart: 5,000 tokens, 5 in its group",
            ),
            (({}, {"wasted_tokens": 800, "attempts": 4}), "attempts whose answer was not kept: 800 tokens, 0"),
            (({}, {}), "another price, or no more tokens than usual"),
            (({"completion_tokens": 900}, {"version": "2020-01-01 gone"}), "long answer: 900 tokens, 20 in its group"),
        ],
    )
    def test_a_dear_row_is_named_with_what_is_dear_about_it(self, store, build, odd, reason):
        """Eleven rows of 34,300 nano-dollars and one of 400,000: it alone, with the part that weighs most."""
        usage, changes = odd
        outcome = build.completion(usage=build.usage(**usage))
        records = [*usual(build, 11), one(build, 400_000, outcome, **changes)]
        write_part(store, build.facts(), build.shard(rows=12), records)
        (found,) = outliers([str(store.root)]).to_dict("records")
        assert (found["outlier"], found["name"], found["model"], found["media_kind"]) == (
            "row",
            "odd",
            "gemini-2.0-flash",
            "image",
        )
        assert (found["rows"], found["cost_usd"]) == (1, 0.0004)
        assert found["median_usd"] == pytest.approx(34_305.5e-9)  # of 34,300 ... 34,310 and 400,000
        assert found["times"] == pytest.approx(400_000 / 34_305.5)
        assert found["reason"].startswith(reason)

    def test_a_spread_that_is_usual_is_no_outlier(self, store, build, publish):
        """Costs of 1 to 20: the dearest is 1.9 times the median, and no more than two deviations beyond it."""
        publish([build.record(f"i{number}", number, nano_usd=number) for number in range(1, 21)])
        assert outliers([str(store.root)]).empty

    def test_a_few_rows_are_no_group(self, store, build, publish):
        """Of four rows nobody can say what is usual."""
        publish([*usual(build, 3), one(build, 400_000, build.completion())])
        assert outliers([str(store.root)]).empty

    def test_each_group_has_its_own_usual(self, store, build, publish):
        """Sounds that all cost ten times an image are no outliers by media kind, and are without it."""
        sound = {"media": (Media(kind="audio", url="https://cdn.example/x.mp3"),)}
        sounds = [
            build.record(item=build.item(f"s{number}", 50 + number, **sound), nano_usd=343_000) for number in range(6)
        ]
        publish([*usual(build, 30), *sounds])
        assert outliers([str(store.root)]).empty
        assert set(outliers([str(store.root)], by=["day"])["day"]) == {"2026-11-23"}
        assert len(outliers([str(store.root)], by=["day"], each=2).query("outlier == 'row'")) == 2

    def test_rows_without_a_cost_are_left_out(self, store, build, publish):
        """Unknown is not far out."""
        publish([*usual(build, 11), build.record("odd", 900)])
        assert outliers([str(store.root)], rows=Rows(where="status = 'ok'")).empty

    def test_where_the_usual_is_free_there_is_no_number_of_times(self, store, build, publish):
        """Nothing is a multiple of 0."""
        free = [build.record(f"i{number}", number, nano_usd=0) for number in range(6)]
        publish([*free, build.record("odd", 900, nano_usd=5)])
        assert outliers([str(store.root)])["times"].isna().all()


class TestHostsAndPrompts:
    """`outliers`: hosts and prompts."""

    def test_a_host_whose_usual_row_is_dear_is_named(self, store, build, publish):
        """Five rows of one host cost ten times the others."""
        media = [(Media(kind="image", url=f"https://huge.example:8443/{number}.jpg"),) for number in range(5)]
        dear = [
            build.record(item=build.item(f"h{number}", 90 + number, media=one_media), nano_usd=343_000)
            for number, one_media in enumerate(media)
        ]
        publish([*usual(build, 30), *dear])
        found = outliers([str(store.root)]).query("outlier == 'host'").to_dict("records")
        assert [(line["name"], line["rows"], line["cost_usd"]) for line in found] == [
            ("huge.example:8443", 5, 0.001715)
        ]

    def test_a_prompt_whose_usual_row_is_dear_is_named(self, store, build, publish):
        """The second prompt's answers are long."""
        long = build.completion(usage=build.usage(completion_tokens=2_000))
        publish(usual(build, 30))
        publish(usual(build, 6, start=50, cost=800_000, outcome=long), number=1, prompt_id="essay")
        found = outliers([str(store.root)]).query("outlier == 'prompt'").to_dict("records")
        assert [(line["name"], line["rows"]) for line in found] == [("essay", 6)]
        assert found[0]["reason"] == "long answer: 2,000 tokens, 20 in its group"


@pytest.fixture
def runs(store, build, publish):
    """Two runs with two items in common, one of which failed in the second."""
    publish([build.record("a", 1, nano_usd=10), build.record("b", 2, nano_usd=20)], run_id=FIRST)
    publish(
        [
            build.record("b", 1, outcome=build.failure()),
            build.record("a", 2, nano_usd=5),
            build.record("c", 3, nano_usd=100),
        ],
        run_id=SECOND,
    )
    return str(store.root)


class TestCompare:
    """`compare`."""

    def test_two_runs_side_by_side(self, runs):
        """30 and 105 nano-dollars in all; over the common items 30 and 5; one went from ok to failed."""
        frame = compare([runs], FIRST, "20261124").set_index("measure")
        assert list(frame.loc["rows"]) == [2, 3, 1, 2, 2, 0]
        assert list(frame.loc["ok"]) == [2, 2, 0, 2, 1, -1]
        assert list(frame.loc["cost_usd"]) == [30e-9, 105e-9, 75e-9, 30e-9, 5e-9, -25e-9]
        assert list(frame.loc["completion_tokens"]) == [40, 40, 0, 40, 20, -20]
        assert frame.loc["ok -> failed", "second_common"] == 1
        assert "failed -> ok" not in frame.index

    def test_an_unknown_cost_is_no_difference(self, store, build, publish):
        """Where one run has no price, the change is unknown, not the whole of the other."""
        publish([build.record("a", nano_usd=10)], run_id=FIRST)
        publish([build.record("a")], run_id=SECOND)
        frame = compare([str(store.root)], FIRST, SECOND).set_index("measure")
        assert list(frame.loc["cost_usd"]) == [10e-9, None, None, 10e-9, None, None]

    @pytest.mark.parametrize(
        ("pair", "says"),
        [
            ((FIRST, "20261124T010000Z-bbbbbc"), f"did you mean {SECOND}"),
            ((FIRST, "zzz"), f"the latest is {SECOND}"),
            ((FIRST, "202611"), f"may be {FIRST} or {SECOND}: write more"),
            ((FIRST, FIRST), "is one run: name two"),
        ],
    )
    def test_a_run_that_is_not_there_is_refused(self, runs, pair, says):
        """With what there is."""
        with pytest.raises(ConfigError, match=says):
            compare([runs], *pair)

    def test_of_no_rows_there_is_no_run(self, runs):
        """The message does not name a run that there is not."""
        with pytest.raises(ConfigError, match="there are no rows"):
            compare([runs], FIRST, SECOND, rows=Rows(where="false"))
