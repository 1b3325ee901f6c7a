"""What is traced, counted and served, what is asked for by which variable, and that no trouble with it is the run's."""

import asyncio
import logging
import socket
import sys
import threading
import urllib.request
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

from mediascribe import pricing, telemetry
from mediascribe.attempts import Watch
from mediascribe.breaker import Outage
from mediascribe.budget import BudgetView, Spend
from mediascribe.case import Case
from mediascribe.domain import Completion, Failure, Item, Media, Record, Request, Shard, Usage
from mediascribe.errors import RateLimitedError, TransientError
from mediascribe.job import Job
from mediascribe.journal import Sent
from mediascribe.landing import ShardReport
from mediascribe.pacing import Pacing, Use
from mediascribe.telemetry import providers, settings
from mediascribe.telemetry.measures import Measures
from mediascribe.telemetry.recorder import Recorder, recording
from mediascribe.telemetry.spans import Spans

BASE_URL = "https://gateway.test/v1"
JOB = Job.model_validate(
    {
        "name": "cats",
        "model": "gemini-2.0-flash",
        "output": "out",
        "manifest": {"path": "m"},
        "gateway": {"base_url": BASE_URL},
        "prompt": {"text": "?"},
    }
)
SECRETS = ("canary-prompt", "canary-url", "canary-answer", "canary-message", "canary-system")
SHARD = Shard(run_id="run-1", number=3, rows=7, plan_path="p")
USAGE = Usage(
    prompt_tokens=1_806, completion_tokens=29, total_tokens=1_835, prompt_image_tokens=1_800, source="reported"
)
ANSWER = Completion(
    status="ok",
    text="canary-answer",
    usage=USAGE,
    finish_reason="stop",
    reasoning="canary-answer",
    model_returned="gemini-2.0-flash-001",
    response_id="r-1",
)


def case(*, dialect="chat", spent=None, schema=None):
    media = (Media(kind="image", url="https://canary-url/x.png"),)
    asked = Request(
        model="gemini-2.0-flash",
        dialect=dialect,
        prompt="canary-prompt",
        system="canary-system",
        media=media,
        identity=media,
        parameters={"max_tokens": 300, "temperature": 0.5},
        schema=schema,
    )
    opened = Case(Item(item_id="i", row_number=12), "new", asked, pricing.load())
    opened.sent(Sent(row=12, key="k", at=0.0, nano_usd=9, tokens=9))
    opened.account.last = spent
    return opened


class Recorded:
    """A recorder whose exporters are in memory; the clock stands at `now`, the lots are *lots*."""

    def __init__(self, *, ratio=1.0, lots=(), job=JOB):
        self.exporter, self.reader, self.now = InMemorySpanExporter(), InMemoryMetricReader(), 100.0
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        drawn = iter(lots)
        self.measures = Measures(meters.get_meter("t"), job)
        spans = Spans(tracers.get_tracer("t"), ratio, lambda: next(drawn, 0.0))
        self.recorder = Recorder(self.measures, spans, job.name, BASE_URL, clock=lambda: self.now)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def points(self, name):
        """The data points of a metric, by their attributes without the job's; None for one that has none."""
        found = self.reader.get_metrics_data()
        for scope in found.resource_metrics[0].scope_metrics if found else ():
            for metric in scope.metrics:
                if metric.name == name:
                    return {
                        tuple(
                            value for key, value in sorted(point.attributes.items()) if key != "mediascribe.job"
                        ): point
                        for point in metric.data.data_points
                    }
        return None

    def values(self, name):
        points = self.points(name)
        return {key: point.value for key, point in points.items()} if points else points


@pytest.fixture
def recorded():
    return Recorded()


def watch(*, bound_by=None, outage=None, share=None, requests=0, per_minute=None):
    pacing = Pacing(
        in_flight=4,
        window=8,
        cooldown_s=1.5,
        outage=outage,
        requests_per_minute=per_minute,
        bound_by=bound_by,
        why=None,
    )
    zero = Spend()
    spent = Spend(requests=requests)
    budget = BudgetView(
        spent=spent, in_doubt=zero, reserved=zero, waiting=2, beyond=0, nearest="x" if share else None, share=share
    )
    return Watch(pacing=pacing, budget=budget)


# What the variables ask for


@pytest.mark.parametrize(
    ("environ", "traces", "metrics"),
    [
        ({}, (), ()),
        ({"OTEL_SERVICE_NAME": "x"}, (), ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp",), ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "  "}, (), ()),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, (), ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, (), ("otlp",)),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, (), ("prometheus",)),
        ({"OTEL_METRICS_EXPORTER": "otlp, prometheus,otlp"}, (), ("otlp", "prometheus")),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "True"}, (), ()),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "no"}, ("console",), ()),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, (), ()),
    ],
)
def test_a_signal_is_exported_where_a_variable_asks_for_it(environ, traces, metrics):
    """By its exporter's name, or by an OTLP endpoint; nothing else turns it on."""
    wanted = settings.read(environ)
    assert (wanted.traces, wanted.metrics, wanted.notes) == (traces, metrics, ())


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        (None, None, 0.001),
        (None, "0.25", 0.25),
        ("traceidratio", "1", 1.0),
        ("parentbased_traceidratio", "0", 0.0),
        ("always_on", "0.5", 1.0),
        ("parentbased_always_on", None, 1.0),
    ],
)
def test_the_sampler_says_how_many_attempts_are_traced(sampler, argument, ratio):
    """One in a thousand, where it says nothing."""
    environ = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    wanted = settings.read({name: value for name, value in environ.items() if value})
    assert (wanted.ratio, wanted.notes) == (ratio, ())


@pytest.mark.parametrize(
    ("environ", "note"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER=zipkin is passed over: there are none, otlp, console",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER=jaeger_remote"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG=2 is passed over"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER_ARG": "x"}, "OTEL_TRACES_SAMPLER_ARG=x is passed over"),
        (
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "99999"},
            "PORT=99999 is passed over",
        ),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTLP_PROTOCOL=grpc is not spoken"),
    ],
)
def test_what_is_not_understood_is_told_and_passed_over(environ, note):
    """The note names the variable and its value; defaults hold."""
    wanted = settings.read(environ)
    assert len(wanted.notes) == 1
    assert note in wanted.notes[0]
    assert (wanted.ratio, wanted.port) == (0.001, 9464)


def test_the_protocol_of_one_signal_comes_before_that_of_all():
    """As the specification orders them."""
    wanted = settings.read(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        }
    )
    assert (wanted.traces, wanted.metrics) == (("otlp",), ())


def test_prometheus_is_served_on_loopback_where_nothing_else_is_said():
    """Port and host are the exporter's variables."""
    assert (settings.read({"OTEL_METRICS_EXPORTER": "prometheus"})).host == "127.0.0.1"
    wanted = settings.read(
        {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "0.0.0.0",  # noqa: S104 - a person may want it
            "OTEL_EXPORTER_PROMETHEUS_PORT": "9999",
        }
    )
    assert (wanted.host, wanted.port) == ("0.0.0.0", 9999)  # noqa: S104 - likewise


# Off


async def test_nothing_is_opened_unasked():
    """Without variables, telemetry is the null object, and says nothing."""
    told = []
    async with telemetry.opened(JOB, BASE_URL, told.append, {}) as off:
        assert off is telemetry.OFF
    assert told == []


def test_the_null_object_lets_everything_pass():
    """Attempts and shards go on in it, at once and within each other, and errors go through it."""
    off = telemetry.Off()
    off.landed(Record(item=Item(item_id="i", row_number=1), reason="new", outcome=ANSWER))
    off.watching(watch, dict)
    with off.shard(SHARD) as described, off.attempt(case()) as tried:
        tried.came_to(ANSWER)
        described.came_to(None)
    with pytest.raises(KeyError), off.attempt(case()):
        raise KeyError


async def test_what_was_passed_over_is_told():
    """Also where nothing is left to export."""
    told = []
    async with telemetry.opened(JOB, BASE_URL, told.append, {"OTEL_TRACES_EXPORTER": "zipkin"}) as off:
        assert off is telemetry.OFF
    assert told == ["telemetry: OTEL_TRACES_EXPORTER=zipkin is passed over: there are none, otlp, console"]


async def test_a_missing_extra_is_one_line_and_the_run_goes_on(monkeypatch):
    """The line says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    told = []
    async with telemetry.opened(JOB, BASE_URL, told.append, {"OTEL_TRACES_EXPORTER": "otlp"}) as off:
        assert off is telemetry.OFF
    assert len(told) == 1
    assert "pip install 'mediascribe[telemetry]'" in told[0]


async def test_another_missing_module_is_no_matter_of_the_extra(monkeypatch):
    """It is a defect, and raised as one."""

    def build(_):
        raise ModuleNotFoundError("no", name="protobuf")

    monkeypatch.setattr(providers, "build", build)
    with pytest.raises(ModuleNotFoundError):
        async with telemetry.opened(JOB, BASE_URL, print, {"OTEL_TRACES_EXPORTER": "otlp"}):
            pass


# Spans


def test_an_attempt_has_the_names_of_the_conventions(recorded):
    """Operation, provider, models, server, parameters, tokens; when it began, and how long it took."""
    with recorded.recorder.attempt(case(spent=Spend(nano_usd=5, tokens=1_835, requests=1))) as tried:
        recorded.now += 2.5
        tried.came_to(ANSWER)
    (span,) = recorded.spans
    assert (span.name, span.kind, span.status.status_code) == (
        "chat gemini-2.0-flash",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert span.end_time - span.start_time == 2_500_000_000
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gemini-2.0-flash",
        "gen_ai.request.max_tokens": 300,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": False,
        "gen_ai.output.type": "text",
        "gen_ai.response.model": "gemini-2.0-flash-001",
        "gen_ai.response.id": "r-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1_806,
        "gen_ai.usage.output_tokens": 29,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "server.address": "gateway.test",
        "server.port": 443,
        "mediascribe.row": 12,
        "mediascribe.attempt": 1,
    }


@pytest.mark.parametrize(
    ("dialect", "provider", "operation"),
    [
        ("responses", "openai", "chat"),
        ("messages", "anthropic", "chat"),
        ("generate_content", "gcp.gen_ai", "generate_content"),
    ],
)
def test_a_dialect_is_called_as_its_conventions_call_it(recorded, dialect, provider, operation):
    """The provider is the one whose format is spoken."""
    with recorded.recorder.attempt(case(dialect=dialect, schema={})) as tried:
        tried.came_to(ANSWER)
    attributes = recorded.spans[0].attributes
    assert (attributes["gen_ai.provider.name"], attributes["gen_ai.operation.name"]) == (provider, operation)


def test_attempts_are_traced_by_lot():
    """Of a ratio of 0.001, those whose lot is below it."""
    recorded = Recorded(ratio=0.001, lots=(0.0009, 0.001, 0.5, 0.0))
    for _ in range(4):
        with recorded.recorder.attempt(case()) as tried:
            tried.came_to(ANSWER)
    assert len(recorded.spans) == 2
    (duration,) = recorded.points("gen_ai.client.operation.duration").values()
    assert duration.count == 4


def test_attempts_are_children_of_their_shard(recorded):
    """The shard says which it is, and how many rows it was to have and has."""
    with recorded.recorder.shard(SHARD) as described:
        with recorded.recorder.attempt(case()) as tried:
            tried.came_to(ANSWER)
        described.came_to(ShardReport(name="n", rows=7, part="p", in_doubt=1, torn=(), spent={}))
    attempt, shard = recorded.spans
    assert attempt.parent.span_id == shard.context.span_id
    assert dict(shard.attributes) == {
        "mediascribe.job": "cats",
        "mediascribe.run": "run-1",
        "mediascribe.shard": 3,
        "mediascribe.shard.rows": 7,
        "mediascribe.shard.landed": 7,
        "mediascribe.shard.in_doubt": 1,
    }


@pytest.mark.parametrize(("drained", "error"), [(True, "drained"), (False, "stopped")])
def test_a_shard_that_stopped_is_an_error(recorded, drained, error):
    """Why, in a word: what the gateway said may quote a secret."""
    with recorded.recorder.shard(SHARD) as described:
        described.came_to(
            ShardReport(
                name="n", rows=0, part=None, in_doubt=0, torn=(), spent={}, stopped="canary-message", drained=drained
            )
        )
    (span,) = recorded.spans
    assert (span.attributes["error.type"], span.status.status_code) == (error, StatusCode.ERROR)
    assert "canary" not in span.to_json()


def test_a_shard_that_broke_names_its_error(recorded):
    """The type alone, and the error goes on."""
    with pytest.raises(ValueError, match="canary"), recorded.recorder.shard(SHARD):
        raise ValueError("canary-message")
    assert recorded.spans[0].attributes["error.type"] == "ValueError"
    assert "canary" not in recorded.spans[0].to_json()


@contextmanager
def raised(recorded, error, **about):
    with pytest.raises(type(error)), recorded.recorder.attempt(case(**about)):
        raise error
    yield recorded.spans[0]


def test_a_failed_attempt_has_its_class_and_no_words(recorded):
    """Status and class are those of the failure; its message and text stay here."""
    failure = Failure(error_class="server", message="canary-message", http_status=502, text="canary-answer")
    with raised(recorded, TransientError(failure), spent=Spend(requests=1)) as span:
        assert span.attributes["error.type"] == "server"
        assert span.attributes["http.response.status_code"] == 502
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert not span.events
        assert not any(secret in span.to_json() for secret in SECRETS)


def test_an_attempt_that_was_cancelled_is_an_error_of_that_type(recorded):
    """Nobody knows what it was billed."""
    with raised(recorded, asyncio.CancelledError()) as span:
        assert span.attributes["error.type"] == "CancelledError"
    assert recorded.values("mediascribe.in_doubt") == {("gemini-2.0-flash",): 1}


def test_an_answer_that_fails_its_schema_is_an_error(recorded):
    """It is paid for all the same: its tokens are there."""
    with recorded.recorder.attempt(case(spent=Spend(nano_usd=1, requests=1))) as tried:
        tried.came_to(Failure(error_class="schema", message="canary-message", usage=USAGE))
    (span,) = recorded.spans
    assert (span.attributes["error.type"], span.attributes["gen_ai.usage.input_tokens"]) == ("schema", 1_806)


def test_nothing_that_was_written_is_traced(recorded):
    """No prompt, no system prompt, no address of a medium, no answer, no reasoning."""
    with recorded.recorder.shard(SHARD), recorded.recorder.attempt(case()) as tried:
        tried.came_to(ANSWER)
    recorded.recorder.landed(Record(item=Item(item_id="canary-url", row_number=1), reason="new", outcome=ANSWER))
    said = "".join(span.to_json() for span in recorded.spans) + recorded.reader.get_metrics_data().to_json()
    assert "canary" not in said


# Metrics


def test_rows_are_counted_by_status_and_class(recorded):
    """A row with an answer has no class."""
    item = Item(item_id="i", row_number=1)
    for outcome in (ANSWER, ANSWER, Failure(error_class="media", message="x", unasked=True)):
        recorded.recorder.landed(Record(item=item, reason="new", outcome=outcome))
    assert recorded.values("mediascribe.rows") == {("ok",): 2, ("media", "skipped"): 1}


def test_tokens_and_money_are_counted_by_attempt(recorded):
    """By kind, as the result's columns are called; USD is whole nano-dollars by 10^9."""
    for _ in range(2):
        with recorded.recorder.attempt(case(spent=Spend(nano_usd=192_200, tokens=1_835, requests=1))) as tried:
            tried.came_to(ANSWER)
    model = "gemini-2.0-flash"
    assert recorded.values("mediascribe.tokens") == {
        (model, "prompt"): 3_612,
        (model, "completion"): 58,
        (model, "prompt_image"): 3_600,
    }
    assert recorded.values("mediascribe.cost.usd") == {(model,): pytest.approx(0.0003844, abs=1e-12)}
    usage = recorded.points("gen_ai.client.token.usage")
    by_type = {point.attributes["gen_ai.token.type"]: (point.count, point.sum) for point in usage.values()}
    assert by_type == {"input": (2, 3_612), "output": (2, 58)}


def test_durations_lie_in_the_buckets_of_the_conventions(recorded):
    """A request of 3 s lies between 2.56 and 5.12 s."""
    with recorded.recorder.attempt(case()) as tried:
        recorded.now += 3.0
        tried.came_to(ANSWER)
    (point,) = recorded.points("gen_ai.client.operation.duration").values()
    bounds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    assert (point.explicit_bounds, point.sum) == (bounds, 3.0)
    assert point.bucket_counts[9] == 1
    (tokens, _) = recorded.points("gen_ai.client.token.usage").values()
    assert tokens.explicit_bounds == (
        1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864,
    )  # fmt: skip


def test_refusals_of_the_gateway_are_counted(recorded):
    """A 429 is no row's failure, and bills nothing."""
    failure = Failure(error_class="rate_limit", message="slow down", http_status=429)
    with raised(recorded, RateLimitedError(failure), spent=Spend(requests=1)):
        pass
    assert recorded.values("mediascribe.rate_limited") == {("gemini-2.0-flash",): 1}
    assert recorded.values("mediascribe.tokens") is None
    (duration,) = recorded.points("gen_ai.client.operation.duration").values()
    assert duration.attributes["error.type"] == "rate_limit"


def test_gauges_show_what_the_last_look_saw(recorded):
    """By lane: in flight, waiting, window; of the run: quota, budget, rest after a 429."""
    uses = {"": Use(in_flight=3, waiting=40, window=8), "gpt-x": Use(in_flight=1, window=2)}
    recorded.recorder.watching(lambda: watch(share=0.42, per_minute=600.0), lambda: uses)
    assert recorded.values("mediascribe.requests.in_flight") == {("shared",): 3, ("gpt-x",): 1}
    assert recorded.values("mediascribe.requests.waiting") == {("shared",): 40, ("gpt-x",): 0}
    assert recorded.values("mediascribe.requests.window") == {("shared",): 8, ("gpt-x",): 2}
    assert recorded.values("mediascribe.quota.requests_per_minute") == {(): 600.0}
    assert recorded.values("mediascribe.budget.left") == {(): pytest.approx(0.58)}
    assert recorded.values("mediascribe.budget.waiting") == {(): 2}
    assert recorded.values("mediascribe.cooldown") == {(): 1.5}
    assert recorded.values("mediascribe.outage") == {(): 0.0}
    assert recorded.values("mediascribe.quota.share") is None  # of no time yet


def test_what_is_unknown_has_no_gauge(recorded):
    """Without caps there is no budget left, and without a quota no pace."""
    recorded.recorder.watching(watch, dict)
    assert recorded.values("mediascribe.budget.left") is None
    assert recorded.values("mediascribe.quota.requests_per_minute") is None


def test_a_budget_that_was_passed_has_nothing_left(recorded):
    """It never has less."""
    recorded.recorder.watching(lambda: watch(share=1.2), dict)
    assert recorded.values("mediascribe.budget.left") == {(): 0.0}


def test_waiting_is_counted_in_seconds_by_its_cause(recorded):
    """What bound the run at a look counts for the time since the look before."""
    bound = iter(["cooldown", "outage", "outage", None, "cooldown"])
    outage = Outage(lasted_s=9.0, why="502", probe_in_s=1.0)
    recorded.recorder.watching(lambda: watch(bound_by=next(bound), outage=outage), dict)
    for _ in range(4):
        recorded.now += 1.0
        recorded.recorder.look()
    assert recorded.values("mediascribe.waited") == {("outage",): 2.0, ("cooldown",): 1.0}
    assert recorded.values("mediascribe.outage") == {(): 9.0}


def test_nobody_is_looked_at_before_the_run_begins(recorded):
    """There is nothing to see yet."""
    recorded.recorder.look()
    assert recorded.values("mediascribe.cooldown") is None


# Exporters


@contextmanager
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


def fetched(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.wide
async def test_prometheus_reads_the_run_from_its_port():
    """While the run is open; names and labels are as Prometheus spells them, and Prefect's metrics stay away."""
    with free_port() as port:
        pass
    environ = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    told = []
    async with telemetry.opened(JOB, BASE_URL, told.append, environ) as on:
        on.watching(lambda: watch(share=0.25), lambda: {"": Use(in_flight=3)})
        on.landed(Record(item=Item(item_id="i", row_number=1), reason="new", outcome=ANSWER))
        with on.shard(SHARD), on.attempt(case(spent=Spend(nano_usd=500_000_000, requests=1))) as tried:
            tried.came_to(ANSWER)
        text = await asyncio.to_thread(fetched, port)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {line.split("{")[0]: (line, float(line.rsplit(" ", 1)[1])) for line in lines}
    assert found["mediascribe_rows_total"][1] == 1
    assert 'mediascribe_status="ok"' in found["mediascribe_rows_total"][0]
    assert found["mediascribe_cost_usd_total"][1] == 0.5
    assert found["mediascribe_requests_in_flight"][1] == 3
    assert found["mediascribe_budget_left"][1] == 0.75
    assert found["gen_ai_client_operation_duration_seconds_count"][1] == 1
    assert 'service_name="mediascribe"' in found["target_info"][0]
    assert not any(name.startswith(("prefect", "python_")) for name in found)
    assert told == []
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(fetched, port)


async def test_a_port_that_is_taken_is_one_line():
    """A second run on the machine goes on without."""
    with free_port() as port:
        environ = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
        told = []
        async with telemetry.opened(JOB, BASE_URL, told.append, environ) as on:
            on.landed(Record(item=Item(item_id="i", row_number=1), reason="new", outcome=ANSWER))
    assert len(told) == 1
    assert f"cannot be served on 127.0.0.1:{port}" in told[0]


async def test_the_console_shows_spans_and_metrics_beside_the_results(capsys):
    """On standard error: standard output is for what the command gives."""
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}
    async with telemetry.opened(JOB, BASE_URL, print, environ) as on:
        on.landed(Record(item=Item(item_id="i", row_number=1), reason="new", outcome=ANSWER))
        with on.shard(SHARD):
            pass
    shown = capsys.readouterr()
    assert shown.out == ""
    assert '"name": "shard"' in shown.err
    assert '"name": "mediascribe.rows"' in shown.err


@pytest.mark.wide
async def test_a_collector_that_is_not_there_is_one_line():
    """Its keys are not in it, and the SDK's own lines are not shown; the end waits for no second try."""
    with free_port() as port:
        pass
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=canary-key",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    told, logged = [], []
    listener = logging.Handler()
    listener.addFilter(logged.append)
    logging.getLogger().addHandler(listener)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)  # the SDK reads its part itself
        async with telemetry.opened(JOB, BASE_URL, told.append, environ) as on:
            on.landed(Record(item=Item(item_id="i", row_number=1), reason="new", outcome=ANSWER))
            with on.shard(SHARD):
                pass
        await asyncio.sleep(0)
    logging.getLogger().removeHandler(listener)
    assert len(told) == 1
    assert told[0].startswith("telemetry: ")
    assert "the run goes on" in told[0]
    assert "canary" not in told[0]
    assert not [record for record in logged if record.name.startswith("opentelemetry")]


async def test_no_second_trouble_is_told_and_no_secret_is(monkeypatch):
    """Of what the SDK logs while the run is open."""
    told, wanted = [], settings.Wanted(secrets=("canary-key",))
    before = [*logging.getLogger("opentelemetry").handlers]
    quiet = providers.Providers(tracers=NoOpTracerProvider(), meters=None)
    monkeypatch.setattr(logging.getLogger(), "level", logging.CRITICAL)  # as Prefect's may be
    async with providers.opened(quiet, wanted, told.append):
        for number in range(3):
            logging.getLogger("opentelemetry.sdk").warning("refused canary-key %s", number)
        logging.getLogger("opentelemetry.sdk").info("nothing")
        await asyncio.sleep(0)
    assert logging.getLogger("opentelemetry").handlers == before
    assert told == ["telemetry: refused REDACTED 0 (the run goes on, and no more is said about this)"]


async def test_the_end_waits_for_no_collector_that_hangs(monkeypatch):
    """What cannot be sent in a few seconds is given up."""
    monkeypatch.setattr(providers, "_CLOSE_S", 0.0)
    never = threading.Event()
    hanging = providers.Providers(tracers=NoOpTracerProvider(), meters=None, closing=(never.wait,))
    async with providers.opened(hanging, settings.Wanted(), print):
        pass
    never.set()


async def test_the_resource_says_who_runs(monkeypatch):
    """The variables come before our own names."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    assert providers.resource().attributes["service.name"] == "mediascribe"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "captions")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.version=9")
    attributes = providers.resource().attributes
    assert attributes["service.name"] == "captions"
    assert attributes["service.version"] == "9"
    assert attributes["deployment.environment.name"] == "prod"


async def test_the_run_is_looked_at_until_it_ends(recorded):
    """Once more at the end: the last export shows the end."""
    looks = []
    open_ = providers.Providers(
        tracers=NoOpTracerProvider(), meters=MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    )
    async with recording(open_, settings.Wanted(), JOB, BASE_URL) as recorder:
        recorder.watching(lambda: looks.append(1) or watch(), dict)
        await asyncio.sleep(0)
    assert len(looks) == 3
