"""What the tests of every dialect ask, and what becomes of the answers to it."""

import json
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from mediascribe.domain import Media, Request
from mediascribe.errors import AttemptError
from mediascribe.wire import DIALECTS, Answer

IMAGE = Media(kind="image", url="https://i.example/cat.png?w=1")
INLINE = Media(kind="image", url="data:image/png;base64,iVBORw0KGgo=")
SCHEMA = {
    "type": "object",
    "properties": {"animal": {"type": "string"}},
    "required": ["animal"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A dialect, and the model that is asked in it."""

    dialect: str
    model: str

    def asking(self, *media, parameters=None, **more):
        wanted = {"model": self.model, "dialect": self.dialect, "prompt": "What is this?", **more}
        return Request(media=media, identity=media, parameters=parameters or {}, **wanted)

    def encoded(self, *media, **more):
        """The body that asks about *media*."""
        return json.loads(DIALECTS[self.dialect].encode(self.asking(*media, **more)))

    def decoded(self, body, status=200, **headers):
        """What an answer about a picture is read as."""
        return DIALECTS[self.dialect].decode(answer_of(body, status, **headers), self.asking(IMAGE))

    def refused(self, body, status=200, **headers):
        """The error that an answer is."""
        with pytest.raises(AttemptError) as caught:
            self.decoded(body, status, **headers)
        return caught.value

    def outcome_of(self, body, status=200):
        """What becomes of an answer: the completion, or the error."""
        try:
            return self.decoded(body, status)
        except AttemptError as error:
            return error


def answer_of(body, status=200, **headers):
    """An answer with the bytes *body*, or with a value or a vendor's own object as JSON."""
    if isinstance(body, BaseModel):
        body = body.model_dump_json().encode()
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(status=status, headers=headers, body=body)


def reported(usage, *names):
    """The tokens that *usage* has under *names*, as far as they are a count."""
    values = [usage.get(name) for name in names]
    return sum(value for value in values if isinstance(value, int | float) and value > 0)
