"""A whole run with its media looked at, shrunk, cut into pieces or shared: the sandbox asks, its ledger counts."""

import json
import shutil

import media_bytes
import pytest
from films import RED, film, tone
from films import sound as sound_file

from mediascribe import dataset, doctor, journal, plan, recovery, run
from mediascribe.inputs import check
from mediascribe.journal import Split
from mediascribe.landing import Landing
from mediascribe.pieced import number, pieces_of
from mediascribe.session import connected
from mediascribe.verification import verify

pytestmark = pytest.mark.wide
JOB = """
name = "m"
model = "{model}"
output = "{output}"
[manifest]
path = "{manifest}"
[gateway]
base_url = "sandbox"
{gateway}
[prompt]
text = "Describe it."
[limits]
concurrency = 4
[retry]
first_wait_s = 0.0
[media]
base_url = "{folder}"
{media}
"""


@pytest.fixture
def job(tmp_path):
    """`job(rows, 'mode = "inline"')`: a job file about files that lie in `media`, beside it."""
    (tmp_path / "media").mkdir()

    def _job(rows, media="", model="gemini-2.0-flash", gateway=""):
        manifest = tmp_path / "rows.jsonl"
        manifest.write_text("".join(json.dumps({"item_id": name, **row}) + "\n" for name, row in rows.items()))
        places = {"output": tmp_path / "out", "manifest": manifest, "folder": tmp_path / "media"}
        text = JOB.format(**places, model=model, media=media, gateway=gateway)
        (tmp_path / "job.toml").write_text(text)
        return str(tmp_path / "job.toml")

    _job.put = lambda name, content: (tmp_path / "media" / name).write_bytes(content)
    return _job


async def ran(path, *, ask=True):
    """The rows of a run by item, its run file, and how many requests the sandbox answered."""
    inputs = check(path)
    async with connected(inputs) as session:
        made = inputs.plan(("new", "failed"))
        heard = []
        describer = session.describer(made, heard.append)
        reports = [await describer.describe(shard) for shard in made.shards] if ask else []
        closed = run.close(made, reports, session.landing())
    rows = {row["item_id"]: row for row in dataset.current(inputs.store.root).to_pylist()}
    assert verify(inputs.store.root).ok
    return rows, closed, sum(row["attempts"] for row in rows.values())


async def test_the_same_bytes_are_asked_once(job):
    """Two names for one picture: one request; the other row says whose answer it has, and what it saved."""
    job.put("a.png", media_bytes.picture("png"))
    job.put("b.png", media_bytes.picture("png"))
    job.put("c.png", media_bytes.picture("png", (70, 50)))
    rows, closed, attempts = await ran(job({name: {"image_url": f"{name}.png"} for name in "abc"}))
    assert attempts == 2
    assert {rows["a"]["answered_by"], rows["b"]["answered_by"]} in ({None, "a"}, {None, "b"})
    assert rows["a"]["media_sha256"] == rows["b"]["media_sha256"] != rows["c"]["media_sha256"]
    assert rows["a"]["description"] == rows["b"]["description"]
    assert closed.wrote.by_status["ok"] == 3


async def test_what_cannot_be_sent_costs_nothing(job):
    """A page, a missing file and a file outside of the folder are skipped, each with its class; the rest is asked."""
    job.put("page.png", b"<html>404</html>")
    job.put("a.png", media_bytes.picture("png"))
    urls = {"page": "page.png", "none": "none.png", "outside": "../job.toml", "a": "a.png"}
    rows, closed, attempts = await ran(job({name: {"image_url": url} for name, url in urls.items()}))
    assert attempts == 1
    found = {name: (row["status"], row["error_class"], row["error_code"]) for name, row in rows.items()}
    assert found["a"] == ("ok", None, None)
    assert found["page"] == ("skipped", "media", "html")
    assert found["none"] == ("skipped", "media", "dead_link")
    assert found["outside"][0] == "skipped"
    assert closed.complete


async def test_media_that_were_put_right_are_asked_by_a_backfill(job):
    """Skipped for its media, a row counts as failed, not as new; once the file is there it is answered."""
    path = job({"a": {"image_url": "a.png"}})
    await ran(path)
    inputs = check(path)
    assert inputs.plan(("new",)).counts == {"failed": 1}
    shutil.rmtree(inputs.store.work / "plans")
    job.put("a.png", media_bytes.picture("png"))
    rows, *_ = await ran(path)
    assert rows["a"]["status"] == "ok"


async def test_a_long_sound_is_asked_in_pieces(job):
    """Five seconds in pieces of three: two requests, one row, one description with times; tokens are those of both."""
    job.put("long.wav", sound_file(tone((2, 0.5), (1, 0), (2, 0.5))))
    rows, closed, attempts = await ran(job({"a": {"audio_url": "long.wav"}}, 'mode = "inline"\nsplit_s = 3.0'))
    assert (attempts, rows["a"]["status"]) == (2, "ok")
    first, second = rows["a"]["description"].splitlines()
    assert first.startswith("[00:00:00-00:00:0")
    assert second.endswith("]") is False
    assert rows["a"]["media_seconds"] == pytest.approx(5, abs=0.1)
    assert closed.wrote.cost_usd == rows["a"]["cost_usd"] > 0
    assert len(rows["a"]["gateway_request_id"].split()) == 2


async def test_the_pieces_may_be_joined_by_one_more_question(job):
    """`join = "ask"`: three requests, and the description is the last one's."""
    job.put("long.wav", sound_file(tone((2, 0.5), (1, 0), (2, 0.5))))
    rows, _, attempts = await ran(job({"a": {"audio_url": "long.wav"}}, 'mode = "inline"\nsplit_s = 3.0\njoin = "ask"'))
    assert attempts == 3
    assert not rows["a"]["description"].startswith("[00:")


async def test_a_killed_run_keeps_the_pieces_that_were_answered(job, monkeypatch):
    """With all pieces in the journal and no part written, the next start puts the row together and asks nothing."""
    job.put("long.wav", sound_file(tone((2, 0.5), (1, 0), (2, 0.5))))
    path = job({"a": {"audio_url": "long.wav"}}, 'mode = "inline"\nsplit_s = 3.0')
    inputs = check(path)
    monkeypatch.setattr("mediascribe.describe.Describer._land", lambda *_: None)
    async with connected(inputs) as session:
        made = inputs.plan(("new",))
        await session.describer(made, lambda _: None).describe(made.shards[0])
        landing = session.landing()
    (unfinished,) = plan.unfinished(inputs.store)
    reports = recovery.recover(unfinished, landing)
    run.close(unfinished, reports, landing, interrupted=True)
    (row,) = dataset.current(inputs.store.root).to_pylist()
    assert (row["status"], row["attempts"]) == ("ok", 2)
    assert len(row["description"].splitlines()) == 2


async def test_pieces_that_miss_one_are_no_answer(job, monkeypatch, build):
    """Where the journal has one of two pieces, recovery leaves the row for the next run, and counts what was spent."""
    job.put("long.wav", sound_file(tone((2, 0.5), (1, 0), (2, 0.5))))
    path = job({"a": {"audio_url": "long.wav"}}, 'mode = "inline"\nsplit_s = 3.0')
    inputs = check(path)
    monkeypatch.setattr("mediascribe.describe.Describer._land", lambda *_: None)
    async with connected(inputs) as session:
        made = inputs.plan(("new",))
        await session.describer(made, lambda _: None).describe(made.shards[0])
        landing = Landing(store=inputs.store, prices=inputs.prices)
    (segment,) = journal.segments(journal.place(inputs.store.work, made.shards[0]))
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(line for line in lines if f'"row":{number(1, 2)}'.encode() not in line))
    (report,) = recovery.recover(made, landing)
    assert (report.rows, sum(spent.requests for spent in report.spent.values())) == (0, 1)
    assert dataset.parts(inputs.store) == []


def test_the_numbers_of_pieces_are_no_rows():
    """Below 0, and another one for each row and piece."""
    numbers = {number(row, piece) for row in (1, 2, 30) for piece in range(3)}
    assert len(numbers) == 9
    assert max(numbers) < 0


def test_the_journal_tells_the_pieces():
    """Of a row asked as a whole there are none."""
    assert pieces_of([]) is None
    (first, second) = pieces_of([Split(row=1, at=0.0, seconds=[(0.0, 2.0), (2.0, 5.0)])])
    assert (first.start_s, second.end_s, second.number) == (0.0, 5.0, 1)


@pytest.mark.parametrize(("word", "status"), [("fail", "failed"), ("flag", "ok")])
async def test_an_answer_without_its_media_is_a_failure(job, word, status):
    """`media_ignored`: billed, and about nothing; by `ignored = "flag"` it is kept and flagged."""
    job.put("a.png", media_bytes.picture("png"))
    model = "gemini-2.0-flash+fault=media_dropped"
    rows, *_ = await ran(job({"a": {"image_url": "a.png"}}, f'ignored = "{word}"', model=model))
    assert (rows["a"]["status"], "media_ignored" in rows["a"]["flags"]) == (status, True)


@pytest.mark.parametrize(("media", "tokens"), [("", 4 * 258), ("fps = 0.5", 2 * 258), ("clip_s = [0, 2]", 2 * 258)])
async def test_fewer_frames_of_a_film_cost_less(job, media, tokens):
    """Four seconds at a frame a second and 258 tokens a frame; half as many at half the rate, and of half the film."""
    job.put("a.mp4", film((4, RED)))
    rows, *_ = await ran(job({"a": {"video_url": "a.mp4"}}, f'mode = "inline"\n{media}', gateway='stream = "never"'))
    assert rows["a"]["prompt_video_tokens"] == tokens
    assert rows["a"]["media_seconds"] == pytest.approx(4, abs=0.1)


async def test_a_film_may_go_as_pictures(job):
    """`frames = 3`: three pictures of one tile each (258), and no film."""
    job.put("a.mp4", film((4, RED)))
    rows, *_ = await ran(job({"a": {"video_url": "a.mp4"}}, 'mode = "inline"\nframes = 3'))
    assert (rows["a"]["prompt_image_tokens"], rows["a"]["prompt_video_tokens"]) == (3 * 258, 0)


async def test_the_doctor_sends_media_as_a_run_does(job):
    """A file of a folder of ours is looked at, and sent inline; one that is none is told."""
    job.put("a.png", media_bytes.picture("png"))
    for row, verdict in (({"image_url": "a.png"}, "pass"), ({"image_url": "none.png"}, "fail")):
        inputs = check(job({"a": row}))
        async with connected(inputs) as session:
            question = session.question(inputs.facts())
            patient = doctor.Patient(
                question=question,
                client=session.client,
                prices=inputs.prices,
                items=inputs.items(),
                media=session.media,
            )
            found = {one.name: one.verdict async for one in doctor.examine(patient)}
        assert found["image"] == verdict
