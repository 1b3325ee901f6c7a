"""A run of the command line with a collector beside it: what arrives there, and what a run does without one."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mediascribe import dataset

pytestmark = pytest.mark.wide

ROOT = Path(__file__).parents[2]
ROWS = 30
# None of these may leave: the key, the prompt's text, and the name of the medium.
NEVER = (b"sk-canary0123456789abcdef", b"What is it?", b"red.png")


class Collector:
    """Takes OTLP over HTTP, as the specification has it: protobuf at /v1/traces and /v1/metrics."""

    def __init__(self):
        self.bodies, self.headers, self.spans, self.points = [], [], [], {}

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/v1/traces", self._traces)
        app.router.add_post("/v1/metrics", self._metrics)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _body(self, request):
        self.headers.append(request.headers)
        self.bodies.append(await request.read())
        return self.bodies[-1]

    async def _traces(self, request):
        sent = ExportTraceServiceRequest.FromString(await self._body(request))
        for resource in sent.resource_spans:
            self.resource = attributes(resource.resource.attributes)
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    async def _metrics(self, request):
        sent = ExportMetricsServiceRequest.FromString(await self._body(request))
        for resource in sent.resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                self.points[metric.name] = [*getattr(metric, metric.WhichOneof("data")).data_points]
        return web.Response(content_type="application/x-protobuf")

    def total(self, name, **labels):
        """The sum of a counter's newest points that have *labels*; a dot is written as two underscores."""
        wanted = {label.replace("__", "."): value for label, value in labels.items()}
        found = [point for point in self.points[name] if wanted.items() <= attributes(point.attributes).items()]
        return sum(point.as_int or point.as_double for point in found)


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


async def test_a_run_arrives_at_the_collector(cli, job, gateway):
    """Spans of all shards and attempts; rows, tokens and money as the gateway has them; and nothing that is secret."""
    job(rows=ROWS, top="shard_rows = 15")
    async with Collector() as collector:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=cats",
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        ended = await asyncio.to_thread(cli, "run", "job.toml", **told)
    assert ended.status == 0, ended
    assert "telemetry" not in ended.err

    billed = gateway.ledger()
    shards = {span.span_id: span for span in collector.spans if span.name == "shard"}
    attempts = [span for span in collector.spans if span.name == "chat gemini-2.0-flash"]
    assert sorted(attributes(span.attributes)["mediascribe.shard.landed"] for span in shards.values()) == [15, 15]
    assert len(attempts) == len(billed) == ROWS
    assert {span.parent_span_id for span in attempts} == shards.keys()
    seen = [attributes(span.attributes) for span in attempts]
    assert sum(one["gen_ai.usage.input_tokens"] + one["gen_ai.usage.output_tokens"] for one in seen) == sum(
        entry.total_tokens for entry in billed
    )
    assert (collector.resource["service.name"], collector.resource["deployment.environment.name"]) == (
        "mediascribe",
        "test",
    )
    assert {headers["x-tenant"] for headers in collector.headers} == {"cats"}

    assert collector.total("mediascribe.rows", mediascribe__status="ok", mediascribe__job="t") == ROWS
    billed_tokens = sum(entry.total_tokens for entry in billed)
    assert billed_tokens == sum(
        collector.total("mediascribe.tokens", mediascribe__token__kind=kind) for kind in ("prompt", "completion")
    )
    assert collector.total("mediascribe.cost.usd") > 0
    (duration,) = collector.points["gen_ai.client.operation.duration"]
    assert duration.count == ROWS
    assert collector.total("mediascribe.requests.in_flight") == 0

    everything = b"".join(collector.bodies)
    answers = {row["description"].encode() for row in dataset.current(cli.folder / "out").to_pylist()}
    assert answers
    assert not [word for word in (*NEVER, *answers) if word in everything]


def test_a_run_without_its_collector_goes_on(cli, job):
    """One line on the terminal, exit status 0, and all rows."""
    job(rows=3)
    ended = cli("run", "job.toml", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert ended.status == 0, ended
    assert "rows      3 (3 ok" in ended.out
    said = [line for line in ended.err.splitlines() if "127.0.0.1" in line and "9" in line and "telemetry" in line]
    assert len(said) == 1, ended
    assert "the run goes on" in said[0]
    assert "Transient" not in ended.err.replace(said[0], "")


def test_nothing_of_opentelemetry_is_loaded_unasked():
    """What the library imports to run a job has no telemetry in it."""
    script = (
        "import asyncio, sys, mediascribe.session as s, mediascribe.telemetry as t\n"
        "async def main():\n"
        "    async with t.opened(None, '', print) as told: assert told is t.OFF\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"
