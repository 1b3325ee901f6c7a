"""What a job file names is opened once, and whatever a person got wrong is found before anything is sent."""

import gc
import json

import pytest

from mediascribe import plan, session, store
from mediascribe.errors import ConfigError, OutputInUse
from mediascribe.inputs import check
from mediascribe.pricing import places

JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{output}"
[manifest]
path = "{manifest}"
[gateway]
base_url = "{base_url}"
[prompt]
text = "What is it, {{{{ title }}}}?"
"""


@pytest.fixture
def job_file(tmp_path):
    """`job_file(base_url=..., more="[limits]...")`: a job with two good rows; gives its path."""

    def _job_file(*, base_url="sandbox", more=""):
        manifest = tmp_path / "m.jsonl"
        rows = [{"item_id": name, "image_url": f"https://h/{name}.png", "title": name} for name in "ab"]
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        path = tmp_path / "job.toml"
        path.write_text(JOB.format(output=tmp_path / "out", manifest=manifest, base_url=base_url) + more)
        return str(path)

    return _job_file


def test_good_inputs_are_opened(job_file):
    """Job, prompt, manifest and output are there; the sandbox brings its own key."""
    inputs = check(job_file())
    assert (inputs.job.name, inputs.key) == ("t", None)
    assert [item.item_id for item in inputs.manifest.read()] == ["a", "b"]


def test_a_key_is_read_from_the_environment(job_file, monkeypatch):
    """Under the name that the job gives."""
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", " sk-1 ")
    assert check(job_file(base_url="https://api.mixrouter.com/v1")).key == "sk-1"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_names_its_variable(job_file, monkeypatch, value):
    """The message says which variable, and how to set it."""
    monkeypatch.delenv("MEDIASCRIBE_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MEDIASCRIBE_API_KEY", value)
    with pytest.raises(ConfigError, match="MEDIASCRIBE_API_KEY is not set; set it with: export MEDIASCRIBE_API_KEY="):
        check(job_file(base_url="https://api.mixrouter.com/v1"))


@pytest.mark.parametrize("value", ["sk-1\nx", "sk 1", "sk-é"])
def test_a_garbled_key_is_refused_without_being_shown(job_file, monkeypatch, value):
    """A key with a line break or a space was copied wrong; the message does not quote it."""
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", value)
    with pytest.raises(ConfigError, match="has characters that no key has") as caught:
        check(job_file(base_url="https://api.mixrouter.com/v1"))
    assert value not in str(caught.value)


def test_the_sandbox_serves_media_to_itself_only(job_file, monkeypatch):
    """A real gateway cannot fetch from a sandbox that is not there."""
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", "sk-1")
    with pytest.raises(ConfigError, match=r"job\.toml: `media.base_url` is the sandbox"):
        check(job_file(base_url="https://api.mixrouter.com/v1", more='[media]\nbase_url = "sandbox"\n'))


def test_a_carried_column_that_collides_is_found_before_anything_is_sent(job_file, tmp_path):
    """The output's own columns cannot be carried over."""
    path = job_file()
    text = (tmp_path / "job.toml").read_text().replace("[gateway]", 'carry = ["model"]\n[gateway]')
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"job\.toml: \[manifest\] carry: `model` collides"):
        check(path)


def test_a_plan_with_work_is_not_kept(job_file):
    """Looking ahead leaves no plan behind, so that the run makes its own."""
    inputs = check(job_file())
    assert session.nothing_to_ask(inputs, ("new",)) is None
    assert plan.unfinished(inputs.store) == []


def test_nothing_to_ask_is_found_without_a_run(job_file):
    """A backfill for a reason that no row has is over at once."""
    outcome = session.nothing_to_ask(check(job_file()), ("failed",))
    assert (outcome.counts, outcome.run, outcome.recovered) == ({"new": 2}, None, [])


def test_a_long_manifest_is_planned_once_only(job_file, monkeypatch):
    """Planning ahead must not double the wait."""
    monkeypatch.setattr(session, "_QUICKLY_PLANNED_BYTES", 10)
    assert session.nothing_to_ask(check(job_file()), ("failed",)) is None


def test_an_interrupted_run_is_never_overlooked(job_file):
    """With an unfinished plan there is something to recover, whatever is left to ask."""
    inputs = check(job_file())
    inputs.plan(("new",))
    assert session.nothing_to_ask(inputs, ("failed",)) is None


async def test_a_session_starts_the_sandbox_where_the_job_says_so(job_file):
    """Its address and key are used, for the gateway and for relative media."""
    async with session.session(job_file(more='[media]\nbase_url = "sandbox"\n')) as opened:
        assert opened.media_base_url.startswith("http://127.0.0.1:")
        assert opened.media_base_url.endswith("/samples/")
        assert opened.inputs.prices.version


async def test_a_session_reaches_the_gateway_of_the_job(job_file, monkeypatch):
    """A base URL is taken as it is, and media keep the job's base."""
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", "sk-1")
    more = '[media]\nbase_url = "https://cdn.example/m"\n'
    async with session.session(job_file(base_url="http://127.0.0.1:9/v1", more=more)) as opened:
        assert opened.media_base_url == "https://cdn.example/m"


async def test_a_second_session_on_one_output_is_refused(job_file):
    """It is told who holds the output, before it sends anything."""
    path = job_file()
    async with session.session(path):
        with pytest.raises(OutputInUse, match=rf"mediascribe run {path}"):
            async with session.session(path):
                pytest.fail("two sessions hold one output")
        with pytest.raises(OutputInUse), store.lease(check(path).store, holder="x"):
            pytest.fail("a lease was given twice")


def test_tables_of_the_working_folder_win(tmp_path, monkeypatch):
    """A clone's own tables are used where it is worked in; elsewhere those of the installation; none is None."""
    assert places.found("models.toml").name == "models.toml"
    monkeypatch.chdir(tmp_path)
    installed = places.found("prices.toml")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/prices.toml").touch()
    assert places.found("prices.toml").resolve() != installed.resolve()
    assert places.found("none.toml") is None


async def test_a_model_that_the_table_does_not_know_is_asked_as_the_gateway_serves_it(job_file, tmp_path, monkeypatch):
    """With an empty table, a model that the gateway offers in one dialect only is asked in that one."""
    monkeypatch.setattr(places, "found", lambda _: None)
    path = tmp_path / "job.toml"
    for model, dialect in [("gpt-5.1-codex", "responses"), ("gemini-2.0-flash", "chat"), ("nobody-knows-it", "chat")]:
        job_file()
        path.write_text(path.read_text().replace("gemini-2.0-flash", model))
        async with session.connected(check(str(path))) as opened:
            assert opened.inputs.dialect == dialect


async def test_a_gateway_that_lists_nothing_leaves_the_dialect_as_it_was(job_file, monkeypatch):
    """Nobody there: the run itself will say so."""
    monkeypatch.setattr(places, "found", lambda _: None)
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", "sk-1")
    async with session.connected(check(job_file(base_url="http://127.0.0.1:9/v1"))) as opened:
        assert opened.inputs.dialect == "chat"


def test_rows_that_the_model_cannot_take_are_skipped_before_anything_is_sent(job_file, tmp_path):
    """Claude takes no sound: the row has its reason in the plan; the picture beside it is asked."""
    path = job_file()
    text = (tmp_path / "job.toml").read_text().replace("gemini-2.0-flash", "claude-sonnet-4-5-20250929")
    (tmp_path / "job.toml").write_text(text)
    rows = [{"item_id": "a", "image_url": "https://h/a.png"}, {"item_id": "b", "audio_url": "https://h/b.wav"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row | {"title": "t"}) + "\n" for row in rows))
    inputs = check(path)
    problems = {item.item_id: item.problem and item.problem.code for item in inputs.items()}
    assert (inputs.dialect, problems) == ("messages", {"a": None, "b": "unsupported_media"})


def test_warnings_are_about_real_gateways_only(job_file, monkeypatch):
    """The sandbox serves retired models too."""
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", "sk-1")
    assert check(job_file()).warnings() == []
    (warning,) = check(job_file(base_url="https://api.mixrouter.com/v1")).warnings()
    assert "2026-06-01" in warning


async def test_the_collector_is_as_it_was_after_a_run(job_file):
    """While rows are in flight it looks for cycles less often; whoever called has it back as it was."""
    before = gc.get_threshold()
    async with session.session(job_file(base_url="sandbox")):
        assert gc.get_threshold() > before
        assert gc.get_freeze_count()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
