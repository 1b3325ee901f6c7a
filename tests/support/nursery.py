"""Commands that start at once: one process imports everything, and forks for each of them.

What it forks is a process of its own, in a session of its own, that runs `mediascribe` to its end and can be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Ended:
    """How a command ended: its exit status (negative: the signal that killed it), and what it printed."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"exit {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


class Running:
    """A command at work."""

    def __init__(self, pid, nursery, prints):
        self.pid, self._nursery, self._prints = pid, nursery, prints
        self._ended = None
        self._handle = os.pidfd_open(pid)

    def signal(self, number):
        """Send a signal to it, and to whatever it started."""
        if not self._ended:
            os.killpg(self.pid, number)

    def kill(self):
        """Kill it now; gives how it ended."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def is_over(self, wait_s=0.0):
        """Whether it has ended, within so many seconds."""
        return self._ended is not None or bool(select.select([self._handle], [], [], wait_s)[0])

    def wait(self, timeout_s=120):
        """How it ended, once it has."""
        if self._ended is None:
            assert self.is_over(timeout_s), f"still running after {timeout_s} s: {self.said()}"
            status = self._nursery.reap(self.pid)
            os.close(self._handle)
            self._ended = Ended(status, *self.said())
        return self._ended

    def said(self):
        """What it printed so far, on stdout and on stderr."""
        return tuple(Path(f"{self._prints}.{name}").read_text() for name in ("out", "err"))


class Nursery:
    """Starts commands in *folder*; *environment* is added to that of the tests."""

    def __init__(self, environment, folder):
        self._folder, self._started = folder, 0
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MEDIA", "AWS"))
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=inherited | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, *words, cwd, fsize=None, ttl_s=None, tracked=True, **environment):
        """Start `mediascribe *words*` in *cwd*; *fsize* limits the size of each file that it writes.

        Its lease in a bucket lives *ttl_s*, where that is not to take a minute.
        A run that is not *tracked* takes the same steps without telling Prefect, which takes most of a short run.
        """
        self._started += 1
        prints = self._folder / f"{self._started}"
        order = {
            "words": list(map(str, words)),
            "cwd": str(cwd),
            "fsize": fsize,
            "ttl_s": ttl_s,
            "tracked": tracked,
            "environment": environment,
            "prints": str(prints),
        }
        return Running(self._asked(order), self, prints)

    def reap(self, pid):
        """The exit status of a child that has ended."""
        return self._asked({"reap": pid})

    def close(self):
        """End the process that forks."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def _asked(self, order):
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _import_everything():
    import flows.__main__  # noqa: PLC0415 - in the process that forks only

    for name, value in flows.__main__._QUIET_PREFECT.items():  # noqa: SLF001 - Prefect reads it when it is imported
        os.environ.setdefault(name, value)
    import flows.backfill  # noqa: PLC0415
    import flows.caption  # noqa: PLC0415
    import flows.embedded  # noqa: PLC0415
    import mediascribe.compaction  # noqa: PLC0415
    import mediascribe.cost  # noqa: PLC0415
    import mediascribe.report.failures  # noqa: PLC0415
    import mediascribe.report.summary  # noqa: PLC0415
    import mediascribe.store.objects  # noqa: PLC0415
    import mediascribe.store.tenure  # noqa: PLC0415
    import mediascribe.verification  # noqa: F401, PLC0415

    return flows.__main__.main


def _serve():
    main = _import_everything()
    while line := _line():
        order = json.loads(line)
        if "reap" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["reap"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                _become(order)
                main(order["words"]) if order["tracked"] else _fill(order["words"][-1])
        os.write(1, json.dumps(answer).encode() + b"\n")


def _fill(job):
    """What the flow does, its tasks called as plain functions."""
    from prefect import Task  # noqa: PLC0415 - in the process that forks only

    from flows import steps  # noqa: PLC0415

    for name, step in list(vars(steps).items()):
        if isinstance(step, Task):
            setattr(steps, name, step.fn)
    asyncio.run(steps.fill(job, ("new",), steps.Way(progress="none")))
    sys.exit()


def _line():
    """One line of orders, read without a buffer that a child would inherit."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def _become(order):
    """Be the process that *order* describes."""
    os.setsid()
    os.chdir(order["cwd"])
    for name, value in order["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    targets = [(os.devnull, os.O_RDONLY), (order["prints"] + ".out", flags), (order["prints"] + ".err", flags)]
    for number, (path, how) in enumerate(targets):
        os.dup2(os.open(path, how, 0o600), number)
    if order["ttl_s"]:
        from mediascribe.store.tenure import Terms  # noqa: PLC0415 - in the process that forks only

        Terms.__init__.__kwdefaults__["ttl_s"] = order["ttl_s"]
    if order["fsize"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["fsize"], order["fsize"]))


if __name__ == "__main__":
    _serve()
