"""What the tests of OpenAI responses ask, and the bill of the answers to it."""

from answers import Asked

USAGE = {
    "input_tokens": 1630,
    "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 64},
    "output_tokens": 46,
    "output_tokens_details": {"reasoning_tokens": 32},
    "total_tokens": 1676,
}

_ASKED = Asked(dialect="responses", model="gpt-5.2-pro")
asking, encoded, decoded, refused = _ASKED.asking, _ASKED.encoded, _ASKED.decoded, _ASKED.refused
outcome_of = _ASKED.outcome_of
