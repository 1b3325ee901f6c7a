"""What may be reached: hostile URLs in every spelling, addresses behind names, and what a job opens by listing it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media.guard import guard

PLAIN = guard(MediaSection())

# URL, code, and what it would have reached or why no two readers agree on it.
HOSTILE = [
    ("file:///etc/passwd", "refused_scheme", "a local file"),
    ("FILE:///etc/passwd", "refused_scheme", "schemes have no case"),
    ("ftp://cdn.example.com/a.jpg", "refused_scheme", "another protocol"),
    ("gopher://127.0.0.1:6379/_FLUSHALL", "refused_scheme", "speaks to Redis"),
    ("data:image/png;base64,AAAA", "refused_scheme", "nothing to fetch"),
    ("javascript:alert(1)", "refused_scheme", "code"),
    ("jar:http://cdn.example.com!/a", "refused_scheme", "a URL within a URL"),
    ("s3://bucket/key", "refused_scheme", "an object store has its own reader"),
    ("unix:/var/run/docker.sock", "refused_scheme", "a local socket"),
    ("http://", "bad_url", "no host"),
    ("http:///a.jpg", "bad_url", "no host; some readers take a.jpg for it"),
    ("http:127.0.0.1/", "bad_url", "no slashes; browsers go to 127.0.0.1"),
    ("http:/127.0.0.1/", "bad_url", "one slash; browsers go to 127.0.0.1"),
    ("//127.0.0.1/a", "bad_url", "no scheme"),
    ("127.0.0.1/a", "bad_url", "no scheme"),
    ("", "bad_url", "nothing"),
    (" http://cdn.example.com/", "bad_url", "a space before it"),
    ("http://cdn.example.com/\r\nHost: 127.0.0.1", "bad_url", "a second header"),
    ("http://cdn.example.com/a\tb", "bad_url", "a tab, which browsers take out"),
    ("http://cdn.exam\nple.com/", "bad_url", "a line end, which browsers take out"),
    ("http://cdn.example.com\x00.evil.com/", "bad_url", "a NUL, where C ends a text"),
    ("http://user@cdn.example.com/", "bad_url", "a user"),
    ("http://cdn.example.com@169.254.169.254/", "bad_url", "the host is behind the @"),
    ("http://cdn.example.com:80@127.0.0.1/", "bad_url", "user and password"),
    ("http://cdn.example.com\\@127.0.0.1/", "bad_url", "browsers and libraries disagree on the backslash"),
    ("http://127.0.0.1\\.example.com/", "bad_url", "likewise"),
    ("http://cdn.example.com%2f@127.0.0.1/", "bad_url", "an escaped slash in the authority"),
    ("http://%31%32%37.0.0.1/", "bad_url", "an escaped 127"),
    ("http://localhost%00.example.com/", "bad_url", "an escaped NUL"),
    ("http://cdn example.com/", "bad_url", "a space in the host"),
    ("http://cdn..example.com/", "bad_url", "an empty label"),
    ("http://localhost../", "bad_url", "two dots at the end"),
    ("http://*.example.com/", "bad_url", "no host name"),
    (f"http://{'a' * 64}.example.com/", "bad_url", "a label of 64 letters"),
    (f"http://{'a.' * 127}com/", "bad_url", "a name of 257 letters"),
    (f"http://{'é' * 300}.com/", "bad_url", "likewise, before it is ASCII"),
    ("http://xn--\u200b.com/", "bad_url", "an invisible letter in an encoded name"),
    (f"http://cdn.example.com/{'a' * 8192}", "bad_url", "longer than any server takes"),
    ("http://cdn.example.com:0/", "bad_url", "no port"),
    ("http://cdn.example.com:65536/", "bad_url", "no port"),
    ("http://cdn.example.com:655360/", "bad_url", "no port"),
    ("http://cdn.example.com:8o/", "bad_url", "no number"),
    ("http://cdn.example.com:\u0668\u0660/", "bad_url", "Arabic digits"),
    ("http://cdn.example.com:80:81/", "bad_url", "two ports"),
    ("http://::1/", "bad_url", "IPv6 without brackets"),
    ("http://[::1/", "bad_url", "a bracket too few"),
    ("http://[fe80::1%25eth0]/", "bad_url", "a zone, which only this machine knows"),
    ("http://[v1.fe80::1]/", "bad_url", "a future kind of address"),
    ("http://[1:2:3:4:5:6:7:8:9]/", "bad_url", "nine groups"),
    ("http://[cdn.example.com]/", "bad_url", "a name in brackets"),
    ("http://256.256.256.256/", "bad_url", "no address, and no name either"),
    ("http://1.2.3.4.5/", "bad_url", "five numbers"),
    ("http://08.8.8.8/", "bad_url", "no octal number"),
    ("http://0x8.8.8.8/", "bad_url", "8.8.8.8, but not written so"),
    ("http://134744072/", "bad_url", "likewise: 8 * 2**24 + 8 * 2**16 + 8 * 2**8 + 8"),
    ("http://4294967296/", "bad_url", "2**32, more than any address"),
    ("http://127.0.0.1/", "refused_address", "loopback"),
    ("http://127.0.0.1./", "refused_address", "likewise, with a dot at the end"),
    ("http://127.1/", "refused_address", "127.0.0.1, short"),
    ("http://127.0.1/", "refused_address", "127.0.0.1, short"),
    ("http://2130706433/", "refused_address", "127.0.0.1 as one number: 127 * 2**24 + 1"),
    ("http://0x7f000001/", "refused_address", "127.0.0.1 in hexadecimal"),
    ("http://0X7F.0.0.1/", "refused_address", "127.0.0.1, partly"),
    ("http://017700000001/", "refused_address", "127.0.0.1 in octal"),
    ("http://0177.0.0.1/", "refused_address", "127.0.0.1, partly"),
    ("http://0/", "refused_address", "0.0.0.0, this machine on Linux"),
    ("http://0x/", "refused_address", "0.0.0.0, as browsers read it"),
    ("http://0.0.0.0/", "refused_address", "this machine on Linux"),
    ("http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "refused_address", "127.0.0.1 in full width"),
    ("http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/", "refused_address", "127.0.0.1 in circles"),
    ("http://127\u30020\u30020\u30021/", "refused_address", "127.0.0.1 with ideographic full stops"),
    ("http://10.0.0.1/", "refused_address", "private"),
    ("http://172.16.0.1/", "refused_address", "private"),
    ("http://172.31.255.255/", "refused_address", "private, the last of it"),
    ("http://192.168.1.1/", "refused_address", "private"),
    ("http://100.64.0.1/", "refused_address", "a provider's own network"),
    ("http://100.100.100.200/", "refused_address", "Alibaba's metadata"),
    ("http://169.254.169.254/latest/meta-data/", "refused_address", "metadata"),
    ("http://2852039166/", "refused_address", "metadata as one number"),
    ("http://0xa9.0xfe.0xa9.0xfe/", "refused_address", "metadata in hexadecimal"),
    ("http://168.63.129.16/", "refused_address", "Azure's own"),
    ("http://192.0.0.192/", "refused_address", "Oracle's metadata"),
    ("http://192.0.2.1/", "refused_address", "documentation"),
    ("http://198.51.100.1/", "refused_address", "documentation"),
    ("http://203.0.113.1/", "refused_address", "documentation"),
    ("http://198.18.0.1/", "refused_address", "benchmarks"),
    ("http://192.88.99.1/", "refused_address", "a 6to4 relay"),
    ("http://224.0.0.1/", "refused_address", "multicast"),
    ("http://239.255.255.250/", "refused_address", "multicast"),
    ("http://240.0.0.1/", "refused_address", "reserved"),
    ("http://255.255.255.255/", "refused_address", "broadcast"),
    ("http://[::1]/", "refused_address", "loopback"),
    ("http://[0:0:0:0:0:0:0:1]/", "refused_address", "loopback, long"),
    ("http://[::]/", "refused_address", "unspecified"),
    ("http://[::ffff:127.0.0.1]/", "refused_address", "loopback, mapped"),
    ("http://[::ffff:7f00:1]/", "refused_address", "likewise"),
    ("http://[::ffff:8.8.8.8]/", "refused_address", "no name server says this of a public host"),
    ("http://[::127.0.0.1]/", "refused_address", "loopback, compatible"),
    ("http://[::ffff:0:127.0.0.1]/", "refused_address", "loopback, translated"),
    ("http://[64:ff9b::a9fe:a9fe]/", "refused_address", "metadata behind NAT64"),
    ("http://[64:ff9b:1::a00:1]/", "refused_address", "behind a private NAT64"),
    ("http://[2002:7f00:1::]/", "refused_address", "loopback by 6to4"),
    ("http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "refused_address", "Teredo"),
    ("http://[fd00:ec2::254]/", "refused_address", "metadata of EC2"),
    ("http://[fc00::1]/", "refused_address", "private"),
    ("http://[fe80::1]/", "refused_address", "link-local"),
    ("http://[fec0::1]/", "refused_address", "site-local, given up in 2004"),
    ("http://[ff02::1]/", "refused_address", "multicast"),
    ("http://[2001:db8::1]/", "refused_address", "documentation"),
    ("http://[3fff::1]/", "refused_address", "documentation"),
    ("http://[100::1]/", "refused_address", "discarded"),
    ("http://[4000::1]/", "refused_address", "never given out"),
    ("http://localhost/", "refused_address", "this machine"),
    ("http://LocalHost./", "refused_address", "this machine, in another case and with a dot"),
    ("http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/", "refused_address", "localhost in full width"),
    ("http://a.localhost/", "refused_address", "this machine"),
    ("http://printer.local/", "refused_address", "the local network"),
    ("http://metadata.google.internal/", "refused_address", "Google's metadata"),
    ("http://metadata.google.internal./", "refused_address", "likewise"),
    ("http://metadata.goog/", "refused_address", "likewise"),
    ("http://kubernetes/", "refused_address", "a name without a dot is never public"),
    ("http://db.corp/", "refused_address", "nor is this one"),
    ("http://cdn.example.com:22/", "refused_port", "SSH"),
    ("http://cdn.example.com:6379/", "refused_port", "Redis"),
    ("https://cdn.example.com:8443/", "refused_port", "not listed"),
    ("http://8.8.8.8:53/", "refused_port", "a public address"),
]


@pytest.mark.parametrize(("url", "code"), [row[:2] for row in HOSTILE], ids=[repr(row[0])[1:40] for row in HOSTILE])
def test_a_hostile_url_is_refused(url, code):
    """It never comes to a look-up or a connection, and the row is skipped, not failed."""
    with pytest.raises(MediaError) as caught:
        PLAIN.check_url(url)
    failure = caught.value.failure
    assert (failure.code, failure.error_class, failure.status) == (code, "media", "skipped")


@pytest.mark.parametrize(
    ("url", "host", "port", "sent"),
    [
        ("https://cdn.example.com/a.jpg", "cdn.example.com", 443, "https://cdn.example.com/a.jpg"),
        ("HTTP://CDN.Example.com:80", "cdn.example.com", 80, "http://cdn.example.com/"),
        ("http://cdn.example.com.:/a", "cdn.example.com", 80, "http://cdn.example.com/a"),
        ("http://cdn.example.com:443/a", "cdn.example.com", 443, "http://cdn.example.com:443/a"),
        ("https://cdn.example.com?x=1#y", "cdn.example.com", 443, "https://cdn.example.com/?x=1"),
        (
            "https://bücher.example/ü b.jpg",
            "xn--bcher-kva.example",
            443,
            "https://xn--bcher-kva.example/%C3%BC%20b.jpg",
        ),
        ("http://8.8.8.8/a", "8.8.8.8", 80, "http://8.8.8.8/a"),
        ("http://172.32.0.1/", "172.32.0.1", 80, "http://172.32.0.1/"),
        ("http://[2606:4700:0:0::1111]/a", "2606:4700::1111", 80, "http://[2606:4700::1111]/a"),
        (
            "https://a_b.s3.amazonaws.com/k",
            "a_b.s3.amazonaws.com",
            443,
            "https://a_b.s3.amazonaws.com/k",
        ),
        ("https://r3---sn-a.example/v", "r3---sn-a.example", 443, "https://r3---sn-a.example/v"),
        ("https://1.example/", "1.example", 443, "https://1.example/"),
    ],
)
def test_a_public_url_passes_in_one_spelling(url, host, port, sent):
    """Host and port have one spelling each; scheme and default port are written as everybody does."""
    target = PLAIN.target(url)
    assert (target.host, target.port, target.url) == (host, port, sent)
    assert PLAIN.check_url(url) is None


def test_what_a_signature_covers_is_not_rewritten():
    """Escapes, signs and their order stay as the manifest has them."""
    url = "https://cdn.example.com/a%2Fb/~c;d?X-Amz-Credential=AK%2f20&s=a+b%3D=&q='()*!"
    assert PLAIN.target(url).url == url


def test_a_message_says_what_to_do_and_keeps_secrets():
    """The URL is redacted, and the entry to write into the job stands there."""
    with pytest.raises(MediaError) as caught:
        PLAIN.check_url("http://10.0.0.7:9000/a.jpg?token=abc123secret")
    message = caught.value.failure.message
    assert "abc123secret" not in message
    assert "10.0.0.7 is a private address: list `10.0.0.7:9000` in [media] allow to reach it" in message


def test_another_spelling_is_explained():
    """Who wrote a number meant an address; the message has it in plain words."""
    with pytest.raises(MediaError, match=r"another spelling of 127\.0\.0\.1, an address of this machine itself"):
        PLAIN.check_url("http://2130706433/")
    with pytest.raises(MediaError, match=r"write it as 8\.8\.8\.8"):
        PLAIN.check_url("http://134744072/")


def test_a_long_or_dirty_url_is_shown_in_one_short_line():
    """A message stands in a table."""
    with pytest.raises(MediaError) as caught:
        PLAIN.check_url("http://cdn.example.com/\r\n" + "a" * 10_000)
    assert "\n" not in caught.value.failure.message
    assert len(caught.value.failure.message) < 300


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.100.100.200", "192.168.0.1", "::1", "fd00:ec2::254",
     "fe80::1%eth0", "::ffff:10.0.0.1", "64:ff9b::a00:1", "224.0.0.1", "no address"],
)  # fmt: skip
def test_an_address_behind_a_public_name_is_refused(address):
    """What counts is where the connection goes, not what the name looks like."""
    with pytest.raises(MediaError) as caught:
        PLAIN.check_address("cdn.example.com", address, 443)
    assert caught.value.failure.code == "refused_address"
    assert "cdn.example.com" in caught.value.failure.message


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "172.15.255.255", "100.128.0.1", "2606:4700::1111", "2a00::1"]
)
def test_a_public_address_passes(address):
    """At the ports of the job."""
    assert PLAIN.check_address("cdn.example.com", address, 443) is None
    with pytest.raises(MediaError) as caught:
        PLAIN.check_address("cdn.example.com", address, 8080)
    assert caught.value.failure.code == "refused_port"


@pytest.mark.parametrize(
    "address", ["224.0.0.1", "168.63.129.16", "192.88.99.1", "192.31.196.1", "64:ff9b::7f00:1", "ff0e::1"]
)
def test_is_global_is_not_enough(address):
    """Python calls these public, and the guard does not."""
    assert ipaddress.ip_address(address).is_global
    with pytest.raises(MediaError):
        PLAIN.check_address("cdn.example.com", address, 80)


@settings(max_examples=100)
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_passes_that_python_knows_as_special(address):
    """What `ipaddress` calls private, loopback, link-local, multicast, reserved or unspecified is refused."""
    special = (
        address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
        or address.is_reserved or address.is_unspecified
    )  # fmt: skip
    try:
        PLAIN.check_address("cdn.example.com", str(address), 80)
    except MediaError:
        return
    assert not special


@pytest.mark.wide
@settings(max_examples=200)
@given(st.ip_addresses(v=4), st.data())
def test_every_spelling_means_the_same_address(address, data):
    """Numbers of any base, one to four of them: none passes that is not the plain spelling."""
    number, parts = int(address), data.draw(st.integers(1, 4))
    shifts = [24, 16, 8][: parts - 1]
    values = [number >> shift & 255 for shift in shifts] + [number & (2 ** (32 - 8 * len(shifts)) - 1)]
    bases = data.draw(st.lists(st.sampled_from(["{}", "0x{:x}", "0X{:X}", "0{:o}"]), min_size=parts, max_size=parts))
    host = ".".join(base.format(value) for base, value in zip(bases, values, strict=True))
    try:
        target = PLAIN.target(f"http://{host}/")
    except MediaError as error:
        assert error.failure.code in {"bad_url", "refused_address"}  # noqa: PT017 - either is right
    else:
        assert target.host == host == str(address)


def passes(opening, url, address):
    try:
        target = opening.target(url)
        opening.check_address(target.host, address, target.port)
    except MediaError:
        return False
    return True


def opened(*allow, own=(), ports=(80, 443)):
    return guard(MediaSection(allow=list(allow), ports=list(ports)), own=own)


@pytest.mark.parametrize(
    ("allow", "url", "address"),
    [
        ("media.corp", "http://media.corp/a", "10.0.0.5"),
        ("media.corp", "https://MEDIA.corp./a", "fd00::5"),
        ("media.corp", "http://media.corp/a", "169.254.169.254"),
        ("Media.Corp:8080", "http://media.corp:8080/a", "10.0.0.5"),
        ("bücher.local", "http://bücher.local/", "10.0.0.5"),
        ("localhost", "http://localhost/a", "127.0.0.1"),
        ("localhost:8080", "http://localhost:8080/a", "::1"),
        ("metadata.google.internal", "http://metadata.google.internal/a", "169.254.169.254"),
        ("10.2.0.7", "http://10.2.0.7/a", "10.2.0.7"),
        ("10.2.0.7", "http://media.corp/a", "10.2.0.7"),
        ("10.2.0.7:9000", "http://10.2.0.7:9000/a", "10.2.0.7"),
        ("10.2.0.7:9000", "http://media.corp:9000/a", "10.2.0.7"),
        ("10.2.0.0/16", "http://10.2.255.255/a", "10.2.255.255"),
        ("10.2.0.0/16", "http://files/a", "10.2.0.9"),
        ("10.2.0.0/16:9000", "http://files.corp:9000/a", "10.2.0.9"),
        ("::1", "http://[::1]/a", "::1"),
        ("[::1]", "http://[0::1]/a", "::1"),
        ("[::1]:8080", "http://[::1]:8080/a", "::1"),
        ("fd00::/8", "http://[fd12::1]/a", "fd12::1"),
        ("[fd00::/8]:8080", "http://nas.local:8080/a", "fd00::7"),
        ("8.8.8.8:8080", "http://8.8.8.8:8080/a", "8.8.8.8"),
        ("cdn.example.com:8080", "http://cdn.example.com:8080/a", "8.8.8.8"),
        ("64:ff9b::/96", "http://cdn.example.com/a", "64:ff9b::808:808"),
    ],
)
def test_what_is_listed_may_be_reached(allow, url, address):
    """By name whatever its addresses are, by address whatever its names are, at the ports meant."""
    opening = opened(allow)
    target = opening.target(url)
    assert opening.check_address(target.host, address, target.port) is None
    assert not passes(PLAIN, url, address)


@pytest.mark.parametrize(
    ("allow", "host", "address", "port", "code"),
    [
        ("media.corp", "other.corp", "10.0.0.5", 80, "refused_address"),
        ("media.corp", "sub.media.corp", "10.0.0.5", 80, "refused_address"),
        ("media.corp", "media.corp.evil.com", "10.0.0.5", 80, "refused_address"),
        ("media.corp", "media.corp", "10.0.0.5", 8080, "refused_address"),
        ("media.corp:8080", "media.corp", "10.0.0.5", 80, "refused_address"),
        ("media.corp:8080", "cdn.example.com", "8.8.8.8", 8080, "refused_port"),
        ("10.2.0.0/16", "media.corp", "10.3.0.1", 80, "refused_address"),
        ("10.2.0.0/16", "media.corp", "10.2.0.1", 8080, "refused_address"),
        ("10.2.0.0/16:8080", "media.corp", "10.2.0.1", 80, "refused_address"),
        ("10.2.0.0/16:8080", "cdn.example.com", "8.8.8.8", 8080, "refused_port"),
        ("10.2.0.0/16", "media.corp", "::ffff:10.2.0.1", 80, "refused_address"),
        ("127.0.0.0/8", "metadata.corp", "169.254.169.254", 80, "refused_address"),
        ("64:ff9b::/96", "evil.example.com", "64:ff9b::a9fe:a9fe", 80, "refused_address"),
        ("::ffff:0:0/96", "evil.example.com", "::ffff:127.0.0.1", 80, "refused_address"),
        ("2002::/16", "evil.example.com", "2002:a00:1::", 80, "refused_address"),
        ("2001::/32", "evil.example.com", "2001:0:4136:e378:8000:63bf:f5ff:fffe", 80, "refused_address"),
    ],
)
def test_what_is_listed_opens_nothing_else(allow, host, address, port, code):
    """Not a neighbour, not another port, and not what lies wrapped in a listed prefix."""
    with pytest.raises(MediaError) as caught:
        opened(allow).check_address(host, address, port)
    assert caught.value.failure.code == code


@pytest.mark.parametrize("allow", [["10.2.0.0/16"], ["10.2.0.0/16", "media.corp"]])
def test_a_metadata_name_wants_to_be_listed_itself(allow):
    """A listed network lets local names be looked up, but not those of metadata."""
    with pytest.raises(MediaError):
        opened(*allow).check_url("http://metadata.google.internal/")


def test_what_lies_in_a_wrapped_prefix_may_be_listed_too():
    """Both the prefix and the address inside it are then meant."""
    assert opened("64:ff9b::/96", "10.0.0.0/8").check_address("a.example", "64:ff9b::a00:1", 80) is None
    assert opened("2002::/16", "10.0.0.0/8").check_address("a.example", "2002:a00:1::", 80) is None
    # Teredo has the client's address in its last 32 bits, inverted (RFC 4380): 10.0.0.1 is f5ff:fffe.
    teredo = "2001:0:4136:e378:8000:63bf:f5ff:fffe"
    assert opened("2001::/32", "10.0.0.0/8").check_address("a.example", teredo, 80) is None


def test_a_place_of_ours_may_be_reached():
    """The sandbox's samples lie on loopback, at a port of its own."""
    opening = opened(own=["127.0.0.1:34567"])
    assert opening.check_url("http://127.0.0.1:34567/samples/a.jpg") is None
    for url in ("http://127.0.0.1/", "http://127.0.0.1:34568/", "http://127.0.0.2:34567/"):
        with pytest.raises(MediaError):
            opening.check_url(url)


def test_no_port_at_all_may_be_open():
    """Then only what is listed with its port is reached."""
    opening = opened("cdn.example.com:443", ports=())
    assert opening.check_url("https://cdn.example.com/") is None
    with pytest.raises(MediaError, match=r"none of \[media\] ports \(none\)"):
        opening.check_url("http://cdn.example.com/")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("", "are some"),
        ("http://media.corp", "are some"),
        ("media.corp:", "are some"),
        ("media.corp:http", "are some"),
        ("media.corp:0", "are some"),
        ("media.corp:65536", "are some"),
        ("[::1", "are some"),
        ("user@media.corp", "name a host"),
        ("*.media.corp", "list the network"),
        ("media corp", "name a host"),
        ("127.1", "write it as 127.0.0.1"),
        ("300.1.1.1", "name a host"),
        ("10.2.3.4/16", "its network is 10.2.0.0/16"),
        ("fd00::1/8", "its network is fd00::/8"),
        ("10.2.0.0/33", "are networks"),
        ("media.corp/24", "are networks"),
        ("[media.corp/24]:80", "are networks"),
        ("1:2:3", "are networks"),
    ],
)
def test_a_wrong_entry_is_named(entry, said):
    """With its own words and what to write instead."""
    with pytest.raises(ValueError, match="which is no host, address or network") as caught:
        opened(entry)
    assert repr(entry) in str(caught.value)
    assert said in str(caught.value)
