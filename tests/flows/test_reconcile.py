"""A run as a person starts it, and then the gateway's bill for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.commands.reconciling import Billed, reconcile

pytestmark = pytest.mark.wide


def test_a_run_and_its_bill(cli, job, gateway, capsys):
    """Twenty rows are run; the gateway's log has twenty lines, all of them matched and explained."""
    assert cli("run", job()).status == 0
    assert reconcile("out", billed=Billed(from_gateway=Path("job.toml")), json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["lines"], told["rows"], told["matched_share"], told["explained_share"]) == (20, 20, 1, 1)
    assert round(told["own_usd"] * 1e9) == sum(entry.nano_usd for entry in gateway.ledger())
