"""No secret is stored or shown, and signing a URL again does not change what it names."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.redact import REDACTED, canonical_url, redact_text, redact_url

S3 = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2Fx&X-Amz-Date=20260101&X-Amz-Expires=60&X-Amz-Signature="
GCS = "X-Goog-Algorithm=G&X-Goog-Credential=me&X-Goog-Expires=60&X-Goog-Signature="
AZURE = "sv=2024-11-04&st=2026-01-01&se=2026-01-02&sr=b&sp=r&sig="
CLOUDFRONT = "Expires=1767225600&Policy=eyJ&Key-Pair-Id=K1&Signature="
OLD_GCS = "GoogleAccessId=me&Expires=1767225600&Signature="
SIGNED = [S3, GCS, AZURE, CLOUDFRONT, OLD_GCS, "token=", "access_token=", "api_key="]

words = st.text("abcdefgh0123XYZ", min_size=1, max_size=30)
names = st.one_of(words, st.sampled_from(["sig", "token", "e", "se", "key", "w", "id", "Policy"]))
members = st.lists(st.builds("{}={}".format, names, words) | words, max_size=4)
any_url = st.builds("https://{}.org/{}?{}".format, st.just("h"), words, members.map("&".join))


@pytest.mark.parametrize("signature", SIGNED)
def test_signature_is_redacted(signature):
    """A signature of S3, GCS, Azure or CloudFront, and a token, are not shown; the path and other members are."""
    shown = redact_url(f"https://host/a.jpg?w=640&{signature}t0psecret")

    assert "t0psecret" not in shown
    assert shown.startswith("https://host/a.jpg?w=640&")
    assert shown.endswith(f"={REDACTED}")


@pytest.mark.parametrize("signature", SIGNED)
def test_signing_again_keeps_the_identity(signature):
    """A URL that is signed again, later and otherwise, names the same media, as does the unsigned one."""
    first = canonical_url(f"https://host/a.jpg?w=640&{signature}aaaa")
    again = canonical_url(f"https://host/a.jpg?w=640&{signature}bbbb".replace("2026", "2027"))

    assert first == again == "https://host/a.jpg?w=640"


@pytest.mark.parametrize(
    "member",
    [
        "id=550e8400-e29b-41d4-a716-44665544000{}",
        "file=0123456789abcdef0123456789abcde{}",
        "author={}",
        "design={}",
        "key=photos/{}.jpg",
        "code={}",
        "hash={}",
        "e={}",
        "policy={}",
        "550e8400-e29b-41d4-a716-44665544000{}",
    ],
)
def test_members_that_name_the_media_stay_in_the_identity(member):
    """Two URLs that differ in a member that is no signature name two things, however random or secret it looks."""
    one, other = (f"https://host/get?{member.format(number)}" for number in (1, 2))

    assert canonical_url(one) != canonical_url(other)


def test_identity_holds_no_secret():
    """A member that could be a secret stands in the identity as its hash."""
    assert canonical_url("https://host/a?w=1&session=abc") == (
        f"https://host/a?w=1&sha256:{hashlib.sha256(b'session=abc').hexdigest()[:16]}"
    )


def test_what_accompanies_a_signature_goes_with_it_only():
    """`se` and `policy` belong to a signature where there is one, and to the media where there is none."""
    assert canonical_url("https://host/a?se=1&sig=x") == "https://host/a"
    assert canonical_url("https://host/a?se=1") != canonical_url("https://host/a?se=2")


def test_user_and_fragment_go():
    """User name, password and fragment are in neither form; the port stays."""
    for form in (redact_url, canonical_url):
        assert form("https://me:pa@ss@host:8443/a.jpg?w=1#secret") == "https://host:8443/a.jpg?w=1"
    assert redact_url("ftp://me:pass@host/a") == "ftp://host/a"


def test_plain_urls_stay_as_they_are():
    """A URL without secrets is shown as it is written, its encoding included."""
    for url in ("https://host/a%20b/c.jpg", "https://host/a?q=x+y%2Fz&flag", "images/a.jpg", "http://[::1]:80/a?b=c"):
        assert redact_url(url) == canonical_url(url) == url


def test_long_random_values_are_redacted():
    """A long value of letters and digits is taken for a secret, percent-encoded, with `+`, or without a name."""
    secret = "Ab1" * 9
    assert redact_url(f"https://h/a?x={secret}") == "https://h/a?x=REDACTED"
    assert redact_url(f"https://h/a?x={secret}%2B%2F%3D") == "https://h/a?x=REDACTED"
    assert redact_url(f"https://h/a?x={secret}+/") == "https://h/a?x=REDACTED"
    assert redact_url(f"https://h/a?{secret}") == "https://h/a?REDACTED"
    assert redact_url("https://h/a?x=a-long-title-without-any-digit") == "https://h/a?x=a-long-title-without-any-digit"


def test_encoded_names_and_semicolons_hide_nothing():
    """A secret name is known in percent-encoding and behind a semicolon too."""
    assert redact_url("https://h/a?%73ig=abc") == "https://h/a?%73ig=REDACTED"
    assert redact_url("https://h/a?x=1;sig=abc") == "https://h/a?x=1&sig=REDACTED"


def test_data_url_becomes_hash_and_length():
    """A data URL is shown as its type, the hash of its content and its length."""
    sha = hashlib.sha256(b"QUJD").hexdigest()[:16]
    assert redact_url("data:image/png;base64,QUJD") == f"data:image/png;base64,sha256={sha}&length=4"
    assert canonical_url("DATA:,QUJD") == f"DATA:,sha256={sha}&length=4"


def test_data_url_without_comma_shows_no_content():
    """A broken data URL is not shown either."""
    sha = hashlib.sha256(b"QUJD").hexdigest()[:16]
    assert redact_url("data:QUJD") == f"data:,sha256={sha}&length=4"


def test_a_url_that_cannot_be_read_is_not_shown():
    """Where a URL cannot be taken apart, all of it goes."""
    assert redact_url("http://me:secret@[bad/a") == REDACTED


def test_text_with_urls():
    """Every URL in a text is redacted, data URLs too; the text around stays."""
    text = redact_text("no GET https://u:p@host/a?sig=abc&w=1 for 's3://b/k?X-Amz-Signature=1' nor <data:,QUJD>")

    sha = hashlib.sha256(b"QUJD").hexdigest()[:16]
    assert text == (
        "no GET https://host/a?sig=REDACTED&w=1 for 's3://b/k?X-Amz-Signature=REDACTED'"
        f" nor <data:,sha256={sha}&length=4>"
    )


@pytest.mark.parametrize(
    "text",
    [
        "'https://host/it's.jpg?X-Amz-Signature=t0psecret'",
        r'{"url":"https://host/a?w=1\u0026X-Amz-Signature=t0psecret"}',
        '<a href="https://host/a?w=1&amp;sig=t0psecret">',
        "...cut/a.jpg?w=1&token=t0psecret",
        "images/a.jpg?sig=t0psecret",
        "Authorization: Bearer t0psecret",
        "key sk-t0psecret1234 was rejected",
    ],
)
def test_text_hides_secrets_in_other_guises(text):
    """A quote in the path, JSON's and HTML's `&`, a cut URL, a bearer token: none shows the secret."""
    assert "t0psecret" not in redact_text(text)


def test_text_without_given_secrets():
    """Secrets that the caller names go, wherever they stand; an empty one is none."""
    assert redact_text("key=abc, abc!", "abc", "") == "key=REDACTED, REDACTED!"


@given(any_url)
@settings(max_examples=200, deadline=None)
def test_forms_are_stable(url):
    """Redacting twice changes nothing more, as a URL and in a text."""
    assert redact_url(redact_url(url)) == redact_url(url)
    assert redact_text(redact_text(url)) == redact_text(url)


@given(st.text(max_size=60) | st.text("?&;=/:@#%[]data,.hts ", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_redacted(text):
    """No text, URL or not, makes redaction fail."""
    for form in (redact_url, canonical_url, redact_text):
        assert isinstance(form(text), str)
