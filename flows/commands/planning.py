"""The commands that ask, and the one that says beforehand what they would: plan, run, backfill."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter
from rich.console import Console

from flows.commands.choices import Filters, JobPath, Json, Looking, Own, Reasons
from flows.commands.telling import print_json, say
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from prefect.client.schemas.objects import State

    from mediascribe.domain import Reason
    from mediascribe.forecast import Forecast
    from mediascribe.inputs import Inputs
    from mediascribe.means import Means
    from mediascribe.plan.kept import Kept
    from mediascribe.report.progress import Style
    from mediascribe.run import Outcome, RunFile
    from mediascribe.wanted import Wanted

    Start = Callable[[Style], Awaitable[State[Any]]]
    Run = Callable[[Awaitable[State[Any]]], Outcome]

_BACKFILL: Final[tuple[Reason, ...]] = ("new", "failed")


def run(
    job: Annotated[Path, Parameter(help="The job file, or a plan that `plan` made.")],
    *,
    workers: Annotated[int | None, Parameter(help="So many processes of this machine ask about shards.")] = None,
    json: Json = False,
) -> int:
    """Ask about every manifest row that has no result yet. Run it again at any time: nothing is paid for twice."""
    with _prefect(quiet=json) as go:
        from mediascribe.plan import kept  # noqa: PLC0415 - while Prefect's server starts

        made = kept.load(job) if kept.is_kept(job) else None

        async def start(style: Style) -> State[Any]:
            from flows.caption import caption  # noqa: PLC0415 - Prefect takes a second to import

            path, plan = (made.job_path, str(job)) if made else (str(job), None)
            return await caption(job=path, plan=plan, workers=workers, progress=style, return_state=True)

        if made is None:
            return _asked(_checked(job), ("new",), start, go, json=json)
        inputs = _checked(Path(made.job_path))
        kept.check(made, inputs)
        status = _asked(inputs, None, start, go, json=json)
    if status and not json:
        say(f"to go on with the rest of this plan:  mediascribe run {job}")
    return status


def backfill(
    job: JobPath,
    *,
    reason: Reasons = None,
    filters: Filters | None = None,
    own: Own | None = None,
    json: Json = False,
) -> int:
    """Ask again what failed or is stale. Without --reason: what is new or failed."""
    reasons = tuple(reason or _BACKFILL)
    wanted, means = (filters or Filters()).wanted(), (own or Own()).means()
    filtered = filters is not None and filters != Filters()
    start = _backfill(job, reasons, wanted, means)
    with _prefect(quiet=json) as go:
        return _asked(_checked(job), None if filtered else reasons, start, go, json=json)


def plan(
    job: JobPath,
    *,
    reason: Reasons = None,
    filters: Filters | None = None,
    looking: Looking | None = None,
    json: Json = False,
) -> int:
    """Say what would be asked, why, and what it would cost; with --reason also of a backfill. Sends nothing.

    The plan is kept: `mediascribe run PLAN` asks exactly its rows. Only --pilot asks, and is paid for.
    """
    from mediascribe import forecast  # noqa: PLC0415 - other commands do without
    from mediascribe.plan import kept  # noqa: PLC0415 - likewise

    looking, wanted = looking or Looking(), (filters or Filters()).wanted()
    reasons: tuple[Reason, ...] = tuple(reason or (("failed",) if wanted.error_classes else ("new",)))
    what_ifs = [forecast.parse(one) for one in looking.what_if or ()]
    if looking.pilot is not None and looking.pilot < 1:
        raise ConfigError(f"--pilot {looking.pilot}: wants a number of rows, 1 or more")
    inputs = _checked(job, keyless=looking.pilot is None)
    made = _made(inputs, reasons, wanted, looking.explain)
    piloted = None
    if looking.pilot and made.plan.rows:
        piloted = _piloted(job, inputs, made, looking.pilot, quiet=json)
        made = _made(inputs, reasons, wanted, looking.explain)
    found = forecast.forecast(inputs, made.plan, what_ifs)
    if not made.plan.rows:
        kept.remove(made)
    _show(made, found, looking, piloted, json=json)
    return 1 if piloted and piloted.stopped else 0


def _made(inputs: Inputs, reasons: tuple[Reason, ...], wanted: Wanted, examples: int) -> Kept:
    """The plan, kept; what killed runs had received is published first, so that it is not asked again."""
    from mediascribe import planning  # noqa: PLC0415 - other commands do without
    from mediascribe.plan import kept  # noqa: PLC0415 - likewise

    made, recovered = planning.make(inputs, inputs.order(reasons, wanted, examples=examples))
    for one in recovered:
        say(f"recovered {one.wrote.rows:,} answers of run {one.run_id}, which was interrupted")
    if made.cleared:
        plans = "1 plan" if made.cleared == 1 else f"{made.cleared:,} plans"
        say(f"removed {plans} that nobody has run to the end for {kept.KEPT_FOR.days} days")
    return made


def _piloted(job: Path, inputs: Inputs, made: Kept, rows: int, *, quiet: bool) -> RunFile | None:
    """The run that asked the pilot's rows of the plan *made*, which is removed."""
    from mediascribe import pilot  # noqa: PLC0415 - other commands do without
    from mediascribe.means import FULL  # noqa: PLC0415 - likewise
    from mediascribe.plan import kept  # noqa: PLC0415 - likewise
    from mediascribe.wanted import Wanted  # noqa: PLC0415 - likewise

    ids = pilot.of_plan(inputs, made.plan, rows)
    kept.remove(made)
    start = _backfill(job, made.plan.reasons, Wanted(ids=sorted(ids)), FULL)
    with _prefect(quiet=quiet) as go:
        return go(start("none" if quiet else "auto")).run


def _show(made: Kept, found: Forecast, looking: Looking, piloted: RunFile | None, *, json: bool) -> None:
    from mediascribe import plan as plans  # noqa: PLC0415 - other commands do without
    from mediascribe.report.forecasts import print_examples, print_forecast  # noqa: PLC0415 - likewise

    examples = plans.explain(made.plan, looking.explain)
    if json:
        shown = {"plan": str(made.path), "rows": made.plan.rows, "counts": made.plan.counts, "forecast": found}
        print_json(shown | {"failed": made.plan.failed, "examples": examples, "pilot": piloted})
        return
    console = Console()
    if piloted:
        cost = piloted.wrote.cost_usd
        said = "unknown" if cost is None else f"${cost:,.6f}"
        console.print(f"pilot: {piloted.wrote.rows:,} rows asked, cost {said}; they are done", highlight=False)
    print_forecast(found, made.plan.counts, console)
    print_examples(examples, console)
    if made.plan.shared:
        rows = "1 row gets" if made.plan.shared == 1 else f"{made.plan.shared:,} rows get"
        console.print(f"asked once: {rows} the answer of another, at no cost", highlight=False)
    if made.plan.rows:
        console.print(f"plan: {made.path}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"to ask exactly these rows:  mediascribe run {made.path}", highlight=False, soft_wrap=True)


def _backfill(job: Path, reasons: tuple[Reason, ...], wanted: Wanted, means: Means) -> Start:
    async def start(style: Style) -> State[Any]:
        from flows.backfill import backfill as flow  # noqa: PLC0415 - Prefect takes a second to import

        return await flow(job=str(job), reasons=reasons, wanted=wanted, means=means, progress=style, return_state=True)

    return start


def _checked(job: Path, *, keyless: bool = False) -> Inputs:
    from mediascribe.inputs import check  # noqa: PLC0415 - other commands do without

    return check(str(job), keyless=keyless)


def _asked(inputs: Inputs, reasons: tuple[Reason, ...] | None, start: Start, go: Run, *, json: bool) -> int:
    """Run a flow, and print how it ended; that nothing is due for *reasons* is found without one."""
    from mediascribe.report.summary import print_outcome  # noqa: PLC0415 - other commands do without
    from mediascribe.session import nothing_to_ask  # noqa: PLC0415 - likewise

    outcome = nothing_to_ask(inputs, reasons) if reasons else None
    if not outcome:
        for warning in inputs.warnings():
            say(f"warning: {warning}")
        outcome = go(start("none" if json else "auto"))
    if json:
        print_json(outcome)
    else:
        print_outcome(outcome, Console())
    if outcome.run and outcome.run.stopped:
        return 130 if outcome.run.status == "interrupted" else 1
    return 1 if outcome.run and not outcome.run.complete else 0


@contextmanager
def _prefect(*, quiet: bool) -> Iterator[Run]:
    """What runs a flow: under the configured Prefect server, or one of its own, which starts while the body runs."""
    from flows import embedded  # noqa: PLC0415 - other commands do without

    with embedded.started() as server:

        def go(starting: Awaitable[State[Any]]) -> Outcome:
            with embedded.uncollected():  # while the server starts
                from flows import backfill, caption, hooks, loops  # noqa: F401, PLC0415 - they load Prefect

                embedded.preload()
            if server is None or embedded.is_configured():
                return loops.run(hooks.outcome_of(starting))
            if not quiet:
                say("starting Prefect for this run; PREFECT_API_URL names a server that is there already")
            with server.reached():
                return loops.run(hooks.outcome_of(starting))

        yield go
