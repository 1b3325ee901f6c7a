"""Many URLs with a query are rewritten as each of them is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediascribe.manifest import queries
from mediascribe.redact import canonical_url, redact_url

SIGNED = (
    "https://b.s3.amazonaws.com/a.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261123%2Fs3&id=7"
    "&X-Amz-Date=20261123T000000Z&X-Amz-Signature=0123456789abcdef0123456789abcdef"
)
names = st.sampled_from(
    ["w", "id", "X-Amz-Date", "x%2Damz-date", "Signature", "sig", "se", "policy", "token", "code", "expires", "Key", ""]
)
values = st.sampled_from(
    ["", "1", "a=b", "AbCdEfGhIjKlMnOpQrStUvWxYz012", "abcdefghijklmnopqrstuvwxyz", "%41" * 9, "?"]
)
members = st.builds("{}={}".format, names, values) | names | values
urls = st.builds(
    lambda base, query, mark: f"{base}?{mark.join(query)}",
    st.sampled_from(["https://h", "http://h/a", "https://h:80/a/b"]),
    st.lists(members, max_size=4),
    st.sampled_from("&;"),
)


@given(st.lists(urls, min_size=1, max_size=8))
@example([SIGNED, "https://h/a?", "https://h/a?&&", "https://h?code=1"])
@settings(max_examples=200, deadline=None)
@pytest.mark.wide
def test_all_at_once_is_each_of_them(some):
    """Whatever the members are, and whatever stands in the URLs beside."""
    array = pa.array(some)
    assert queries.redacted(array).to_pylist() == [redact_url(url) for url in some]
    assert queries.canonical(array).to_pylist() == [canonical_url(url) for url in some]


def test_a_signed_url_loses_its_signature():
    """The redacted one keeps the names, the canonical one what names the picture."""
    assert queries.canonical(pa.array([SIGNED])).to_pylist() == ["https://b.s3.amazonaws.com/a.jpg?id=7"]
    (redacted,) = queries.redacted(pa.array([SIGNED])).to_pylist()
    assert redacted == (
        "https://b.s3.amazonaws.com/a.jpg?X-Amz-Algorithm=REDACTED&X-Amz-Credential=REDACTED&id=7"
        "&X-Amz-Date=REDACTED&X-Amz-Signature=REDACTED"
    )
