"""What the tests of Anthropic messages ask, and parts of the answers to it."""

from answers import Asked

USAGE = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 400,
    "output_tokens": 80,
    "output_tokens_details": {"thinking_tokens": 50},
}

_ASKED = Asked(dialect="messages", model="claude-sonnet-4-5")
asking, encoded, decoded, refused = _ASKED.asking, _ASKED.encoded, _ASKED.decoded, _ASKED.refused
outcome_of = _ASKED.outcome_of


def text(said):
    return {"type": "text", "text": said}


def thinking(thought):
    return {"type": "thinking", "thinking": thought, "signature": "c2ln"}
