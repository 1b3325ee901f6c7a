"""What the tests of chat completions ask."""

from answers import Asked

_ASKED = Asked(dialect="chat", model="gpt-5.1")
asking, encoded = _ASKED.asking, _ASKED.encoded
