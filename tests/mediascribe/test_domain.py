"""The nouns: what a hash depends on, and what it does not; the tree of errors."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe import domain, errors
from mediascribe.domain import Failure, Item, Media, Request, Shard, Usage, digest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def request(**changes):
    image = (Media(kind="image", url="https://host/a.jpg?X-Amz-Signature=1"),)
    asked = {"model": "m", "dialect": "chat", "prompt": "Describe.", "media": image, "identity": image}
    return Request(**(asked | changes))


def test_digest_is_the_hash_of_sorted_json():
    """The digest is the SHA-256 of the compact JSON with sorted members."""
    assert digest({"b": [1, None], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,null]}'.encode()).hexdigest()


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=5))
@settings(max_examples=50, deadline=None)
def test_digest_ignores_the_order_of_members(value):
    """The same members in another order have the same digest."""
    assert digest(dict(reversed(value.items()))) == digest(value)


def test_request_key_is_32_hex_digits():
    """A request's key has 32 hex digits."""
    key = request().key

    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_request_key_ignores_the_signature():
    """The same question about the same media has one key, however its URL is signed or sent."""
    again = (Media(kind="image", url="https://host/a.jpg?X-Amz-Signature=2"),)
    inline = (Media(kind="image", url="data:image/jpeg;base64,QUJD"),)

    assert request().key == request(identity=again).key == request(media=inline).key


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"dialect": "messages"},
        {"prompt": "Describe it."},
        {"system": "Be short."},
        {"parameters": {"temperature": 0}},
        {"identity": (Media(kind="image", url="https://host/b.jpg"),)},
        {"identity": (Media(kind="video", url="https://host/a.jpg"),)},
        {"identity": ()},
    ],
)
def test_request_key_depends_on_everything_asked(change):
    """Another model, dialect, text, parameter or media is another question."""
    assert request(**change).key != request().key


def test_request_key_depends_on_the_order_of_media():
    """Two images in another order are another question."""
    one, two = (Media(kind="image", url=f"https://host/{name}.jpg") for name in "ab")

    assert request(identity=(one, two)).key != request(identity=(two, one)).key


def test_failure_of_a_row_is_skipped():
    """A row that was never asked is skipped; one that was asked has failed."""
    assert Failure(error_class="row", message="no URL").status == "skipped"
    assert Failure(error_class="server", message="502").status == "failed"


def test_shard_name_has_five_digits():
    """A shard is called after its run and its number, so that names sort as numbers do."""
    shard = Shard(run_id="20260101T000000Z-abc", number=7, rows=10, plan_path="p")

    assert shard.name == "20260101T000000Z-abc-00007"


def test_unknown_usage_is_missing():
    """Usage that nobody reported is zero tokens, and says that it is missing."""
    assert Usage() == domain.NO_USAGE
    assert (domain.NO_USAGE.total_tokens, domain.NO_USAGE.source, domain.NO_USAGE.raw) == (0, "missing", None)


def test_values_are_frozen():
    """A noun does not change."""
    item = Item(item_id="a", row_number=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.item_id = "b"


def test_items_do_not_share_their_mappings():
    """Each item has variables of its own, though they are empty."""
    assert Item(item_id="a", row_number=1).variables is not Item(item_id="b", row_number=2).variables


def test_error_tree():
    """Retry is decided by type, so the tree is as the module draws it."""
    tree = {name: vars(errors)[name].__base__.__name__ for name in vars(errors) if name.endswith(("Error", "InUse"))}

    assert tree == {
        "MediascribeError": "Exception",
        "ConfigError": "MediascribeError",
        "OutputInUse": "ConfigError",
        "CorruptError": "MediascribeError",
        "StoreError": "MediascribeError",
        "DiskError": "MediascribeError",
        "MediaError": "MediascribeError",
        "SpentError": "StopRunError",
        "DrainError": "StopRunError",
        "AttemptError": "MediascribeError",
        "PermanentError": "AttemptError",
        "TransientError": "AttemptError",
        "InDoubtError": "TransientError",
        "RateLimitedError": "AttemptError",
        "OutageError": "AttemptError",
        "StopRunError": "AttemptError",
    }


def test_attempt_error_carries_its_failure():
    """An attempt's error has the failure, its message, and the wait that the gateway asked for."""
    failure = Failure(error_class="rate_limit", message="too many requests")
    error = errors.RateLimitedError(failure, wait_s=2.5)

    assert (error.failure, str(error), error.wait_s) == (failure, "too many requests", 2.5)
    assert errors.PermanentError(failure).wait_s is None
