"""Whole runs against the sandbox, reconciled with the log of what the sandbox charged for them."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from films import sound, tone
from sandbox_fixtures import Make

from flows.commands.reconciling import Billed, reconcile
from mediascribe import run
from mediascribe.cost import Rows, cost_table, reconciliation
from mediascribe.dataset import current
from mediascribe.errors import ConfigError
from mediascribe.sandbox import Behaviour, Billing, Fault, Sandbox
from mediascribe.sandbox.billing import log_lines
from mediascribe.session import session

pytestmark = [pytest.mark.wide, pytest.mark.long]

KEY = "sk-canary0123456789abcdef"
ROWS = 1_200
SAME = 100  # rows more, which ask the same as the first ones, and so get their answers
TROUBLE = Behaviour(
    faults=(
        Fault("reset_after", 0.02),
        Fault("empty_content", 0.03),
        Fault("http_500", 0.02),
        Fault("no_usage", 0.01),
        Fault("cut_body", 0.01),
        Fault("length", 0.02),
        Fault("round_usage", 0.01),
        Fault("cdn_524", 0.01),
        Fault("cut_json", 0.01),
    ),
    seed=3,
)
JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{folder}/out"
[manifest]
path = "{folder}/m.csv"
[gateway]
base_url = "{base_url}"
[prompt]
text = "What is number {{{{ number }}}}?"
[media]
allow = ["{host}"]
[limits]
concurrency = 32
[retry]
first_wait_s = 0
share = 1
"""
BILLINGS = {
    "list price": Billing(),
    "group and markup": Billing(group_ratio=Decimal("0.8"), markup=Decimal("1.1")),
    "audio path": Billing(audio_path=True),
    "cached": Billing(cached_share=Decimal("0.5")),
    "no ids": Billing(request_ids=False),
    "no terms": Billing(terms=False),
    "everything": Billing(
        request_ids=False,
        audio_path=True,
        group_ratio=Decimal("1.3"),
        markup=Decimal("0.9"),
        cached_share=Decimal("0.3"),
    ),
}
WITH_IDS = {name: billing for name, billing in BILLINGS.items() if billing.request_ids}
PIECES = """
split_s = 1.0
join = "{join}"
mode = "inline"
base_url = "{folder}"
"""


async def asked(job):
    """The run of *job*, without Prefect."""
    async with session(str(job)) as opened:
        plan = opened.inputs.plan(("new",))
        describer = opened.describer(plan, lambda _: None)
        reports = [await describer.describe(shard) for shard in plan.shards]
        return run.close(plan, reports, opened.landing())


@contextmanager
def troubled(folder, rows_at, media=""):
    """A sandbox with all kinds of trouble, once the rows of *folder* were asked; *rows_at* has the URL of its media."""
    with Sandbox(samples=folder, api_key=KEY) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDIASCRIBE_API_KEY", KEY)
        sandbox.behave("*", TROUBLE)
        rows = [f"i{number},{cells}" for number, cells in enumerate(rows_at(sandbox.media_url))]
        (folder / "m.csv").write_text("\n".join(["item_id,image_url,audio_url,number", *rows]))
        job = JOB.format(folder=folder, base_url=sandbox.url, host=urlsplit(sandbox.url).netloc)
        (folder / "job.toml").write_text(job.replace("[limits]", f"{media}[limits]"))
        asyncio.run(asked(folder / "job.toml"))
        sandbox.drain()
        yield sandbox


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run of 1,300 rows of pictures and sounds, under all kinds of trouble: its folder, and the sandbox."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "a.png").write_bytes(Make.image(640, 480))
    (folder / "s.wav").write_bytes(Make.sound(3.0))

    def rows(media):
        image, sound = f"{media}a.png", f"{media}s.wav"
        asks = [f"{image if n % 3 else ''},{sound if n % 3 != 1 else ''},{n}" for n in range(ROWS)]
        return [*asks, *asks[:SAME]]

    with troubled(folder, rows) as sandbox:
        yield folder, sandbox


@pytest.mark.parametrize("billing", BILLINGS.values(), ids=BILLINGS)
def test_every_quirk_is_matched_and_explained(world, billing):
    """At least 99.9 % of the lines are matched, and all of the gap is explained, whatever the operator does."""
    folder, sandbox = world
    entries = [entry for entry in sandbox.ledger() if entry.billed]
    lines = log_lines(entries, billing)
    (folder / "bill.jsonl").write_text("\n".join(map(json.dumps, lines)))
    export = reconciliation.Export(path=folder / "bill.jsonl", name="bill.jsonl")
    found = reconciliation.reconcile([str(folder / "out")], export)
    assert found.lines == len(lines) > ROWS
    assert found.matched_share >= 0.999
    assert found.explained_share == 1
    assert found.effects["unexplained"] == 0
    assert found.ok
    assert found.billed == sum(line["quota"] for line in lines) * 2000
    assert sum(found.effects.values()) == found.billed - found.own
    assert found.effects["in_doubt"] > 0  # requests that were reset, cut or garbled are charged all the same


def test_rows_that_have_the_answer_of_another_are_on_no_bill(world):
    """They sent no request: none of them is among the rows that had to be on the bill, or that it lacks."""
    folder, sandbox = world
    (folder / "once.jsonl").write_text("\n".join(map(json.dumps, log_lines(sandbox.ledger(), Billing()))))
    export = reconciliation.Export(path=folder / "once.jsonl", name="once.jsonl")
    found = reconciliation.reconcile([str(folder / "out")], export)
    shared = set(cost_table([str(folder / "out")], by=["item_id"], rows=Rows(where="answered_by <> ''"))["item_id"])
    assert 0 < len(shared) <= SAME
    assert found.rows + found.rows_outside <= ROWS + SAME - len(shared)
    assert not shared & set(found.unmatched["item_id"].dropna())


def test_without_quirks_what_we_counted_is_what_was_charged(world):
    """At list price the gap is requests in doubt, answers that report no tokens, and what is rounded off."""
    folder, sandbox = world
    (folder / "plain.jsonl").write_text("\n".join(map(json.dumps, log_lines(sandbox.ledger(), Billing()))))
    export = reconciliation.Export(path=folder / "plain.jsonl", name="plain.jsonl")
    found = reconciliation.reconcile([str(folder / "out")], export)
    assert {name for name, amount in found.effects.items() if amount} <= {"in_doubt", "unpriced", "rounding"}
    ledger = sum(entry.nano_usd for entry in sandbox.ledger())
    assert found.own + found.effects["in_doubt"] + found.effects["unpriced"] == ledger


@pytest.fixture(scope="module", params=["text", "ask"])
def pieces(request, tmp_path_factory):
    """As `world`, but of 40 rows with a sound of two seconds that is asked in pieces, and joined either way."""
    folder = tmp_path_factory.mktemp("pieces")
    for number in range(40):
        (folder / f"{number}.wav").write_bytes(sound(tone((0.9, 0.5), (0.2, 0), (0.8 + number / 100, 0.5))))
    media = PIECES.format(join=request.param, folder=folder)
    with troubled(folder, lambda _: [f",{number}.wav,{number}" for number in range(40)], media) as sandbox:
        yield folder, sandbox


@pytest.mark.parametrize("billing", WITH_IDS.values(), ids=WITH_IDS)
def test_rows_in_pieces_are_matched_and_explained(pieces, billing):
    """Each piece has a line of its own; that of every answer which was kept is known by its id."""
    folder, sandbox = pieces
    lines = log_lines(sandbox.ledger(), billing)
    (folder / "bill.jsonl").write_text("\n".join(map(json.dumps, lines)))
    export = reconciliation.Export(path=folder / "bill.jsonl", name="bill.jsonl")
    found = reconciliation.reconcile([str(folder / "out")], export)
    assert found.lines == len(lines)
    assert (found.matched_share, found.unbilled_rows, found.ok) == (1, 0, True)
    ids = [(row["gateway_request_id"] or "").split() for row in current(folder / "out").to_pylist()]
    assert found.ways["request id"] == sum(map(len, ids)) > 2 * len(ids)
    assert sum(found.effects.values()) == found.billed - found.own


@pytest.mark.parametrize(
    "billing", [Billing(), Billing(bearer=False), Billing(paged=True), Billing(paged=True, bearer=False)]
)
def test_the_gateway_is_asked_for_its_log(world, capsys, billing):
    """By header or by address, whole or in pages; the key is in nothing that is said."""
    folder, sandbox = world
    sandbox.bill(billing)
    status = reconcile(str(folder / "out"), billed=Billed(from_gateway=folder / "job.toml"), json=True)
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (status, told["ok"], told["lines"]) == (0, True, len([one for one in sandbox.ledger() if one.billed]))
    assert KEY not in said.out + said.err


def test_a_gateway_that_keeps_no_log_is_told_of(world):
    """What to do instead; the key and the address that has it are not shown."""
    folder, sandbox = world
    sandbox.bill(Billing(is_open=False))
    with pytest.raises(ConfigError, match="does not know this key, or keeps no log; ask the operator") as caught:
        reconcile(str(folder / "out"), billed=Billed(from_gateway=folder / "job.toml"))
    assert KEY not in str(caught.value)
    assert "key=" not in str(caught.value)
