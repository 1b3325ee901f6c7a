"""Question: what a run asks about every item, and what it asks once more where the answer is not good enough."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mediascribe import answer, models, prompt
from mediascribe.domain import Completion, Failure, Request
from mediascribe.errors import ConfigError
from mediascribe.journal import Again
from mediascribe.media import address, proof

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediascribe.answer import Schema
    from mediascribe.case import Case
    from mediascribe.dataset import RunFacts
    from mediascribe.domain import ErrorClass, Item, Media
    from mediascribe.job import Job
    from mediascribe.journal import Cause
    from mediascribe.models import ModelTable
    from mediascribe.prompt import Prompt

# Failures that another model may not have.
_MODEL_SIDE: Final = frozenset({"safety", "empty", "schema", "server"})
_LONG_SOUND_CHARACTERS: Final = 2**20  # inline, about two minutes of MP3; by URL nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a run asks about every item, and where its media are."""

    job: Job
    facts: RunFacts
    prompt: Prompt
    models: ModelTable
    schema: Schema | None
    media_base_url: str | None

    def request(self, item: Item) -> Request:
        """The request for *item*.

        Raises:
            ValueError: the prompt's template cannot be filled from this row.
        """
        text, system = prompt.render(self.prompt, item.variables)
        return Request(
            model=self.facts.model,
            dialect=self.facts.dialect,
            prompt=text,
            system=system,
            media=address.absolute(item.media, self.media_base_url),
            identity=item.media,
            parameters=self.job.parameters,
            thinking=self.job.thinking,
            detail=self.job.media.detail,
            schema=self.schema.schema if self.schema else None,
            stream=self.is_streamed(item.media),
        )

    def is_streamed(self, media: Iterable[Media]) -> bool:
        """Whether the answer about *media*, as they are sent, is to come as a stream."""
        wish = self.job.gateway.stream
        return wish == "always" or (wish == "auto" and any(map(_takes_long, media)))

    def fit(self, completion: Completion, case: Case) -> Completion | Failure:
        """What *completion* of *case* is worth: nothing without its media, and where it does not fit the job's schema.

        Some channels drop either of them silently (gateway notes 0.2 and 2.3).
        """
        if self.job.media.ignored == "fail" and case.request.media:
            model = self.models.get(case.request.model)
            if proof.ignored(completion, case.request, case.media, model):
                said = "the answer was billed without its media: the gateway dropped them, or could not read them"
                return _unusable(completion, "media", "media_ignored", said)
        if self.schema is None or completion.status != "ok":
            return completion
        found = answer.read(completion.text, self.schema)
        if isinstance(found, answer.Structured):
            return replace(completion, answer_json=found.json)
        said = f"the answer does not fit the job's schema: {'; '.join(found.problems)}"
        return _unusable(completion, "schema", found.kind, said)

    def again(self, case: Case) -> Again | None:
        """The second question about *case*, if its outcome wants one; at most one is asked about a row."""
        if case.asked_again:
            return None
        match case.outcome:
            case Completion(status="truncated") if self.job.retry.longer_max_tokens:
                longer = {"max_tokens": self.job.retry.longer_max_tokens}
                return self._again(case, "longer", parameters={**case.request.parameters, **longer})
            case Failure(error_class="schema", text=str(text)) if self.schema and self.job.answer.repair:
                return self._mended(case, text, self.schema)
            case Completion(status="refused"):
                return self._elsewhere(case)
            case Failure(error_class=error_class) if error_class in _MODEL_SIDE:
                return self._elsewhere(case)
            case _:
                return None

    def _mended(self, case: Case, text: str, schema: Schema) -> Again | None:
        """The question once more, with what is wrong about *text*."""
        found = answer.read(text, schema)
        if isinstance(found, answer.Structured):
            return None
        return self._again(case, "repaired", prompt=answer.repair_prompt(case.request.prompt, text, found, schema))

    def _elsewhere(self, case: Case) -> Again | None:
        """The same question to the first of the job's other models that takes these media."""
        for name in self.job.fallback:
            model = self.models.get(name)
            try:
                dialect = models.choose_dialect(model, "auto", {media.kind for media in case.item.media})
            except ConfigError:  # it takes none of these media: the next may
                continue
            if models.refusal(model, dialect, case.item, self.job.media) is None:
                return self._again(case, "fallback", model=name, dialect=dialect)
        return None

    def _again(self, case: Case, cause: Cause, **changes: Any) -> Again:  # noqa: ANN401 - members of Again
        request = case.request
        asked = {
            "model": request.model,
            "dialect": request.dialect,
            "prompt": request.prompt,
            "parameters": dict(request.parameters),
        }
        return Again(row=case.item.row_number, at=time.time(), cause=cause, **asked | changes)


def _unusable(completion: Completion, error_class: ErrorClass, code: str, message: str) -> Failure:
    """*completion*, which was paid for, as what it is worth."""
    return Failure(
        error_class=error_class,
        code=code,
        message=message,
        usage=completion.usage,
        flags=completion.flags,
        finish_reason=completion.finish_reason,
        model_returned=completion.model_returned,
        response_id=completion.response_id,
        gateway_request_id=completion.gateway_request_id,
        text=completion.text,
    )


def _takes_long(media: Media) -> bool:
    """Whether a silent wait for the answer may be cut off on the way, about 100 s (gateway notes 2.5).

    Streams cost the split of Gemini's tokens on chat (gateway notes 2.4), so short sound is not streamed.
    """
    return media.kind == "video" or (media.kind == "audio" and len(media.url) > _LONG_SOUND_CHARACTERS)
