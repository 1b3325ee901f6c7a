"""How often the true total lies in a forecast's 90 % interval, and how far off the expected value is.

    python tests/bench/forecast.py                                 # seeds 0 to 99, a pilot of 200 rows of 5,000
    python tests/bench/forecast.py --seeds 1000-1019 --known       # the manifest has width, height and duration
    python tests/bench/forecast.py --pilot 0 --known               # rules alone

Each seed makes a mixed manifest (70 % images, 20 % sounds, 10 % films; sizes and lengths lognormal), plans it, asks the
pilot, plans the rest and forecasts it: all by the library, with real files. Only the gateway is left out: what a row is
billed comes from the sandbox's token rules for its true size, which the library does not see without --known; answers
are lognormal, and 3 rows in 100 fail unbilled. The true total is that of all rows that the pilot did not ask.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import statistics
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tables import head, row

from mediascribe import forecast, pilot, plan
from mediascribe.domain import Completion, Cost, Failure, Item, Record, Shard, Usage
from mediascribe.inputs import check
from mediascribe.part import write_part
from mediascribe.plan import kept
from mediascribe.sandbox import tokens
from mediascribe.wanted import Wanted

if TYPE_CHECKING:
    from mediascribe.columns import RunFacts

ROWS = 5_000
FAILING = 0.03
LONGEST_ANSWER = 300
WORDS = ("describe", "what", "is", "here", "in", "a", "few", "words", "please", "the", "collection")
JOB = """
name = "bench"
model = "gemini-2.0-flash"
output = "out"
[manifest]
path = "m.csv"
[gateway]
base_url = "sandbox"
[prompt]
text = "Describe this for the collection: {{ title }}"
[parameters]
max_tokens = 300
"""


@dataclass(frozen=True)
class Truth:
    """What one row is, and what the gateway bills for it."""

    kind: str
    width: int
    height: int
    seconds: float
    title: str
    answer: int
    fails: bool

    def usage(self) -> Usage:
        """The tokens of the row, by the sandbox's rules."""
        if self.fails:
            return Usage(source="missing")
        length = Fraction(str(self.seconds))
        text = tokens.of_text(f"Describe this for the collection: {self.title}")
        image = tokens.gemini_image(self.width, self.height) if self.kind == "image" else 0
        audio = tokens.gemini_sound(length) if self.kind == "audio" else 0
        video = 0
        if self.kind == "video":
            video, audio = int(np.ceil(self.seconds)) * tokens.GEMINI_TILE, int(np.ceil(self.seconds * 32))
        prompt = text + image + audio + video
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=self.answer,
            total_tokens=prompt + self.answer,
            prompt_text_tokens=text,
            prompt_image_tokens=image,
            prompt_audio_tokens=audio,
            prompt_video_tokens=video,
            source="reported",
            raw="{}",
        )


def main() -> None:
    """Forecast every seed, and print how good that was."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=seeds, default=range(100), metavar="A-B", help="default: 0-99")
    asked.add_argument("--pilot", type=int, default=200)
    asked.add_argument("--known", action="store_true", help="the manifest has width, height and duration")
    told = asked.parse_args()
    found = []
    for seed in told.seeds:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            found.append(one(seed, told.pilot, known=told.known))
    head("of", "in the interval", "off by, median", "most", "on average", "the interval")
    for name, column in zip(("tokens", "USD"), zip(*found, strict=True), strict=True):
        inside = sum(low <= true <= high for low, _, high, true in column)
        off = [abs(expected / true - 1) * 100 for _, expected, _, true in column]
        wide = [(high - low) / 2 / expected * 100 for low, expected, high, _ in column]
        bias = statistics.mean(expected / true - 1 for _, expected, _, true in column) * 100
        row(
            name,
            f"{inside} of {len(column)}",
            f"{statistics.median(off):.1f} %",
            f"{max(off):.1f} %",
            f"{bias:+.1f} %",
            f"+- {statistics.median(wide):.1f} %",
        )


def seeds(said: str) -> range:
    """The seeds from A to B, both included, of `A-B`; of `A` that one."""
    first, _, last = said.partition("-")
    return range(int(first), int(last or first) + 1)


def one(seed: int, rows: int, *, known: bool) -> list[tuple[float, float, float, float]]:
    """Low, expected, high and true total of one seed; in tokens and in USD."""
    truths = make(seed)
    write_manifest(truths, known=known)
    Path("job.toml").write_text(JOB, encoding="utf-8")
    inputs = check("job.toml", keyless=True)
    order = inputs.order(("new",), Wanted())
    made = kept.make(inputs, order).plan
    if rows:
        ids = pilot.of_plan(inputs, made, rows)
        asked = [item for shard in made.shards for item in plan.items(shard) if item.item_id in ids]
        publish(asked, truths, made.facts)
        made = kept.make(inputs, order).plan
    left = [truths[item.item_id] for shard in made.shards for item in plan.items(shard)]
    total = forecast.forecast(inputs, made).total.as_it_is
    today = datetime.now(UTC).date()
    costs = [inputs.prices.cost(truth.usage(), "gemini-2.0-flash", today) for truth in left]
    money = sum(cost.nano_usd for cost in costs if cost) / 1e9
    billed = float(sum(truth.usage().total_tokens for truth in left))
    return [
        (total.tokens.low, total.tokens.expected, total.tokens.high, billed),
        (total.usd.low, total.usd.expected, total.usd.high, money),
    ]


def make(seed: int) -> dict[str, Truth]:
    """The rows of a manifest, by id."""
    rng = np.random.default_rng(seed)
    truths = {}
    for number in range(ROWS):
        kind = rng.choice(["image", "audio", "video"], p=[0.7, 0.2, 0.1])
        width = int(np.clip(rng.lognormal(6.9, 0.6), 64, 8000))
        median, spread, answer = {"image": (1, 0.1, 70), "audio": (40, 0.8, 90), "video": (20, 0.7, 120)}[str(kind)]
        truths[f"i{number}"] = Truth(
            kind=str(kind),
            width=width,
            height=max(32, int(width / rng.choice([0.75, 1.0, 4 / 3, 3 / 2, 16 / 9]))),
            seconds=round(float(np.clip(rng.lognormal(np.log(median), spread), 1, 3600)), 2),
            title=" ".join(rng.choice(WORDS, rng.integers(1, 12))),
            answer=int(min(LONGEST_ANSWER, rng.lognormal(np.log(answer), 0.4))),
            fails=bool(rng.random() < FAILING),
        )
    return truths


def write_manifest(truths: dict[str, Truth], *, known: bool) -> None:
    """Write m.csv: URLs and titles, and with *known* what the media are like."""
    columns = ["item_id", "image_url", "audio_url", "video_url", "title"]
    with Path("m.csv").open("w", newline="", encoding="utf-8") as to:
        rows = csv.writer(to)
        rows.writerow(columns + (["width", "height", "duration"] if known else []))
        for item_id, truth in truths.items():
            url = f"https://media.example/{item_id}"
            urls = [url if truth.kind == kind else "" for kind in ("image", "audio", "video")]
            facts = [truth.width, truth.height, truth.seconds if truth.kind != "image" else ""]
            rows.writerow([item_id, *urls, truth.title, *(facts if known else [])])


def publish(items: list[Item], truths: dict[str, Truth], facts: RunFacts) -> None:
    """Write the results of *items* as a part of the run of *facts*."""
    inputs = check("job.toml", keyless=True)
    today = datetime.now(UTC)
    records = []
    for item in items:
        usage = truths[item.item_id].usage()
        outcome: Completion | Failure = Completion(status="ok", text="...", usage=usage)
        if usage.source == "missing":
            outcome = Failure(error_class="media", message="HTTP 404")
        cost = inputs.prices.cost(usage, "gemini-2.0-flash", today.date())
        priced = Cost(nano_usd=cost.nano_usd, price_version=cost.price_version) if cost else None
        records.append(Record(item=item, reason="new", outcome=outcome, cost=priced, attempts=1, completed_at=today))
    shard = Shard(run_id=facts.run_id, number=0, rows=len(records), plan_path=os.devnull)
    write_part(inputs.store, facts, shard, records)


if __name__ == "__main__":
    main()
