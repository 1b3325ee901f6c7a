"""Desk: what one running sandbox knows: key, samples, ledger, behaviours, and what it has looked at."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mediascribe.errors import ConfigError
from mediascribe.sandbox.behaviour import Behaviour, from_words
from mediascribe.sandbox.billing import Billing
from mediascribe.sandbox.conduct import Conduct
from mediascribe.sandbox.ledger import Ledger
from mediascribe.sandbox.look import look
from mediascribe.sandbox.models import MODELS, ServedModel
from mediascribe.sandbox.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mediascribe.sandbox.fetch import Loaded
    from mediascribe.sandbox.look import Facts

EVERY_MODEL: Final = "*"
_LOOKS_KEPT: Final = 4096


class Desk:
    """What lies behind the server. Settings may be changed from any thread, the rest belongs to the server's."""

    def __init__(self, *, api_key: str, samples: Path | None, quiet: bool = True) -> None:
        self.api_key = api_key
        self.samples = samples.resolve() if samples else None
        self.quiet = quiet
        self.ledger = Ledger()
        self.billing = Billing()
        self.in_flight = 0
        self.max_in_flight = 0
        self._plain = Conduct(Behaviour())
        self._conducts: dict[str, Conduct] = {}
        self._spelled: dict[str, Conduct] = {}
        self._looks: dict[tuple[str, bytes], Facts] = {}

    def behave(self, model: str, behaviour: Behaviour) -> None:
        """From now on *model*, or every model that has no behaviour of its own, behaves like this; counts begin anew.

        Raises:
            ConfigError: no such model is served.
        """
        if model != EVERY_MODEL and model not in MODELS:
            nearest = difflib.get_close_matches(model, MODELS, n=1, cutoff=0)[0]
            raise ConfigError(f"no model called {model!r} is served here; did you mean {nearest!r}?")
        self._conducts[model] = Conduct(behaviour)

    def behave_well(self) -> None:
        """Forget every behaviour and what its limits have counted."""
        self._conducts = {}
        self._spelled = {}

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """One request more in flight."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def forget(self) -> None:
        """Begin a new ledger, charged at list price."""
        self.ledger.clear()
        self.billing = Billing()
        self.max_in_flight = self.in_flight

    def conduct(self, asked: str) -> Conduct:
        """The conduct for the model name *asked*, with or without words behind it.

        Raises:
            RefusedError: 400, the words cannot be read.
        """
        plain, *words = asked.split("+")
        if not words:
            return self._conducts.get(plain) or self._conducts.get(EVERY_MODEL) or self._plain
        if asked not in self._spelled:
            try:
                self._spelled[asked] = Conduct(from_words(words))
            except ConfigError as error:
                raise refused("bad_request", why=str(error)) from None
        return self._spelled[asked]

    def served(self, asked: str, endpoint: str) -> ServedModel:
        """The model behind the name *asked*, for questions at *endpoint*.

        Raises:
            RefusedError: 503, it is not served, or not there; 500, it has no price.
        """
        name = asked.partition("+")[0]
        model = MODELS.get(name)
        if model is None or (endpoint not in model.endpoints and model.missing == "model_not_found"):
            raise refused("model_not_found", model=name)
        if model.rates is None:
            raise refused("price_error", model=name)
        return model

    async def look(self, loaded: Loaded) -> Facts:
        """What *loaded* holds; the same bytes are not looked at again.

        Raises:
            UnreadableError: they cannot be read.
        """
        key = (loaded.kind, hashlib.sha256(loaded.content).digest())
        facts = self._looks.get(key)
        if facts is None:
            facts = await asyncio.to_thread(look, loaded.kind, loaded.content)
            if len(self._looks) >= _LOOKS_KEPT:
                self._looks.pop(next(iter(self._looks)))
            self._looks[key] = facts
        return facts
