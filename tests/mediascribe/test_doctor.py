"""The doctor finds what would go wrong, over real HTTP, and says what to do."""

import pytest
from PIL import Image

from mediascribe import doctor, models, pricing, prompt
from mediascribe.client import Client
from mediascribe.domain import Item, Media
from mediascribe.job import Job
from mediascribe.question import Question
from mediascribe.sandbox import Behaviour, Fault, Sandbox

GEMINI = "gemini-2.0-flash"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    Image.new("RGB", (64, 48), "red").save(folder / "red.png")
    with Sandbox(samples=folder) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _clean(gateway):
    gateway.reset()


@pytest.fixture
def examine(gateway, build):
    """`examine(model=..., base_url=..., key=..., items=...)`: the checks by name."""

    async def _examine(*, model=GEMINI, dialect="chat", key=None, rows=None, **of_job):
        job = Job.model_validate(
            {
                "name": "demo",
                "model": model,
                "output": "out",
                "manifest": {"path": "m.csv"},
                "gateway": {"base_url": of_job.get("base_url", gateway.url)},
                "prompt": {"text": "What is it?"},
                "limits": of_job.get("limits", {}),
            }
        )
        question = Question(
            job=job,
            facts=build.facts(model=model, dialect=dialect),
            prompt=prompt.load(job.prompt),
            models=models.load(),
            schema=None,
            media_base_url=None,
        )
        if rows is None:
            rows = [Item(item_id="a", row_number=1, media=(Media(kind="image", url=gateway.media_url + "red.png"),))]
        async with Client(job.gateway, key or gateway.api_key, connections=2) as client:
            patient = doctor.Patient(question=question, client=client, prices=pricing.load(), items=rows)
            return {check.name: check async for check in doctor.examine(patient)}

    return _examine


def verdicts(checks):
    return {name: check.verdict for name, check in checks.items()}


async def test_a_sound_job(examine):
    """Key, model, dialect, price and a picture pass; the quota is unknown, since the gateway tells none."""
    checks = await examine()
    assert verdicts(checks) == {
        "gateway": "pass",
        "key": "pass",
        "model": "pass",
        "dialect": "pass",
        "price": "pass",
        "image": "pass",
        "quota": "unknown",
    }
    assert "258 of them image" in checks["image"].said
    assert "limits.requests_per_minute" in checks["quota"].advice


async def test_a_rejected_key(examine, gateway):
    """Nothing is asked with it."""
    checks = await examine(key="sk-wrong")
    assert verdicts(checks) == {"key": "fail", "price": "pass"}
    assert gateway.ledger() == []


async def test_a_base_url_that_leads_to_a_web_page(examine, gateway):
    """The missing or wrong path is named as such."""
    checks = await examine(base_url=gateway.url.replace("/v1", "/panel/v1"))
    assert checks["gateway"].verdict == "fail"
    assert checks["gateway"].advice == "gateway.base_url must end in /v1"


async def test_nobody_there(examine):
    """A refused connection is a line, not a traceback."""
    checks = await examine(base_url="http://127.0.0.1:9/v1")
    assert checks["gateway"].verdict == "fail"
    assert "no connection to the gateway" in checks["gateway"].said


async def test_a_model_that_is_not_served(examine):
    """The nearest names are told."""
    checks = await examine(model="gemini-2.0-flush")
    assert checks["model"].verdict == "fail"
    assert GEMINI in checks["model"].advice


async def test_a_dialect_that_is_not_offered(examine):
    """What is offered is told."""
    checks = await examine(dialect="messages")
    assert checks["dialect"].verdict == "fail"
    assert "chat" in checks["dialect"].advice


async def test_a_model_without_a_price(examine):
    """Unknown is not free."""
    checks = await examine(model="qwen3-omni-flash-2025-12-01")
    assert checks["price"].verdict == "fail"
    assert "configs/prices.toml" in checks["price"].advice


async def test_a_quota_that_runs_share(examine, tmp_path):
    """Its place is tried, and it has to be known: each run would learn another."""
    common = {"common": str(tmp_path / "quota")}
    known = await examine(limits=common | {"requests_per_minute": 600})
    assert (known["common quota"].verdict, known["common quota"].said) == (
        "pass",
        f"shared with other runs at {tmp_path}/quota",
    )
    unknown = await examine(limits=common)
    assert unknown["common quota"].verdict == "fail"
    assert "set limits.requests_per_minute" in unknown["common quota"].said


async def test_media_that_cannot_be_fetched(examine, gateway):
    """The gateway's own words, and the row."""
    rows = [Item(item_id="dead", row_number=1, media=(Media(kind="image", url=gateway.media_url + "gone.png"),))]
    checks = await examine(rows=rows)
    assert checks["image"].verdict == "fail"
    assert checks["image"].said.startswith("dead: ")


async def test_media_that_the_gateway_drops(examine, gateway):
    """An answer that never saw the picture is found by its tokens."""
    rows = [Item(item_id="a", row_number=1, media=(Media(kind="image", url=gateway.media_url + "red.png"),))]
    gateway.behave("*", Behaviour(faults=(Fault("media_dropped"),)))
    checks = await examine(rows=rows)
    assert checks["image"].verdict == "fail"
    assert "dropped the media" in checks["image"].advice


async def test_an_empty_manifest(examine):
    """There is nothing to try with."""
    assert (await examine(rows=[]))["media"].verdict == "unknown"


def test_the_first_row_with_one_medium_stands_for_its_kind(build):
    """A row with two media tells less than one with one; a row that cannot be asked tells nothing."""
    image, audio = Media(kind="image", url="a.png"), Media(kind="audio", url="a.wav")
    rows = [
        build.item("bad", 1, media=(image,), problem=build.failure(error_class="row")),
        build.item("both", 2, media=(image, audio)),
        build.item("one", 3, media=(image,)),
        build.item("two", 4, media=(image,)),
    ]
    assert {kind: item.item_id for kind, item in doctor.one_of_each(rows).items()} == {"image": "one", "audio": "both"}
