"""Failures by cause: how many, one of them, what to do, and the command that asks them again."""

from __future__ import annotations

import io
from typing import get_args

import pytest
from rich.console import Console

from mediascribe.domain import ErrorClass
from mediascribe.errors import ConfigError
from mediascribe.report.failures import ADVICE, failure_groups, print_failures

FIRST, SECOND = "20261120T010000Z-000001aaaa", "20261121T020000Z-000002bbbb"
SIGNED = "https://cdn.example/c.jpg?X-Amz-Signature=0123456789abcdef"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """A folder without job files."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def output(store, build, publish):
    """Two rows whose media are gone, one of another code, one refused, one skipped, one good."""
    gone = build.failure(code="http_404", http_status=400)
    publish(
        [
            build.record("a", 1, outcome=gone),
            build.record("b", 2, outcome=gone),
            build.record("c", 3, outcome=build.failure(error_class="server", message=f"HTTP 500 for {SIGNED}")),
            build.record("d", 4, outcome=build.completion(status="refused", text="I cannot.")),
            build.record(
                "e", 5, item=build.item("e", 5, media=()), outcome=build.failure(error_class="row", code="no_media")
            ),
            build.record("f", 6),
        ],
        run_id=FIRST,
    )
    return store


def printed(groups):
    console = Console(file=io.StringIO(), width=120)
    print_failures(groups, console)
    return console.file.getvalue()


def test_every_class_has_its_advice():
    """No row fails without a word on what to do."""
    assert set(ADVICE) == set(get_args(ErrorClass))


def test_rows_are_grouped_by_cause_the_most_frequent_first(output):
    """Status, class and code make a cause; a good row is none."""
    groups = failure_groups(output.root)
    assert [(group.status, group.error_class, group.error_code, group.rows) for group in groups] == [
        ("failed", "media", "http_404", 2),
        ("failed", "server", None, 1),
        ("refused", None, None, 1),
        ("skipped", "row", "no_media", 1),
    ]


def test_a_group_shows_one_of_its_rows(output):
    """Item, URL and message of the first, with the HTTP status."""
    group = failure_groups(output.root)[0]
    assert (group.item_id, group.url, group.http_status) == ("a", "https://cdn.example/a.jpg", 400)
    assert group.message == "HTTP 404 at https://cdn.example/a.jpg"
    assert group.command == "mediascribe backfill JOB --reason failed"


def test_no_signature_is_shown(output):
    """Whatever the message quotes."""
    groups = failure_groups(output.root)
    assert "0123456789abcdef" not in str(groups) + printed(groups)


def test_what_is_not_failed_is_asked_by_other_commands(output):
    """A skipped row is asked once the manifest is repaired, a refused one once the question is another."""
    commands = {group.status: group.command for group in failure_groups(output.root)}
    assert commands["skipped"] == "mediascribe run JOB"
    assert commands["refused"] == "mediascribe backfill JOB --reason stale_prompt --reason stale_model"


def test_a_row_without_media_has_no_url(output):
    """Unknown is None."""
    assert failure_groups(output.root)[3].url is None


def test_only_the_current_row_of_an_item_counts(output, build, publish):
    """What was asked again and went well is no failure any more; its run still says so."""
    publish([build.record("a", 1), build.record("b", 2)], run_id=SECOND)
    assert [group.error_class for group in failure_groups(output.root)] == ["server", None, "row"]
    assert failure_groups(output.root, FIRST)[0].rows == 2
    assert failure_groups(output.root, SECOND) == []


def test_an_unknown_run_is_refused_with_the_nearest(output):
    """The message names the run that was meant, where there is one."""
    with pytest.raises(ConfigError, match=f"no rows of a run `{FIRST}x` in these results; did you mean `{FIRST}`"):
        failure_groups(output.root, f"{FIRST}x")
    with pytest.raises(ConfigError, match=r"no rows of a run `zzz` in these results$"):
        failure_groups(output.root, "zzz")


def test_the_table_has_the_way_out_below_each_example(output):
    """Cause, example, advice; then each command once, with how many rows it asks."""
    text = printed(failure_groups(output.root))
    assert "media/http_404" in text
    assert "-> open the URL as the gateway would" in text
    assert "mediascribe backfill JOB --reason failed   # 3 of these rows" in text
    assert text.count("mediascribe run JOB") == 1
    assert text.splitlines()[-1].startswith("for JOB write the path of the file of the job `demo`: configs/jobs has no")


@pytest.fixture
def jobs(tmp_path):
    """`jobs(name=text)`: a folder of job files."""
    folder = tmp_path / "job files"
    folder.mkdir()

    def _jobs(**files):
        for name, text in files.items():
            (folder / f"{name}.toml").write_text(text)
        return folder

    return _jobs


def test_the_file_of_the_job_is_found_by_its_name(output, jobs):
    """In the folder of job files, whatever its own name; what is no job file there is no matter."""
    folder = jobs(one='name = "demo"', other='name = "other"', broken="name =")
    groups = failure_groups(output.root, jobs=folder)
    assert {group.job for group in groups} == {"demo"}
    assert groups[0].command == f"mediascribe backfill '{folder}/one.toml' --reason failed"
    assert "JOB" not in printed(groups)


def test_two_files_of_one_name_are_not_chosen_between(output, jobs):
    """Which of them asked is not known."""
    folder = jobs(one='name = "demo"', two='name = "demo"')
    assert failure_groups(output.root, jobs=folder)[0].command == "mediascribe backfill JOB --reason failed"


def test_advice_names_the_file_as_well(store, build, publish, jobs):
    """The doctor wants a job file too."""
    publish([build.record("a", 1, outcome=build.failure(error_class="auth"))], run_id=FIRST)
    folder = jobs(one='name = "demo"')
    advice = failure_groups(store.root, jobs=folder)[0].advice
    assert advice == f"the key was not accepted: renew it, then `mediascribe doctor '{folder}/one.toml'`"


def test_rows_of_two_jobs_are_told_apart(store, build, publish):
    """Each command says whose rows it asks, where no file is known."""
    publish([build.record("a", 1, outcome=build.failure())], run_id=FIRST, job="first")
    publish([build.record("b", 2, outcome=build.failure())], run_id=SECOND, job="second")
    lines = printed(failure_groups(store.root)).splitlines()
    assert "  mediascribe backfill JOB --reason failed   # 1 of these rows of the job first" in lines
    assert "  mediascribe backfill JOB --reason failed   # 1 of these rows of the job second" in lines
    assert "the job `first` or `second`" in lines[-1]


def test_nothing_a_terminal_would_act_on_is_printed(store, build, publish):
    """Control characters and markup of an error page are text; a long one is cut."""
    page = "\x1b[31m[bold]" + "x" * 400
    publish([build.record("a[red]", 1, outcome=build.failure(message=page))], run_id=FIRST)
    text = printed(failure_groups(store.root))
    assert "\x1b" not in text
    assert "a[red]" in text
    assert "[bold]xxx" in text
    assert "x" * 301 not in text.replace("\n", "").replace(" ", "")


def test_without_failures_that_is_said(store, build, publish):
    """An empty table would leave a doubt."""
    publish([build.record("a", 1)], run_id=FIRST)
    assert printed(failure_groups(store.root)) == "no row failed, was refused or skipped\n"
