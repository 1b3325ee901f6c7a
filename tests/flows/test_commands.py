"""Every command, from a shell: what it prints, with which exit status, and what it leaves behind."""

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mediascribe import dataset, verification
from mediascribe.sandbox import Behaviour, Fault


def lines(text):
    return [line.rstrip() for line in text.splitlines()]


def wait_for(condition, seconds=60):
    for _ in range(seconds * 50):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("waited in vain")


def test_a_run_then_nothing_left(cli, job, gateway):
    """The first run asks about every row; the second sends nothing and says why."""
    ended = cli("run", job(rows=20))
    assert ended.status == 0, ended
    assert lines(ended.out)[0] == "rows      20 (20 ok)"
    assert lines(ended.out)[-1] == "next:  mediascribe cost out --by model,media_kind"
    assert "20/20 rows (100%)" in ended.err
    assert len(gateway.ledger()) == 20
    again = cli("run", "job.toml")
    assert again.status == 0, again
    assert lines(again.out)[0] == "nothing left to ask: every one of the 20 rows has its result in out"
    assert len(gateway.ledger()) == 20


def test_the_parquet_agrees_with_the_gateways_ledger(cli, job, gateway):
    """Tokens and money in the result are those that the gateway says it billed, to the nano-dollar."""
    gateway.behave("*", Behaviour(faults=(Fault("empty_content", rate=0.2), Fault("bad_status", rate=0.2))))
    ended = cli("run", job(rows=60, more="[retry]\nfirst_wait_s = 0.01\nshare = 1.0\n"), "--json")
    assert ended.status == 0, ended
    run, ledger = json.loads(ended.out)["run"], gateway.ledger()
    billed = sum(entry.prompt_tokens + entry.completion_tokens for entry in ledger)
    wrote = run["wrote"]
    assert wrote["tokens"]["total_tokens"] + wrote["tokens"]["wasted_tokens"] == billed
    assert round(wrote["cost_usd"] * 1e9) == sum(entry.nano_usd for entry in ledger)
    assert wrote["tokens"]["wasted_tokens"] > 0
    assert run["complete"] is True
    assert len(ledger) == sum(row["attempts"] for row in dataset.history(cli.folder / "out").to_pylist())


@pytest.mark.long
def test_kill_9_loses_no_answer_and_pays_for_none_twice(cli, job, gateway):
    """Killed at three moments; in the end every row has one result, and what was billed twice was counted in doubt."""
    gateway.behave("*", Behaviour(latency_s=0.02, jitter_s=0.05))
    path = job(rows=150, top="shard_rows = 60", more="[limits]\nconcurrency = 8\n")
    for answered in (20, 70, 110):
        running = cli.start("run", path)
        wait_for(lambda n=answered: sum(entry.finished for entry in gateway.ledger()) >= n)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    last = cli("run", path)
    assert last.status == 0, last
    rows = dataset.current(cli.folder / "out").to_pylist()
    assert sorted(row["item_id"] for row in rows) == [f"i{number:04d}" for number in range(150)]
    assert {row["status"] for row in rows} == {"ok"}
    assert dataset.history(cli.folder / "out").num_rows == 150
    runs = dataset.runs(cli.folder / "out")
    in_doubt = sum(run["in_doubt"] for run in runs)
    # A process killed between "about to send" and the sending leaves a doubt about a request that never came.
    assert 150 <= len(gateway.ledger()) <= 150 + in_doubt
    assert in_doubt <= 3 * 8
    assert [run["status"] for run in runs] == ["interrupted"] * (len(runs) - 1) + ["completed"]
    assert verification.verify(cli.folder / "out").ok


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), pytest.param(signal.SIGTERM, "SIGTERM", marks=pytest.mark.long)]
)
def test_the_first_signal_lets_what_is_in_flight_land(cli, job, gateway, number, name):
    """Nothing more is sent, nothing is in doubt, all that was billed is kept, and the summary says how to go on."""
    gateway.behave("*", Behaviour(latency_s=0.3))
    running = cli.start("run", job(rows=60, more="[limits]\nconcurrency = 4\n"))
    wait_for(lambda: sum(entry.finished for entry in gateway.ledger()) >= 8)
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert f"{name}: answers in flight still land" in err
    assert "Traceback" not in err
    assert lines(out)[0] == f"stopped before the end: interrupted by {name}"
    assert "to go on, once the cause is gone:  mediascribe run job.toml" in out
    (run,) = dataset.runs(cli.folder / "out")
    ledger = gateway.ledger()
    assert (run["status"], run["in_doubt"], run["wrote"]["rows"]) == ("interrupted", 0, len(ledger))
    assert 8 <= len(ledger) <= 16
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    assert len(gateway.ledger()) == 60


@pytest.mark.long
def test_the_second_ctrl_c_cuts_and_keeps_every_answer(cli, job, gateway, embedded):
    """Ctrl-C reaches the whole terminal: the run leaves nothing behind, and the next one goes on."""
    gateway.behave("*", Behaviour(latency_s=0.1))
    running = cli.start("run", job(rows=60, more="[limits]\nconcurrency = 4\n"), **embedded)
    wait_for(lambda: sum(entry.finished for entry in gateway.ledger()) >= 10)
    gateway.behave("*", Behaviour(latency_s=30.0))
    arrived = len(gateway.ledger())
    wait_for(lambda: len(gateway.ledger()) >= arrived + 4)
    servers = children_of(running.pid)
    os.killpg(running.pid, signal.SIGINT)
    os.read(running.stderr.fileno(), 1 << 16)
    time.sleep(0.3)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130, err
    assert "interrupted; every answer received is kept: run the same command again to go on" in err
    assert "Traceback" not in err
    assert len(servers) == 1
    assert not any(Path(f"/proc/{server}").exists() for server in servers)
    gateway.behave("*", Behaviour())
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    assert lines(ended.out)[0].startswith("recovered ")
    assert "4 requests were sent and not answered: they may have been billed" in ended.out
    assert dataset.current(cli.folder / "out").num_rows == 60
    assert len(gateway.ledger()) <= 60 + 4


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_second_run_on_the_same_output_sends_nothing(cli, job, gateway):
    """It says who holds the output, and leaves with status 2."""
    gateway.behave("*", Behaviour(latency_s=0.5))
    running = cli.start("run", job(rows=8, more="[limits]\nconcurrency = 1\n"))
    wait_for(lambda: len(gateway.ledger()) >= 1)
    second = cli("run", "job.toml")
    assert second.status == 2, second
    assert f"process {running.pid}" in second.err
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert len(gateway.ledger()) == 8


def test_a_rejected_key_stops_the_run_with_status_1(cli, job, gateway):
    """The cause is the first line; no row is marked failed, and the rows are still to be asked."""
    ended = cli("run", job(rows=50), key="sk-wrong-000000000000")
    assert ended.status == 1, ended
    assert lines(ended.out)[0].startswith("stopped before the end: ")
    assert "to go on, once the cause is gone:  mediascribe run job.toml" in lines(ended.out)
    assert len(gateway.ledger()) <= 32
    assert cli("run", "job.toml").status == 0
    assert dataset.current(cli.folder / "out").num_rows == 50


def test_backfill_asks_what_failed(cli, job, gateway):
    """A run leaves failed rows alone and names the command; the command asks them, and them only."""
    gateway.behave("*", Behaviour(faults=(Fault("media_failed", times=3),)))
    ended = cli("run", job(rows=10))
    command = "mediascribe backfill job.toml --reason failed"
    assert f"3 rows have failed; to ask again:  {command}" in lines(ended.out)
    assert len(gateway.ledger()) == 10
    ended = cli(*command.split()[1:])
    assert ended.status == 0, ended
    assert lines(ended.out)[0] == "rows      3 (3 ok)"
    assert len(gateway.ledger()) == 13
    assert {row["status"] for row in dataset.current(cli.folder / "out").to_pylist()} == {"ok"}


def test_cost_from_the_parquet_alone(cli, job):
    """A table for people, the same numbers as JSON for programs; neither wants the job or the gateway."""
    cli("run", job(rows=5))
    (cli.folder / "job.toml").unlink()
    table = cli("cost", "out", "--by", "model,media_kind", key=None)
    assert table.status == 0, table
    assert "gemini-2.0-flash" in table.out
    (group,) = json.loads(cli("cost", "out", "--by", "model,media_kind", "--json").out)
    (part,) = (cli.folder / "out").glob("results/v1/*/*.parquet")
    rows = pq.read_table(part, partitioning=None).to_pylist()
    assert (group["model"], group["media_kind"], group["rows"]) == ("gemini-2.0-flash", "image", 5)
    assert round(group["cost_usd"] * 1e9) == sum(round(row["cost_usd"] * 1e9) for row in rows)


def test_verify_finds_a_flipped_bit(cli, job):
    """Sound results are verified with status 0; a damaged part is named, with status 1."""
    cli("run", job(rows=5))
    assert lines(cli("verify", "out").out) == ["5 rows of 1 runs in 1 parts: 5 ok", "verified"]
    (part,) = (cli.folder / "out").glob("results/v1/*/*.parquet")
    damaged = bytearray(part.read_bytes())
    group = pq.read_metadata(part).row_group(0)
    column = next(group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "description")
    damaged[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    part.chmod(0o644)
    part.write_bytes(damaged)
    found = cli("verify", "out", "--json")
    assert found.status == 1
    assert json.loads(found.out)["ok"] is False


def test_the_key_is_nowcli(cli, job, gateway, prefect):
    """Not in what is printed, not in any file of the output, not in Prefect's database; signed queries neither."""
    gateway.behave("*", Behaviour(faults=(Fault("media_failed", times=2),)))
    url = f"{gateway.media_url}red.png?X-Amz-Signature=canarysignature&w=1"
    ended = cli("run", job(manifest=f"item_id,image_url\na,{url}\nb,{url}\nc,ftp://u:canarysignature@h/x.png\n"))
    assert ended.status == 0, ended
    seen = [ended.out, ended.err, cli("run", "job.toml", "--json").out]
    files = [path.read_bytes().decode("latin-1") for path in (cli.folder / "out").rglob("*") if path.is_file()]
    (database,) = Path(prefect["PREFECT_HOME"]).glob("prefect.db")
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        files += list(connection.iterdump())
    table = dataset.history(cli.folder / "out").to_pylist()
    for text in [*seen, *files, repr(table)]:
        assert gateway.api_key not in text
        assert "canarysignature" not in text
    assert len(table) == 3


@pytest.mark.parametrize(
    "case",
    [
        ({}, ["run", "jobb.toml"], "jobb.toml: there is no such job file; in . there is: job.toml"),
        (
            {"more": "[limits]\nconcurency = 3\n"},
            ["run", "job.toml"],
            "job.toml:13: unknown key `limits.concurency`; did you mean `concurrency`?",
        ),
        ({"more": "[limits\n"}, ["run", "job.toml"], "job.toml: not valid TOML: "),
        (
            {"more": "[limits]\nconcurrency = 0\n"},
            ["run", "job.toml"],
            'job.toml:13: `limits.concurrency` wants a number of requests in flight, 1 to 10,000, or "auto"',
        ),
        ({"top": 'shard_rows = "many"'}, ["run", "job.toml"], "job.toml:5: `shard_rows` = 'many': "),
        ({"more": 'system = "{{ titel }}"'}, ["run", "job.toml"], "m.csv: "),
        ({"manifest": "id,picture\n1,x\n"}, ["run", "job.toml"], "m.csv: "),
        (
            {"base_url": "https://api.mixrouter.com"},
            ["run", "job.toml"],
            "job.toml:9: `gateway.base_url` must end in /v1",
        ),
        ({}, ["cost", "nowhere"], "nowhere"),
        ({}, ["verify", "nowhere"], "nowhere"),
        ({}, ["run"], "requires an argument"),
        ({}, ["rum", "job.toml"], "rum"),
        ({}, ["backfill", "job.toml", "--reason", "stale"], "stale"),
        ({}, ["sandbox", "--port", "99999"], "port 99999"),
    ],
)
def test_what_a_person_got_wrong_is_one_clear_line(cli, job, gateway, case):
    """File, line, value and what to do, on one line; exit status 2; nothing sent, nothing written."""
    change, words, says = case
    job(**change)
    ended = cli(*words)
    assert ended.status == 2, ended
    (line,) = lines(ended.err)
    assert line.startswith("mediascribe: "), ended
    assert says in line
    assert ended.out == ""
    assert gateway.ledger() == []
    assert not list(Path().glob("out/results/**/*.parquet"))


def test_a_missing_manifest_is_named(cli, job):
    """With the path that was looked for."""
    job()
    Path("m.csv").unlink()
    ended = cli("run", "job.toml")
    assert (ended.status, len(lines(ended.err))) == (2, 1)
    assert "m.csv" in ended.err


def test_no_key_is_told_with_its_variable(cli, job):
    """Nothing is sent without one."""
    ended = cli("run", job(), key=None)
    assert (ended.status, len(lines(ended.err))) == (2, 1)
    assert "MEDIASCRIBE_API_KEY is not set" in ended.err


def test_an_output_that_cannot_be_written_is_named(cli, job):
    """A file where the folder should be."""
    job()
    Path("out").write_text("in the way")
    ended = cli("run", "job.toml")
    assert (ended.status, len(lines(ended.err))) == (2, 1)
    assert "out" in ended.err


def test_the_doctor_finds_a_sound_job_sound(cli, job, gateway):
    """Every line passes or says what is not known; one picture was asked about, nothing was written."""
    ended = cli("doctor", job())
    assert ended.status == 0, ended
    verdicts = {line.split()[1]: line.split()[0] for line in lines(ended.out) if not line.startswith(" ")}
    assert verdicts == dict.fromkeys(("gateway", "key", "model", "dialect", "price", "image"), "pass") | {
        "table": "unknown",  # gemini-2.0-flash is past its last day
        "quota": "unknown",
    }
    assert len(gateway.ledger()) == 1
    assert not list(Path().glob("out/results/**/*.parquet"))


def test_the_doctor_names_a_rejected_key(cli, job, gateway):
    """With what to do, status 1, and nothing asked."""
    ended = cli("doctor", job(), "--json", key="sk-wrong-000000000000")
    assert ended.status == 1, ended
    (check,) = (check for check in json.loads(ended.out) if check["verdict"] == "fail")
    assert (check["name"], check["advice"]) == ("key", "check the key, and that it may use this gateway")
    assert gateway.ledger() == []


def test_a_job_that_no_dialect_can_carry_is_refused(cli, job, gateway):
    """Before anything is sent, with the model, the medium and what to do."""
    manifest = f"item_id,audio_url\na,{gateway.media_url}red.png\n"
    path = job(manifest=manifest)
    Path(path).write_text(Path(path).read_text().replace("gemini-2.0-flash", "claude-sonnet-4-5-20250929"))
    ended = cli("run", path)
    assert ended.status == 2, ended
    assert "claude-sonnet-4-5-20250929" in ended.err
    assert "audio" in ended.err
    assert gateway.ledger() == []


def test_structured_answers_become_columns(cli, job):
    """A schema in the job, typed columns in the Parquet, and a table grouped by one of them."""
    properties = '{ subject = { type = "string" }, sharp = { type = "boolean" } }'
    more = f'[answer]\nschema = {{ type = "object", required = ["subject", "sharp"], properties = {properties} }}\n'
    ended = cli("run", job(rows=5, more=more))
    assert ended.status == 0, ended
    rows = dataset.current(cli.folder / "out").to_pylist()
    assert {type(row["answer_sharp"]) for row in rows} == {bool}
    assert all(json.loads(row["answer_json"])["subject"] == row["answer_subject"] for row in rows)
    (group,) = json.loads(cli("cost", "out", "--by", "answer_sharp", "--json").out)
    assert group["rows"] == 5


def test_help_names_every_command(cli):
    """A new user finds what there is."""
    ended = cli("--help")
    assert ended.status == 0
    for command in ("run", "backfill", "doctor", "show", "cost", "verify", "sandbox"):
        assert f" {command} " in ended.out
