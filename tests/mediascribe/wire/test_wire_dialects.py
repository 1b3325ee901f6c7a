"""The dialects' table, and which headers a decoder wants."""

import pytest

from mediascribe.wire import DIALECTS, keep_header


def test_every_dialect_is_listed_under_its_name():
    """A job names a dialect by its key."""
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    assert "chat" in DIALECTS


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Content-Type", True),
        ("X-Oneapi-Request-Id", True),
        ("retry-after-ms", True),
        ("X-RateLimit-Reset-Tokens", True),
        ("x-dashscope-partialresponse", True),
        ("Set-Cookie", False),
        ("authorization", False),
        ("server", False),
    ],
)
def test_headers_that_matter(name, kept):
    """Only headers that a decoder reads are kept, whatever their case."""
    assert keep_header(name) is kept
