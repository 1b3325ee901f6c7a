"""What Prefect costs a run beside its rows, in what can be counted on a machine that does other work as well."""

from collections import Counter

import httpx
import pytest


@pytest.fixture
def asked(prefect, monkeypatch):
    """The requests to Prefect's server: by coroutines, and by all else."""
    asked = Counter()
    send, send_sync = httpx.AsyncClient.send, httpx.Client.send

    async def counted(client, request, **options):
        asked["async"] += request.url.path.startswith("/api/")
        return await send(client, request, **options)

    def counted_sync(client, request, **options):
        asked["sync"] += request.url.path.startswith("/api/")
        return send_sync(client, request, **options)

    monkeypatch.setattr(httpx.AsyncClient, "send", counted)
    monkeypatch.setattr(httpx.Client, "send", counted_sync)
    return asked


def test_a_short_run_takes_twenty_requests_to_prefects_server(cli, job, asked):
    """For its states, its name and its pages; as many for a thousand rows as for one. Its tasks are told as events."""
    assert cli("run", job(rows=40)).status == 0
    assert 0 < asked.total() <= 20


def test_the_tasks_of_a_run_share_a_client(cli, job, prefect, monkeypatch):
    """To make one takes longer than all else that Prefect does for a task."""
    import prefect.context as contexts  # noqa: PLC0415 - Prefect reads its settings when it is imported

    made = []
    get_client = contexts.get_client
    monkeypatch.setattr(
        contexts, "get_client", lambda **options: (made.append(options["sync_client"]), get_client(**options))[1]
    )
    assert cli("run", job(rows=2)).status == 0
    assert made.count(True) == 1
