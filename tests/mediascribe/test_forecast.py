"""A forecast: by rules where media are known, learned where not, and a guess that says so; with an honest interval."""

import json
import math

import numpy as np
import pytest

from mediascribe import forecast, pilot, plan
from mediascribe.domain import Media
from mediascribe.errors import ConfigError
from mediascribe.forecast import lessons, measures, speed, strata
from mediascribe.forecast.whatif import Scale, WhatIf, parse
from mediascribe.inputs import check
from mediascribe.job_sections import LimitsSection, MediaSection
from mediascribe.media.tokens import Facts
from mediascribe.models import Model
from mediascribe.part import write_part
from mediascribe.wanted import Wanted

RUN_1, RUN_2 = "20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb"
JOB = """
name = "demo"
model = "{model}"
output = "{folder}/out"
[manifest]
path = "{folder}/m.jsonl"
[gateway]
base_url = "sandbox"
[prompt]
text = "What is it?"
[parameters]
max_tokens = 300
{more}
"""
ONE_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def model(name, family="gemini"):
    return Model(name=name, vendor="v", family=family, dialects=("chat",), media=("image", "audio", "video"))


@pytest.fixture
def job(tmp_path, monkeypatch):
    """`job(rows, model=..., more="[limits]...")`: the inputs of a job whose manifest has these rows."""
    monkeypatch.setenv("COLUMNS", "200")

    def _job(rows, *, model="gemini-2.0-flash", more=""):
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        path = tmp_path / "job.toml"
        path.write_text(JOB.format(model=model, folder=tmp_path, more=more))
        return check(str(path), keyless=True)

    return _job


@pytest.fixture
def answered(build):
    """`answered(inputs, {item_id: (prompt, completion)}, run_id)`: results of the job, as the gateway billed them."""

    def _answered(inputs, weights, *, run_id=RUN_1, **facts):
        asked = {"run_id": run_id, "prompt_sha256": inputs.prompt.sha256, "model": inputs.job.model} | facts
        records = []
        for place, (item_id, (prompt, completion)) in enumerate(weights.items(), 1):
            outcome = build.failure()
            if prompt:
                usage = build.usage(
                    prompt_tokens=prompt,
                    prompt_text_tokens=2,
                    prompt_image_tokens=prompt - 2,
                    completion_tokens=completion,
                    total_tokens=prompt + completion,
                )
                outcome = build.completion(usage=usage)
            records.append(build.record(item_id, place, outcome=outcome))
        shard = build.shard(run_id, rows=len(records))
        write_part(inputs.store, build.facts(**asked), shard, records)

    return _answered


def told(inputs, *what_ifs, reasons=("new",)):
    made = inputs.plan(reasons)
    return forecast.forecast(inputs, made, [parse(one) for one in what_ifs])


def pictures(count, **more):
    return [{"item_id": f"i{number}", "image_url": f"https://h/{number}.png", **more} for number in range(count)]


@pytest.mark.wide
class TestRules:
    """Media of known size."""

    def test_columns_of_the_manifest_are_weighed_by_the_vendors_rule(self, job):
        """100 pictures of 300 x 200: 258 tokens each (gateway notes 4.1), 2 of text, and a guess of 200 answered."""
        found = told(job(pictures(100, width=300, height=200)))
        assert found.total.as_it_is.tokens.expected == 100 * (258 + 2 + 200)
        assert found.basis == {"rules": 100}

    @pytest.mark.parametrize(
        ("kind", "cells", "weight"),
        [
            ("audio", {"duration": "10"}, 250),
            ("audio", {"Seconds": 10.0}, 250),
            ("video", {"media_seconds": 10}, 2580 + 320),
            ("image", {"WIDTH": 300, "HEIGHT": "200"}, 258),
            ("image", {"width": "x", "height": 200}, None),
            ("image", {"width": -5, "height": 200}, None),
            ("audio", {"duration": None}, None),
        ],
    )
    def test_the_columns_may_have_several_names(self, job, kind, cells, weight):
        """Width, height, seconds and duration, in any case; what is no size is unknown. 25 a second for sound."""
        found = told(job([{"item_id": "a", f"{kind}_url": "https://h/a", **cells}]))
        assert found.basis == ({"rules": 1} if weight else {"guess": 1})
        if weight:
            assert found.total.as_it_is.tokens.expected == weight + 2 + 200

    def test_media_in_the_manifest_itself_say_their_size(self, job):
        """A data URL of one pixel weighs 258."""
        found = told(job([{"item_id": "a", "image_url": ONE_PIXEL}]))
        assert (found.basis, found.total.as_it_is.tokens.expected) == ({"rules": 1}, 258 + 2 + 200)

    def test_money_is_the_price_of_those_tokens(self, job):
        """0.10 USD for a million in, 0.40 out: 1,000 x (260 x 0.10 + 200 x 0.40) / 10^6 = 0.106 USD."""
        found = told(job(pictures(1000, width=300, height=200)))
        assert found.total.as_it_is.usd.expected == pytest.approx(0.106)
        assert found.price_version

    def test_sound_is_priced_as_sound(self, job):
        """0.70 USD for a million: 100 x (250 x 0.70 + 2 x 0.10 + 200 x 0.40) / 10^6."""
        rows = [{"item_id": f"a{n}", "audio_url": f"https://h/{n}", "seconds": 10} for n in range(100)]
        assert told(job(rows)).total.as_it_is.usd.expected == pytest.approx(100 * (175 + 0.2 + 80) / 1e6)

    def test_a_rule_that_is_wrong_is_corrected_by_what_was_billed(self, job, answered):
        """Ten rows weighed 10 % more than the rule says: so will the rest."""
        inputs = job(pictures(110, width=300, height=200))
        answered(inputs, {f"i{number}": (286, 50) for number in range(10)})
        found = told(inputs)
        assert found.total.as_it_is.tokens.expected == pytest.approx(100 * (286 + 50))
        assert found.total.as_it_is.tokens.high < 1.02 * found.total.as_it_is.tokens.expected


@pytest.mark.wide
class TestLearning:
    """Media that nobody knows."""

    def test_rows_weigh_as_those_of_the_same_kind_did(self, job, answered):
        """Ten answers of 500 + 60 tokens: 90 more of the same."""
        inputs = job(pictures(100))
        answered(inputs, {f"i{number}": (500, 60) for number in range(10)})
        found = told(inputs)
        assert found.basis == {"learned": 90}
        assert found.total.as_it_is.tokens.expected == pytest.approx(90 * 560)
        assert (found.total.rows, found.lines[0].reason) == (90, "new")

    def test_the_more_they_differ_the_wider_is_the_interval(self, job, answered):
        """The mean is the same, the doubt is not."""
        inputs = job(pictures(100))
        answered(inputs, {f"i{number}": (300 if number % 2 else 700, 60) for number in range(10)})
        here = told(inputs).total.as_it_is.tokens
        assert here.expected == pytest.approx(90 * 560)
        assert here.low < 0.85 * here.expected
        assert here.high > 1.15 * here.expected

    def test_a_failure_costs_nothing_and_counts(self, job, answered):
        """Half of the rows failed unbilled: so will half of the rest."""
        inputs = job(pictures(100))
        answered(inputs, {f"i{number}": (500 if number % 2 else 0, 60) for number in range(10)})
        assert told(inputs).total.as_it_is.tokens.expected == pytest.approx(90 * 280, rel=0.01)

    def test_another_prompt_changes_the_text_alone(self, job, answered):
        """500 tokens with 2 of text then, and 2 now: the media are 498, whatever was asked."""
        inputs = job(pictures(100))
        answered(inputs, {f"i{number}": (500, 60) for number in range(10)}, prompt_sha256="1" * 64)
        assert told(inputs).total.as_it_is.tokens.expected == pytest.approx(90 * 560)

    def test_another_jobs_results_teach_nothing(self, job, answered):
        """They may be of other media."""
        inputs = job(pictures(10))
        answered(inputs, {f"x{number}": (9000, 60) for number in range(10)}, job="other")
        assert told(inputs).basis == {"guess": 10}

    def test_another_models_answers_are_a_hint_of_length(self, job, answered):
        """Its tokens of media are not: those are counted otherwise."""
        inputs = job(pictures(10))
        answered(inputs, {f"x{number}": (9000, 60) for number in range(10)}, model="gpt-4o")
        found = told(inputs)
        assert found.basis == {"guess": 10}
        assert found.total.as_it_is.tokens.expected == pytest.approx(10 * (1000 + 2 + 60))

    def test_a_guess_is_wide(self, job):
        """Nothing is known: high is more than three times low, and the basis says guess."""
        found = told(job(pictures(50)))
        assert found.basis == {"guess": 50}
        assert found.total.as_it_is.tokens.high > 3 * found.total.as_it_is.tokens.low

    def test_only_the_newest_results_are_read(self, job, answered, monkeypatch):
        """Of a long history the last rows tell, a random part of the last file that is read."""
        monkeypatch.setattr(lessons, "LESSON_ROWS", 15)
        inputs = job(pictures(40))
        answered(inputs, {f"i{number}": (9000, 60) for number in range(20)})
        answered(inputs, {f"i{number}": (500, 60) for number in range(20, 35)}, run_id=RUN_2)
        assert told(inputs).total.as_it_is.tokens.expected == pytest.approx(5 * 560)

    def test_failed_rows_are_counted_by_class(self, job, answered, build):
        """Each class of failure has its own line."""
        inputs = job(pictures(3))
        answered(inputs, {"i0": (0, 0), "i1": (500, 60)})
        failed = build.record("i2", 3, outcome=build.failure(error_class="timeout"))
        facts = build.facts(run_id=RUN_2, prompt_sha256=inputs.prompt.sha256)
        write_part(inputs.store, facts, build.shard(RUN_2), [failed])
        found = told(inputs, reasons=("failed",))
        assert [(line.error_class, line.rows) for line in found.lines] == [("media", 1), ("timeout", 1)]

    def test_a_long_stratum_is_known_by_a_sample(self, job, monkeypatch):
        """The rows that are not looked at count, and widen the interval."""
        rows = [{"item_id": f"i{n}", "audio_url": f"https://h/{n}", "seconds": 1 + n % 50} for n in range(400)]
        inputs = job(rows)
        whole = told(inputs).total.as_it_is.tokens
        monkeypatch.setattr(strata.read, "__kwdefaults__", {"most": 40})
        part = told(inputs).total.as_it_is.tokens
        assert part.expected == pytest.approx(whole.expected, rel=0.25)
        assert (part.high - part.low) / part.expected > (whole.high - whole.low) / whole.expected


@pytest.mark.wide
class TestRowsThatCostNothing:
    """Rows that are in the plan, and are not asked."""

    def test_a_row_that_cannot_be_asked_is_free(self, job):
        """It is counted, at no tokens."""
        found = told(job([{"item_id": "a", "image_url": "ftp://h/a"}, {"item_id": "b", "image_url": "https://h/b"}]))
        assert found.total.rows == 2
        assert found.total.as_it_is.tokens.expected == 1000 + 2 + 200

    def test_a_row_whose_prompt_cannot_be_written_is_free(self, job, tmp_path):
        """Its template fails: it will be skipped."""
        rows = [{"item_id": str(n), "image_url": "https://h/a", "width": 9, "height": 9, "n": n} for n in range(2)]
        inputs = job(rows)
        text = (tmp_path / "job.toml").read_text().replace("What is it?", "{{ 1 / n }}")
        (tmp_path / "job.toml").write_text(text)
        inputs = check(inputs.job_path, keyless=True)
        found = told(inputs)
        assert (found.total.rows, found.basis) == (2, {"rules": 1})

    def test_nothing_to_ask_costs_nothing(self, job):
        """An empty plan is no error."""
        found = told(job(pictures(1)), reasons=("failed",))
        assert (found.lines, found.total.rows, found.total.as_it_is.usd.high) == ([], 0, 0.0)

    def test_an_unknown_price_is_unknown_and_said_aloud(self, job):
        """Never 0; and a model that the table lacks is weighed without rules."""
        found = told(job(pictures(3, width=9, height=9), model="no-such-model"))
        assert found.total.as_it_is.usd is None
        assert found.notes == [
            "no price of no-such-model is known: add a [[price]] to configs/prices.toml",
            "no-such-model is not in configs/models.toml: its media are weighed without rules",
        ]


@pytest.mark.wide
class TestWhatIfOfAPlan:
    """What would be different, without sending."""

    def test_another_model_has_its_own_rules_and_price(self, job):
        """A picture of 300 x 200 is one tile of gpt-4o: 85 + 170; at 2.50 in and 10.00 out (gateway notes 4.2, 4.5)."""
        (other,) = told(job(pictures(100, width=300, height=200)), "model=gpt-4o").total.what_if
        assert other.tokens.expected == 100 * (255 + 2 + 200)
        assert other.usd.expected == pytest.approx(100 * (257 * 2.5 + 200 * 10) / 1e6)

    def test_smaller_pictures_weigh_less(self, job):
        """2000 x 1500 is 2 x 2 tiles and an overview, 384 x 288 is one: 5 x 258 and 258 (gateway notes 4.1)."""
        found = told(job(pictures(10, width=2000, height=1500)), "max_side=384")
        assert found.total.what_if[0].tokens.expected == 10 * (258 + 2 + 200)
        assert found.total.as_it_is.tokens.expected == 10 * (5 * 258 + 2 + 200)

    def test_pictures_of_unknown_size_are_bounded_by_the_side(self, job, answered):
        """They weighed 1806; at 384 pixels none weighs more than 258."""
        inputs = job(pictures(20))
        answered(inputs, {f"i{number}": (1808, 60) for number in range(10)})
        found = told(inputs, "max_side=384")
        assert found.total.what_if[0].tokens.expected == pytest.approx(10 * (258 + 2 + 60))

    def test_low_detail_is_the_base_alone(self, job):
        """85 tokens of gpt-4o, whatever the size, even where that is unknown (gateway notes 4.2)."""
        found = told(job(pictures(10)), "model=gpt-4o,detail=low")
        assert found.total.what_if[0].tokens.expected == 10 * (85 + 2 + 200)
        assert found.notes == []

    def test_low_detail_without_a_rule_is_said_to_change_nothing(self, job):
        """Gemini 2 has no such switch that is documented."""
        assert told(job(pictures(1)), "detail=low").notes == [
            "detail=low changes nothing that is known of gemini-2.0-flash"
        ]

    def test_shorter_answers_are_cut(self, job, answered):
        """Answers of 20 and 100 tokens, cut at 50: 35 on average."""
        inputs = job(pictures(20))
        answered(inputs, {f"i{number}": (500, 20 if number % 2 else 100) for number in range(10)})
        found = told(inputs, "max_tokens=50")
        assert found.total.what_if[0].tokens.expected == pytest.approx(10 * 535)

    def test_media_that_the_other_model_does_not_take_are_no_saving(self, job):
        """They would be skipped, which is said."""
        rows = [{"item_id": "a", "audio_url": "https://h/a", "seconds": 10}]
        found = told(job(rows), "model=gpt-4o")
        assert found.total.what_if[0].tokens.expected == 0
        assert found.notes == ["gpt-4o does not take the media of 1 row: it would be skipped, at no cost"]


class TestWhatIf:
    """What a what-if says, and what media weigh by it."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("modle=x", r"there is no `modle`; did you mean `model`\?"),
            ("zzz=x", "there is no `zzz`; there are: model, max_side, detail, max_tokens"),
            ("max_side=0", "`max_side` wants a whole number"),
            ("max_tokens=-1", "`max_tokens` wants a whole number"),
            ("detail=medium", "`detail` is low or high"),
            ("model=", "`model` wants a value"),
            (" , ", "write what would be different"),
        ],
    )
    def test_a_wrong_what_if_is_refused(self, text, said):
        """The message says what was meant."""
        with pytest.raises(ConfigError, match=said):
            parse(text)

    def test_a_what_if_reads_as_it_was_written(self):
        """In the order of its names."""
        assert str(parse("max_side=768, model=m")) == "model=m, max_side=768"

    @pytest.mark.parametrize(
        ("name", "weight"),
        [
            ("gpt-4o-mini", 2833),
            ("gpt-4.1", 85),
            ("gpt-4.1-mini", None),
            ("gpt-5", 70),
            ("o3", 75),
            ("gemini-3-pro", 280),
        ],
    )
    def test_low_detail_by_model(self, name, weight):
        """The base of tile models, 280 of Gemini 3; patch models have none (gateway notes 4.1 and 4.2)."""
        assert Scale(model=model(name, "openai"), what_if=WhatIf(detail="low")).low_detail == weight

    def test_without_a_rule_there_is_no_bound(self):
        """A model that nobody knows, and pictures of unknown size."""
        assert Scale(model=None, what_if=WhatIf(max_side=100, detail="low")).picture_at_most is None
        assert Scale(model=None, what_if=WhatIf(detail="low")).low_detail is None
        assert Scale(model=model("gemini-2.0-flash")).picture_at_most is None

    def test_a_small_picture_stays_as_it_is(self):
        """Nothing is enlarged."""
        scale = Scale(model=model("gemini-2.0-flash"), what_if=WhatIf(max_side=5000))
        assert scale.weigh("image", Facts(width=300, height=200)) == 258

    def test_media_that_are_made_fit_weigh_less(self):
        """Inline at 384 pixels at most a picture is one tile; a film of 60 s to 30 at a frame a second, its half."""
        gemini = model("gemini-2.0-flash")
        inline = Scale(model=gemini, media=MediaSection(mode="inline", max_side=384, clip_s=(0, 30)))
        assert inline.weigh("image", Facts(width=4000, height=3000)) == 258
        whole = Scale(model=gemini).weigh("video", Facts(width=64, height=48, seconds=60.0))
        assert inline.weigh("video", Facts(width=64, height=48, seconds=60.0)) == pytest.approx(whole / 2, rel=0.01)
        assert inline.weigh("audio", Facts(seconds=60.0)) == 30 * 25
        assert inline.weigh("image", Facts()) is None

    def test_the_jobs_detail_counts(self):
        """`detail = "low"` of the job is what the what-if would be."""
        gpt = model("gpt-4o", "openai")
        assert Scale(model=gpt, media=MediaSection(detail="low")).weigh("image", Facts(width=2000, height=1000)) == 85


class TestSpeed:
    """How long it takes."""

    @pytest.mark.parametrize(
        ("limits", "hours", "bound"),
        [
            ({"requests_per_minute": 10}, 1.0, "requests_per_minute"),
            ({"tokens_per_minute": 1000}, 10.0, "tokens_per_minute"),
            ({"requests_per_minute": 10, "tokens_per_minute": 1000}, 10.0, "tokens_per_minute"),
            ({"requests_per_minute": 10, "models": {"m": {"requests_per_minute": 5}}}, 2.0, "requests_per_minute"),
            ({}, 0.5, "earlier runs"),
        ],
    )
    def test_the_slowest_bound_counts(self, limits, hours, bound):
        """600 requests of 1,000 tokens: at the quota, that of the model first; else as fast as earlier runs."""
        found = speed.duration(600, 600_000, LimitsSection.model_validate(limits), "m", 1 / 3)
        assert (found.hours, found.bound_by) == (pytest.approx(hours), bound)

    def test_without_quota_and_runs_it_is_unknown(self):
        """Not 0."""
        assert speed.duration(600, 600_000, LimitsSection(), "m", None) is None

    def test_earlier_runs_tell_if_they_were_long_enough(self):
        """Rows by seconds of the last five; short ones, and files that do not say, are left out."""

        def run(rows, seconds, **more):
            times = {"started_at": "2026-11-01T00:00:00Z", "finished_at": f"2026-11-01T00:{seconds // 60:02}:00Z"}
            return times | {"wrote": {"rows": rows}} | more

        assert speed.rows_per_s([run(600, 60), run(600, 120)]) == pytest.approx(1200 / 180)
        assert speed.rows_per_s([run(5, 60), run(600, 60, finished_at="?"), {}]) is None


class TestMeasures:
    """The arithmetic of intervals."""

    def rng(self):
        return np.random.default_rng(1)

    def test_what_is_always_the_same_is_nearly_certain(self):
        """No deviation, and an interval of one in a hundred: others may be otherwise."""
        found = measures.mean_of([5.0] * 9, measures.guessed(1, self.rng(), factor=2), self.rng())
        low, high = np.percentile(found.draws, (5, 95))
        assert (found.mean, found.row_deviation) == (5, 0)
        assert 4.9 < low < 5 < high < 5.1

    def test_nothing_but_zeros_is_nothing(self):
        """Rows that were never billed."""
        found = measures.mean_of([0.0] * 9, measures.guessed(1, self.rng(), factor=2), self.rng())
        assert (found.mean, found.draws.max()) == (0, 0)

    def test_two_values_are_a_hint(self):
        """Their mean, within a factor of two."""
        found = measures.mean_of([4.0, 6.0], measures.guessed(1, self.rng(), factor=9), self.rng())
        low, high = np.percentile(found.draws, (5, 95))
        assert found.mean == 5
        assert math.sqrt(high / low) == pytest.approx(2, rel=0.1)

    def test_without_values_the_guess_stands(self):
        """As it was given."""
        guess = measures.guessed(7, self.rng(), factor=3)
        assert measures.mean_of([], guess, self.rng()) is guess

    def test_a_guess_is_right_on_average(self):
        """Nine in ten draws lie within the factor, and their mean is the guess."""
        draws = measures.guessed(100, self.rng(), factor=3).draws
        assert draws.mean() == pytest.approx(100, rel=0.05)
        assert np.percentile(draws, 95) / np.percentile(draws, 5) == pytest.approx(9, rel=0.15)

    def test_a_total_is_never_below_nothing(self):
        """However wide its deviation."""
        wide = measures.Quantity(mean=1.0, draws=np.ones(measures.DRAWS), row_deviation=100.0)
        assert wide.total(4, self.rng()).min() == 0

    def test_a_ratio_without_enough_pairs_is_one(self):
        """The rule is believed, within what vendors' own statements differ by."""
        for pairs in (([], []), ([10.0], [20.0]), ([0.0] * 3, [0.0] * 3)):
            assert measures.ratio_of(*pairs, self.rng()).mean == 1

    def test_failures_that_were_not_seen_may_come(self):
        """None of 20 rows failed: some of the rest may, so low is further off than high."""
        found = measures.ratio_of([100.0] * 20, [100.0] * 20, self.rng())
        low, high = np.percentile(found.draws, (5, 95))
        assert found.mean == 1
        assert 0.85 < low < 0.95
        assert high < 1.02

    def test_failures_that_were_seen_lower_the_ratio(self):
        """Five of 20 failed unbilled: three quarters of what the rule says; all of them: nothing."""
        some = measures.ratio_of([100.0] * 20, [0.0] * 5 + [100.0] * 15, self.rng())
        assert some.mean == pytest.approx(0.75)
        assert measures.ratio_of([100.0] * 20, [0.0] * 20, self.rng()).mean == 0

    def test_the_interval_of_a_mean_holds(self):
        """Of 200 samples of 12 skewed lengths, the true mean lies in the 90 % interval of 85 % at least."""
        rng, inside = np.random.default_rng(7), 0
        true = math.exp(0.7**2 / 2)
        for _ in range(200):
            found = measures.mean_of(rng.lognormal(0, 0.7, 12), measures.guessed(1, rng, factor=2), rng)
            low, high = np.percentile(found.draws, (5, 95))
            inside += low <= true <= high
        assert inside >= 170


def test_two_media_of_a_kind_are_a_kind_of_their_own():
    """They weigh more than one."""
    assert str(strata.kind_of(["image", "image"])) == "image (2 media)"
    assert str(strata.kind_of(["audio", "image"])) == "image+audio"


@pytest.mark.wide
def test_media_in_the_manifest_teach_the_rule(job, answered):
    """Four pixels were billed at 20 % more than 258 + 2: so will the fifth."""
    inputs = job([{"item_id": f"i{number}", "image_url": ONE_PIXEL} for number in range(5)])
    answered(inputs, {f"i{number}": (312, 50) for number in range(4)})
    found = told(inputs)
    assert (found.basis, found.total.as_it_is.tokens.expected) == ({"rules": 1}, pytest.approx(362))


def test_rows_with_a_second_question_teach_nothing():
    """A fallback's tokens are another model's; an answer without usage says nothing."""
    row = {"usage_source": "reported", "status": "ok", "flags": ["fallback"]}
    assert lessons._seen(row, "") is None  # noqa: SLF001 - the rule itself
    assert lessons._seen(row | {"flags": None, "usage_source": "missing"}, "") is None  # noqa: SLF001 - likewise


@pytest.mark.wide
def test_several_media_are_known_when_each_is(job):
    """Two data URLs of a pixel: 2 x 258."""
    found = told(job([{"item_id": "a", "image_url": [ONE_PIXEL, ONE_PIXEL]}]))
    assert found.total.as_it_is.tokens.expected == 2 * 258 + 2 + 200


@pytest.mark.wide
def test_an_item_that_was_measured_is_known(job, build, monkeypatch):
    """A stale answer whose row has width and height is weighed by them."""
    inputs = job(pictures(2))
    row = {"media_width": 300, "media_height": 200, "media_seconds": None}
    facts = build.facts(run_id=RUN_1, prompt_sha256="0" * 64)
    records = [build.record("i0", 1), build.record("i1", 2)]
    items = [build.item(f"i{n}", media=(Media(kind="image", url=f"https://h/{n}.png"),)) for n in range(2)]
    records = [build.record(item=item) for item in items]
    write_part(inputs.store, facts, build.shard(RUN_1, rows=2), records)
    monkeypatch.setattr(lessons, "_facts", lambda _: Facts(width=row["media_width"], height=row["media_height"]))
    assert told(inputs, reasons=("stale_prompt",)).basis == {"rules": 2}


@pytest.mark.wide
def test_a_pilot_of_a_plan_is_of_its_rows(job):
    """As many as were ordered, and all of a small plan."""
    inputs = job(pictures(20))
    made = inputs.plan(("new",), Wanted(limit=10))
    few, all_of_them = (pilot.of_plan(inputs, made, rows) for rows in (4, 50))
    assert len(few) == 4
    assert all_of_them == {f"i{number}" for number in range(10)}


@pytest.mark.wide
def test_the_plan_is_not_read_where_it_lies_alone(job):
    """A forecast leaves the plan as it was."""
    inputs = job(pictures(3))
    made = inputs.plan(("new",))
    forecast.forecast(inputs, made)
    assert [item.item_id for shard in made.shards for item in plan.items(shard)] == ["i0", "i1", "i2"]
