"""A sandbox in a process of its own, so that gateway and client have a core each, and what it saw of the client."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from mediascribe.sandbox import Behaviour, Sandbox

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as the gateway saw it: when it came (UNIX time), what it was answered, and the tokens billed."""

    at: float
    status: int | None
    tokens: int


class Served:
    """A running sandbox; every call is answered by the process that serves."""

    def __enter__(self) -> Self:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url, self.key = self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._call("end")
        self._process.join()

    def behave(self, behaviour: Behaviour) -> float:
        """From now on every model behaves like this; the UNIX time from which it does."""
        return float(self._call("behave", behaviour))

    def visits(self) -> list[Visit]:
        """Everything that came, in order; waits until nothing is in flight."""
        return [Visit(*seen) for seen in self._call("visits")]

    def cpu_s(self) -> float:
        """The processor time that the gateway has used."""
        return float(self._call("cpu"))

    def _call(self, *words: object) -> Any:
        self._pipe.send(words)
        return self._pipe.recv()


def _serve(pipe: Connection) -> None:
    with Sandbox() as sandbox:
        pipe.send((sandbox.url, sandbox.api_key))
        while (words := pipe.recv())[0] != "end":
            pipe.send(_answer(sandbox, *words))
        pipe.send(None)


def _answer(sandbox: Sandbox, word: str, *rest: Any) -> object:
    if word == "behave":
        sandbox.behave("*", *rest)
        return time.time()
    if word == "cpu":
        return time.process_time()
    sandbox.drain()
    return [(entry.arrived_at.timestamp(), entry.status, entry.total_tokens) for entry in sandbox.ledger()]
