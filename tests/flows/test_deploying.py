"""Deployments without a server: what they are to be, the forms of their flows, and how a run of theirs starts."""

import importlib
import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from mediascribe.errors import ConfigError, OutputInUse
from mediascribe.job_sections import Caps
from mediascribe.means import Means
from mediascribe.schedule import Rules

ROOT = Path(__file__).parents[2]
FLOWS = ("caption", "backfill", "cost")


@pytest.fixture
def world(prefect):
    """Prefect, the flows, and builders; Prefect reads its settings when it is imported, and so not before this."""
    return importlib.import_module("deployments")


@pytest.fixture
def said(world, job, monkeypatch, tmp_path, capsys):
    """`said("deploy", "job.toml")`: exit status and what a command says without any server."""
    monkeypatch.chdir(tmp_path)
    job(rows=1)

    def _said(*words, server=None):
        away = {world.PREFECT_API_URL: server} if server else {}
        defaults = None if server else {world.PREFECT_API_URL}
        with world.temporary_settings(away, restore_defaults=defaults), pytest.raises(SystemExit) as left:
            world.main([str(word) for word in words])
        return left.value.code, capsys.readouterr().err

    return _said


@pytest.mark.parametrize("command", ["deploy", "serve"])
def test_without_a_server_nothing_is_deployed(said, command):
    """Exit status 2, and what to start."""
    status, err = said(command, "job.toml")
    assert (status, "no Prefect server is configured" in err) == (2, True)
    assert "prefect server start" in err
    assert "PREFECT_API_URL" in err


def test_a_server_that_does_not_answer_is_named(said):
    """With its address."""
    status, err = said("deploy", "job.toml", server="http://127.0.0.1:9/api")
    assert (status, "the Prefect server at http://127.0.0.1:9/api" in err) == (2, True)
    assert "prefect server start" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cron", "every night"], '--cron every night: write minute, hour, day, month and weekday: "0 1 * * *"'),
        (["--timezone", "Berlin"], "--timezone Berlin: there is no such zone: write Europe/Berlin"),
        (["--deadline", "soon"], "deadline `soon`"),
        (["--name", "a/b"], "--name a/b: write a name without /"),
        (["--catch-up", "some"], "some"),
        (["--overlap", "refuse"], "refuse"),
    ],
)
def test_a_wrong_option_is_refused_before_any_server_is_asked(said, options, says):
    """Exit status 2, and what to write."""
    status, err = said("deploy", "job.toml", *options)
    assert (status, says in err) == (2, True), err


def test_a_job_that_is_none_is_refused(said):
    """As every command refuses it."""
    status, err = said("deploy", "jop.toml")
    assert (status, "there is no such job file; in . there is: job.toml" in err) == (2, True)


def test_what_is_there_already_is_no_change(world):
    """So that the same command does nothing the second time."""
    assert (
        world.deployment.differences(
            world.deployment.facts_of(world.there(world.wish())), world.deployment.facts(world.wish())
        )
        == []
    )


@pytest.mark.parametrize(
    ("changes", "what", "before", "after"),
    [
        ({"cron": None}, "schedule", "0 1 * * * Europe/Berlin", None),
        ({"cron": ("0 2 * * *", "UTC")}, "schedule", "0 1 * * * Europe/Berlin", "0 2 * * * UTC"),
        ({"deadline": "06:00 UTC"}, "parameter deadline", None, "06:00 UTC"),
        ({"job": "other.toml"}, "parameter job", "job.toml", "other.toml"),
        ({"pool": "q"}, "work pool", "p", "q"),
        ({"folder": "/there"}, "folder", "/here", "/there"),
        ({"rules": Rules(catch_up="all", overlap="wait")}, "parameter rules.catch_up", "latest", "all"),
    ],
)
def test_a_change_says_what_was_and_what_is(world, changes, what, before, after):
    """One line for each matter that is another one."""
    (change,) = world.deployment.differences(
        world.deployment.facts_of(world.there(world.wish())), world.deployment.facts(world.wish(**changes))
    )
    assert (change.what, change.before, change.after) == (what, before, after)


def test_what_somebody_made_by_hand_is_seen(world):
    """A limit taken away, a schedule of another kind, steps of one's own."""
    odd = world.there(
        world.wish(),
        global_concurrency_limit=None,
        schedules=[world.hourly()],
        pull_steps=None,
    )
    changed = world.deployment.differences(world.deployment.facts_of(odd), world.deployment.facts(world.wish()))
    assert [change.what for change in changed] == ["folder", "one run at a time", "schedule"]


@pytest.mark.parametrize("rules", [Rules(key_block="gateway-key"), Rules()])
def test_a_wish_holds_the_name_of_a_secret_at_most(world, rules):
    """And a parameter that says nothing is left out."""
    assert world.wish(rules=rules).parameters["rules"].get("key_block") == rules.key_block
    assert "deadline" not in world.wish().parameters


def fields(schema):
    """Every field of a form, with its path."""

    def _of(properties, path):
        for name, field in properties.items():
            yield f"{path}{name}", field
            kinds = [field, *field.get("anyOf", ())]
            for reference in (kind["$ref"] for kind in kinds if "$ref" in kind):
                model = schema["definitions"][reference.removeprefix("#/definitions/")]
                yield from _of(model["properties"], f"{path}{name}.")

    return dict(_of(schema["properties"], ""))


@pytest.mark.parametrize("name", FLOWS)
def test_every_field_of_a_form_says_what_it_is(world, name):
    """A title for people, and a description."""
    form = world.form(name)
    for path, field in fields(form).items():
        title = field.get("title") or form["definitions"][field["$ref"].removeprefix("#/definitions/")]["title"]
        assert title[0].isupper(), path
        assert field.get("description"), path


@pytest.mark.parametrize("name", FLOWS)
def test_what_may_be_left_out_is_an_empty_field(world, name):
    """No choice between a type and None inside a model, but for a budget: an empty one is not none."""
    form = world.form(name)
    choices = {path for path, field in fields(form).items() if "anyOf" in field}
    assert choices <= {"plan", "deadline", "workers", "means.budget"}


def test_a_form_has_lists_to_choose_from_and_limits(world):
    """So that a wrong value never leaves the page."""
    form = fields(world.form("backfill"))
    assert form["reasons"]["items"]["enum"][:2] == ["new", "failed"]
    assert form["rules.catch_up"]["enum"] == ["latest", "skip", "all"]
    assert "schema" in form["wanted.error_classes"]["items"]["enum"]
    assert (form["means.share"]["exclusiveMinimum"], form["means.share"]["maximum"]) == (0, 1)
    assert form["wanted.since"]["format"] == "date-time"
    assert form["means.budget.usd"]["type"] == "number"
    assert form["wanted.sample"] == {
        "title": "Sample",
        "type": "integer",
        "minimum": 1,
        "description": form["wanted.sample"]["description"],
    }


UNTOUCHED = {
    "job": "job.toml",
    "reasons": ["new", "failed"],
    "wanted": {"where": None, "since": None, "ids": None, "error_classes": None, "sample": None, "seed": 0},
    "means": {"budget": None, "share": 1},
    "rules": {"catch_up": "latest", "overlap": "wait", "key_block": None},
    "deadline": None,
    "progress": "auto",
}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, None),  # as the page sends it when nobody touched a field
        ({"means": {"budget": {"usd": 2.5}}}, None),
        ({"wanted": {"limit": 0}}, "limit"),
        ({"means": {"share": 1.5}}, "share"),
        ({"reasons": ["newest"]}, "reasons"),
        ({"wanted": {"limits": 3}}, "limits"),
    ],
)
def test_the_server_takes_what_the_page_sends(world, changes, refused):
    """And refuses what is out of bounds, by the name of the field."""
    form = world.form("backfill")
    if refused is None:
        assert world.validate(UNTOUCHED | changes, form, raise_on_error=True) == []
        return
    with pytest.raises(world.ValidationError, match=refused):
        world.validate(UNTOUCHED | changes, form, raise_on_error=True)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (Means(budget=Caps(), share=0.5), Means(share=0.5)),
        (Means(budget=Caps(tokens=5)), Means(budget=Caps(tokens=5))),
    ],
)
async def test_an_empty_budget_lifts_no_cap(world, monkeypatch, given, taken):
    """A form that was opened and left empty is no budget: that of the job holds."""
    seen = []

    async def fill(_job, _reasons, way, _wanted, means):
        seen.append((means, way.deadline))
        return world.Completed()

    monkeypatch.setattr("flows.backfill.fill", fill)
    await world.FLOWS["backfill"].fn(job="job.toml", means=given)
    assert seen == [(taken, None)]


def test_the_deployments_of_the_file_fit_their_flows(world):
    """Every entrypoint is there, and what stands in the form is taken; no schedule is on before a person says so."""
    read = yaml.safe_load((ROOT / "configs/prefect.yaml").read_text())
    assert [one["name"] for one in read["deployments"]] == list(FLOWS)
    for one in read["deployments"]:
        assert one["entrypoint"] == f"flows/{one['name']}.py:{one['name']}"
        form = world.form(one["name"])
        for schedule in [{}, *one.get("schedules", [])]:
            assert not schedule.get("active", False)
            world.validate(one["parameters"] | schedule.get("parameters", {}), form, raise_on_error=True)


def ask(*answers):
    """What a run does: gives or raises one answer after the other, and keeps what it saw."""
    left = list(answers)

    async def _ask(until):
        _ask.saw.append((until, os.environ.get("MEDIASCRIBE_API_KEY"), os.environ.get("MEDIASCRIBE_BASE_URL")))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    _ask.saw = []
    return _ask


BUSY = OutputInUse("output `out` is held by another run")


async def test_an_output_in_use_refuses_a_run_of_the_command_line(world):
    """As ever: it says who holds it, and ends."""
    with pytest.raises(OutputInUse):
        await world.starting.started("job.toml", Rules(), None, ask(BUSY))


async def test_a_run_skips_an_output_in_use(world):
    """It is Completed, named Skipped, and says who holds the output."""
    state = await world.starting.started("job.toml", Rules(overlap="skip"), None, ask(BUSY))
    assert (state.name, state.message) == ("Skipped", f"Skipped: {BUSY}")
    assert state.is_completed()


async def test_a_run_waits_for_an_output_in_use(world, monkeypatch):
    """And says so once, however often it looks."""
    lines, slept = [], []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(
        world.starting, "get_run_logger", lambda: SimpleNamespace(warning=lambda *said: lines.append(said))
    )
    monkeypatch.setattr(world.starting.asyncio, "sleep", sleep)
    done = world.Completed(message="done")
    state = await world.starting.started("job.toml", Rules(overlap="wait"), None, ask(BUSY, BUSY, done))
    assert (state, len(slept), len(lines)) == (done, 2, 1)


async def test_a_deadline_is_handed_on_as_a_moment(world):
    """Of a run that nobody scheduled: the next such time in UTC, unless it names a zone."""
    run = ask(world.Completed())
    await world.starting.started("job.toml", Rules(), "2026-11-24T06:00 ", run)
    assert run.saw[0][0] == "2026-11-24T06:00:00+00:00"
    with pytest.raises(ConfigError, match="soon"):
        await world.starting.started("job.toml", Rules(), "soon", run)


@pytest.fixture
def secret(world, monkeypatch):
    """`secret("sk-1")`: what the Secret block `gateway-key` holds."""

    def _secret(value):
        async def aload(name):
            if name != "gateway-key":
                raise ValueError(f"Unable to find block document named {name}")
            return world.Secret(value=value)

        monkeypatch.setattr(world.starting.Secret, "aload", aload)

    return _secret


@pytest.mark.parametrize("before", [None, "sk-worker"])
async def test_a_key_is_lent_by_a_secret_block(world, said, secret, monkeypatch, before):
    """For the run only: afterwards the environment is as it was, also when the run failed."""
    secret("sk-block")
    monkeypatch.delenv("MEDIASCRIBE_API_KEY", raising=False)
    if before:
        monkeypatch.setenv("MEDIASCRIBE_API_KEY", before)
    run = ask(world.Completed(), BUSY)
    await world.starting.started("job.toml", Rules(key_block="gateway-key"), None, run)
    with pytest.raises(OutputInUse):
        await world.starting.started("job.toml", Rules(key_block="gateway-key"), None, run)
    assert [key for _, key, _ in run.saw] == ["sk-block", "sk-block"]
    assert os.environ.get("MEDIASCRIBE_API_KEY") == before


@pytest.mark.parametrize(("block", "value"), [("sk-pasted-by-mistake", "sk-1"), ("gateway-key", {"key": "sk-1"})])
async def test_a_block_without_a_key_is_refused(world, said, secret, block, value):
    """With what to do; what was written in its place is not repeated, for it may be the key."""
    secret(value)
    with pytest.raises(ConfigError, match="`key_block`") as refused:
        await world.starting.started("job.toml", Rules(key_block=block), None, ask())
    assert "sk-" not in str(refused.value)


@pytest.fixture
def deployed(world, monkeypatch):
    """`deployed(...)`: the run is one of a deployment, which a server like this knows."""

    def _deployed(*, late=timedelta(0), states=(), others=(), variables=(), by_hand=False):
        server = world.Server([*states, *world.history(late=late)], others, dict(variables), by_hand=by_hand)
        monkeypatch.setattr(world.starting, "get_client", server.client)
        monkeypatch.setattr(world.starting.Variable, "aget", server.aget)
        monkeypatch.setattr(world.starting.FlowRunContext, "get", lambda: SimpleNamespace(flow_run=server.run))
        return server

    return _deployed


@pytest.mark.parametrize(
    ("rule", "late", "others"),
    [("latest", timedelta(days=3), [{}]), ("skip", timedelta(hours=5), [])],
)
async def test_a_late_run_gives_way_by_rule(world, deployed, rule, late, others):
    """As the server knows its states, and the other runs of its deployment; nothing is asked."""
    deployed(late=late, others=[world.other(**one) for one in others])
    run = ask(world.Completed(message="ran"))
    state = await world.starting.started("job.toml", Rules(catch_up=rule), None, run)
    assert (state.name, run.saw) == ("Skipped", [])


@pytest.mark.parametrize(
    ("rule", "late", "others"),
    [
        ("latest", timedelta(0), []),
        ("latest", timedelta(days=3), [{"days": 0}]),  # itself
        ("latest", timedelta(days=3), [{"auto": False}]),  # somebody started that one
        ("skip", timedelta(minutes=5), [{}]),
        ("all", timedelta(days=3), [{}]),
    ],
)
async def test_a_run_that_the_rule_does_not_mean_is_run(world, deployed, rule, late, others):
    """In time, or the latest, or each one is wanted."""
    deployed(late=late, others=[world.other(**one) for one in others])
    state = await world.starting.started("job.toml", Rules(catch_up=rule), None, ask(world.Completed(message="ran")))
    assert state.message == "ran"


async def test_to_wait_for_a_slot_is_not_to_be_late(world, deployed):
    """It was tried in time: another run of the deployment was at work."""
    waited = world.AwaitingConcurrencySlot().model_copy(update={"timestamp": world.NIGHT})
    deployed(late=timedelta(hours=8), states=[waited])
    state = await world.starting.started("job.toml", Rules(catch_up="skip"), None, ask(world.Completed(message="ran")))
    assert state.message == "ran"


async def test_cancelled_runs_are_nothing_newer(world, deployed):
    """The server may have cancelled them for want of a slot: then the older one is all there is."""
    server = deployed(late=timedelta(days=1))
    await world.starting.started("job.toml", Rules(catch_up="latest"), None, ask(world.Completed()))
    assert set(server.asked.state.type.not_any_) == {world.StateType.CANCELLED, world.StateType.CANCELLING}


async def test_who_starts_a_run_by_hand_wants_it(world, deployed):
    """Whatever the rule about late ones."""
    deployed(late=timedelta(days=9), others=[world.other()], by_hand=True)
    state = await world.starting.started("job.toml", Rules(catch_up="skip"), None, ask(world.Completed(message="ran")))
    assert state.message == "ran"


@pytest.mark.parametrize(
    ("deadline", "until"),
    [
        ("06:00", "2026-11-23T06:00:00+01:00"),  # the schedule's zone
        ("01:30", "2026-11-24T01:30:00+01:00"),  # it is 02:00 there when the run is due
        ("06:00 Asia/Tokyo", "2026-11-24T06:00:00+09:00"),
    ],
)
async def test_a_deadline_follows_on_when_the_run_was_due(world, deployed, deadline, until):
    """Not on when it started: who starts late has not got another day."""
    deployed()
    run = ask(world.Completed())
    await world.starting.started("job.toml", Rules(), deadline, run)
    assert run.saw[0][0] == until


async def test_prefect_variables_give_what_is_left_open(world, deployed, said, secret):
    """The base URL, and the Secret block where the rules name none."""
    secret("sk-block")
    deployed(variables={"mediascribe_base_url": "https://h/v1", "mediascribe_key_block": "gateway-key"})
    run = ask(world.Completed())
    await world.starting.started("job.toml", Rules(), None, run)
    assert run.saw == [(None, "sk-block", "https://h/v1")]
    assert "MEDIASCRIBE_BASE_URL" not in os.environ


async def test_a_variable_that_is_no_text_is_refused(world, deployed, said):
    """By its name."""
    deployed(variables={"mediascribe_base_url": ["https://h/v1"]})
    with pytest.raises(ConfigError, match="mediascribe_base_url"):
        await world.starting.started("job.toml", Rules(), None, ask())
