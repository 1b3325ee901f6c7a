"""What is loaded, and when: whoever asks for help waits for no library, and a server that is not needed leaves."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("prefect", "pandas", "pyarrow", "duckdb", "pydantic", "httpx", "numpy", "asyncio")
COMMANDS = (
    *("", "doctor", "show", "sandbox", "try", "run", "backfill", "plan", "diff", "replay", "init", "deploy", "serve"),
    *("cost", "report", "reconcile", "verify", "errors", "compact", "forget", "prices", "prices show", "prices pull"),
)


def loaded(script, names, **environ):
    """Those of *names* that a fresh process has loaded once *script* has run."""
    told = f"{script}\nimport sys\nprint('loaded', *[name for name in {list(names)} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", told],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()[-1].split()[1:]


def test_help_loads_nothing_heavy():
    """The help of every command comes without what the commands work with."""
    script = (
        "from flows.__main__ import app\n"
        f"for words in {list(COMMANDS)}:\n"
        "    app([*words.split(), '--help'], exit_on_error=False)\n"
    )
    assert loaded(script, HEAVY) == []


def test_the_library_loads_no_prefect():
    """Who works with the library alone does not wait for Prefect."""
    modules = ("dataset", "session", "inputs", "cost", "verification", "forecast", "trial")
    assert loaded("\n".join(f"import mediascribe.{name}" for name in modules), ["prefect"]) == []


def test_the_package_itself_loads_nothing():
    """`import mediascribe` is free."""
    assert loaded("import mediascribe", [*HEAVY, "msgspec"]) == []


@pytest.mark.parametrize(("told", "backend"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")])
def test_arrow_gives_back_what_it_had(told, backend):
    """A process with a flow takes Arrow's memory from the C library, unless the caller has said otherwise."""
    script = "import flows.form, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    environ = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"} | told
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environ)
    assert ran.stdout.strip() == backend


def test_a_server_that_is_not_needed_leaves_without_a_trace(tmp_path):
    """Where Prefect's settings name a server, the embedded one ends by itself, and lays out no database."""
    (tmp_path / "profiles.toml").write_text(
        'active = "there"\n[profiles.there]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    )
    environ = {name: value for name, value in os.environ.items() if name not in {"PREFECT_API_URL", "PREFECT_PROFILE"}}
    environ |= {"PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "flows.embedded", str(port)]
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout + ended.stderr == ""
    assert not (tmp_path / "prefect.db").exists()
