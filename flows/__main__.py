"""The command line: `mediascribe`, or `python -m flows`.

Exit status: 0 the command did its work (rows that failed are results), 1 a run stopped before its end or a check
found a defect, 2 something the caller wrote is wrong and nothing was sent, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from flows.commands import costs, deploying, keeping, planning, prices, reconciling, reporting, trying
from flows.commands.telling import print_json, say
from mediascribe import __version__
from mediascribe.domain import Status  # noqa: TC001 - cyclopts reads the annotations
from mediascribe.errors import DiskError, MediascribeError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prefect.client.schemas.objects import State

    from mediascribe.doctor import Check
    from mediascribe.report.progress import Style

    Start = Callable[[Style], Awaitable[State[Any]]]

# What Prefect says about itself while it is embedded; a configured server, or the caller's own setting, wins.
_QUIET_PREFECT: Final = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "DO_NOT_TRACK": "1",
}

# Under a server of somebody's own, its pages have the log lines, and the terminal stays as quiet.
_QUIET_TERMINAL: Final = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}

app = App(
    name="mediascribe",
    version=__version__,
    help_format="plaintext",  # Markdown would take as long to import as all commands together
    help="Describe images, sounds and videos in bulk: URLs in, descriptions and token usage in Parquet out.",
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    print_error=False,
)

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
JobPath = Annotated[Path, Parameter(help="The job file, such as configs/jobs/demo.toml.")]


@app.command
def doctor(job: JobPath, *, json: Json = False) -> int:
    """Find what would go wrong with a job before a run is paid for. Asks about one item of each kind of media."""
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    from mediascribe.report.diagnosis import print_check  # noqa: PLC0415 - likewise

    checks = asyncio.run(_examined(str(job), (lambda _: None) if json else lambda one: print_check(one, Console())))
    if json:
        print_json([msgspec.to_builtins(check) for check in checks])
    return 1 if any(check.verdict == "fail" for check in checks) else 0


@app.command
def show(
    output: Annotated[str, Parameter(help="The output folder of a job.")],
    *,
    status: Annotated[Status | None, Parameter(help="Only rows with this status.")] = None,
    limit: Annotated[int, Parameter(help="How many rows.")] = 5,
    json: Json = False,
) -> int:
    """Show some of the newest results: what was said about which item, or why nothing was."""
    from mediascribe import dataset  # noqa: PLC0415 - pyarrow takes a moment to import
    from mediascribe.report.summary import print_rows  # noqa: PLC0415

    rows = dataset.latest(output, limit, status=status)
    if json:
        print_json(rows)
    else:
        print_rows(rows, Console())
    return 0


@app.command
def sandbox(
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0 takes a free one.")] = 8765,
    host: Annotated[
        str, Parameter(help="Address to listen on; anything but loopback opens it to others.")
    ] = "127.0.0.1",
    samples: Annotated[Path, Parameter(help="Folder served under /samples/.")] = Path("data/samples"),
    key: Annotated[str, Parameter(help="The bearer token that it accepts.")] = "sk-sandbox",
    json: Json = False,
) -> int:
    """Run the development gateway that the demo and the tests use: real media, real token rules, faults on demand."""
    from mediascribe.sandbox import serve  # noqa: PLC0415 - a server that other commands do not need

    serve(host, port, samples if samples.is_dir() else None, key, json=json)
    return 0


app.command(trying.try_, name="try")
for command in (
    *(planning.run, planning.backfill, planning.plan, trying.diff, trying.replay, trying.init),
    *(deploying.deploy, deploying.serve),
    *(costs.cost, reporting.report, reconciling.reconcile),
    *(keeping.verify, keeping.errors, keeping.compact, keeping.forget),
):
    app.command(command)
shown = App(name="prices", help="Show, check and pull prices.")
shown.command(prices.show)
shown.command(prices.check)
shown.command(prices.pull)
app.command(shown)


def main(tokens: list[str] | None = None) -> None:
    """Run one command and leave with its exit status."""
    served = (sys.argv[1:] if tokens is None else tokens)[:1] == ["serve"]  # its runs log to the server
    quiet = _QUIET_TERMINAL if "PREFECT_API_URL" in os.environ else _QUIET_PREFECT
    for name, value in () if served else quiet.items():
        os.environ.setdefault(name, value)
    try:
        status = app(tokens, exit_on_error=False, print_error=False)
    except (StoreError, DiskError) as error:
        say(f"{error}; run the same command again to go on")
        status = 1
    except (MediascribeError, CycloptsError) as error:
        say(str(error))
        status = 2
    except KeyboardInterrupt:
        say("interrupted; every answer received is kept: run the same command again to go on")
        status = 130
    sys.exit(status or 0)


async def _examined(job: str, show: Callable[[Check], None]) -> list[Check]:
    """The checks of *job*, each shown as soon as it is made."""
    from mediascribe.doctor import Patient, examine  # noqa: PLC0415 - other commands do without
    from mediascribe.inputs import check  # noqa: PLC0415
    from mediascribe.session import connected  # noqa: PLC0415

    inputs, checks = check(job), []
    async with connected(inputs) as opened:
        patient = Patient(
            question=opened.question(inputs.facts()),
            client=opened.client,
            prices=opened.inputs.prices,
            items=inputs.items(),
            warnings=inputs.warnings(),
            media=opened.media,
        )
        async for one in examine(patient):
            show(one)
            checks.append(one)
    return checks


if __name__ == "__main__":
    main()
