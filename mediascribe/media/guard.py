"""Guard: which URLs, and which addresses behind them, may be reached from here.

A manifest may come from anybody, and this machine sees more than its author does. So a URL is checked twice: as it is
written (`check_url`), and by the address that a connection is really opened to (`check_address`), since a name may
have another address a moment later.

Rules of this file:

- Public is what no IANA registry of special-purpose addresses names. `ipaddress.is_global` is not enough: it calls
  multicast, NAT64 and a cloud's own addresses public (reliability notes 5).
- `allow` opens exactly what it lists: a name with all its addresses, or addresses under all their names. The port of
  an entry is open for that entry only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from mediascribe.media.url import LAST_PORT, SpelledError, Target, bad, host_of, place, read, refused, shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from mediascribe.job_sections import MediaSection

_WRAPPED: Final = "an IPv4 address inside an IPv6 one"
# IANA's special-purpose registries of IPv4 and IPv6, of October 2024; the first network that holds an address counts.
_SPECIAL: Final = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address inside a provider's network"),
        ("127.0.0.0/8", "an address of this machine itself"),
        ("168.63.129.16/32", "the inner address of a cloud"),
        ("169.254.0.0/16", "a link-local address, where clouds keep credentials"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address of protocols and clouds"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.31.196.0/24", "a reserved address"),
        ("192.52.193.0/24", "a reserved address"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "a reserved address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "an address of this machine itself"),
        ("::/96", _WRAPPED),
        ("::ffff:0:0/96", _WRAPPED),
        ("::ffff:0:0:0/96", _WRAPPED),
        ("64:ff9b::/96", _WRAPPED),
        ("64:ff9b:1::/48", "an address of a private translator"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/32", _WRAPPED),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", _WRAPPED),
        ("2620:4f:8000::/48", "a reserved address"),
        ("3fff::/20", "an address for documentation"),
    )
)
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")  # nothing else was ever given out

_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
# Names that no public name server knows; nor does one know a name without a dot.
_LOCAL_NAMES: Final = tuple(
    f".{name}" for name in ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa", "corp")
)
_ENTRY: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]*:[0-9A-Fa-f:./]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What may be reached: public addresses at `ports`, and what the job lists.

    `names` and `networks` are what it lists, each with its port, or None for all of `ports`.
    """

    ports: frozenset[int]
    names: frozenset[tuple[str, int | None]]
    networks: tuple[tuple[IPv4Network | IPv6Network, int | None], ...]

    def check_url(self, url: str) -> None:
        """Return if *url* is one that may be reached, as far as can be seen without looking its host up.

        Raises:
            MediaError: it is not; `bad_url`, `refused_scheme`, `refused_port` or `refused_address`.
        """
        self.target(url)

    def target(self, url: str) -> Target:
        """*url* read and checked; raises like `check_url`."""
        try:
            target = read(url)
        except SpelledError as spelled:
            if why := _special(spelled.address):
                meant = f"{spelled.address}, {why}"
                raise refused("refused_address", f"{shown(url)}: its host is another spelling of {meant}") from None
            raise bad(url, f"has an address as its host: write it as {spelled.address}") from None
        literal = _literal(target.host)
        problem = self._address(target.host, literal, target.port) if literal else self._name(target.host, target.port)
        if problem:
            raise refused(problem[0], f"{shown(url)}: {problem[1]}")
        return target

    def check_address(self, host: str, address: str, port: int) -> None:
        """Return if a connection for *host* may be opened to *address* and *port*.

        Raises:
            MediaError: it may not; `refused_address` or `refused_port`.
        """
        literal = _literal(address)
        if literal is None:
            raise refused("refused_address", f"{host} has a refused address: {address!r} is none")
        if problem := self._address(host, literal, port):
            raise refused(problem[0], f"{host} has a refused address: {problem[1]}")

    def _name(self, host: str, port: int) -> tuple[str, str] | None:
        """What is wrong with a *host* whose addresses are not known yet: code and reason."""
        if self._lists_name(host, port):
            return None
        # A local name may have a listed address, which shows when it is looked up.
        if host in _METADATA_NAMES or (_is_local(host) and not self.networks):
            return "refused_address", f"`{host}` is a name inside a private network: {self._list_it(host, port)}"
        return None if port in self.ports or any(port == own for _, own in self.networks) else self._closed(host, port)

    def _address(self, host: str, address: IPv4Address | IPv6Address, port: int) -> tuple[str, str] | None:
        if self._lists_name(host, port):
            return None
        allowed = listed = self._lists_address(address, port)
        if listed and (inner := _inner(address)):
            # Where a network needs NAT64, its whole prefix is listed; what lies behind it is judged all the same.
            address, allowed = inner, self._lists_address(inner, port)
        if (why := _special(address)) and not allowed:
            return "refused_address", f"{address} is {why}: {self._list_it(str(address), port)}"
        return None if listed or port in self.ports else self._closed(host, port)

    def _lists_name(self, host: str, port: int) -> bool:
        return (host, port) in self.names or (port in self.ports and (host, None) in self.names)

    def _lists_address(self, address: IPv4Address | IPv6Address, port: int) -> bool:
        return any(
            address in network and (port in self.ports if own is None else port == own)
            for network, own in self.networks
        )

    def _closed(self, host: str, port: int) -> tuple[str, str]:
        ports = ", ".join(map(str, sorted(self.ports))) or "none"
        return "refused_port", f"port {port} is none of [media] ports ({ports}): add it, or {self._list_it(host, port)}"

    def _list_it(self, host: str, port: int) -> str:
        return f"list `{place(host, None if port in self.ports else port)}` in [media] allow to reach it"


def guard(section: MediaSection, *, own: Collection[str] = ()) -> Guard:
    """The guard of a job; *own* are places of ours, such as "127.0.0.1:8080", that are reached like listed ones.

    Raises:
        ValueError: an entry of `allow` is none; the message names no file.
    """
    names: set[tuple[str, int | None]] = set()
    networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
    for text in (*section.allow, *own):
        listed, port = _entry(text)
        if isinstance(listed, str):
            names.add((listed, port))
        else:
            networks.append((listed, port))
    return Guard(ports=frozenset(section.ports), names=frozenset(names), networks=tuple(networks))


def _entry(text: str) -> tuple[str | IPv4Network | IPv6Network, int | None]:
    """A host name, an address or a network, and its port if it has one."""
    found = _ENTRY.fullmatch(text)
    port = int(found[3]) if found and found[3] else None
    if not found or not (port is None or 1 <= port <= LAST_PORT):
        raise _no_entry(text, "media.corp, 10.2.0.0/16, 10.2.0.7:8080 and [fd00::7]:8080 are some")
    written = found[1] or found[2] or found[4]
    if "/" in written or ":" in written:
        return _network(text, written), port
    try:
        host = host_of(written)
    except SpelledError as spelled:
        raise _no_entry(text, str(spelled)) from None
    except ValueError:
        raise _no_entry(text, "name a host, or list the network that its addresses are in") from None
    literal = _literal(host)
    return (ip_network(literal) if literal else host), port


def _network(text: str, written: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(written, strict=False)
    except ValueError:
        raise _no_entry(text, "10.2.0.0/16 and fd00::/8 are networks") from None
    if str(network.network_address) != str(ip_address(written.partition("/")[0])):
        raise _no_entry(text, f"its network is {network}")
    return network


def _no_entry(text: str, advice: str) -> ValueError:
    return ValueError(f"`allow` has {text!r}, which is no host, address or network: {advice}")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _special(address: IPv4Address | IPv6Address) -> str | None:
    """Why *address* is not public; None if it is."""
    for network, why in _SPECIAL:
        if address in network:
            return why
    return None if address.version == 4 or address in _GLOBAL_IPV6 else "a reserved address"  # noqa: PLR2004 - IPv4


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside *address*, where it has one at a known place."""
    if isinstance(address, IPv4Address) or _special(address) != _WRAPPED:
        return None
    if address.teredo:
        return address.teredo[1]
    return address.sixtofour or IPv4Address(int(address) & 0xFFFFFFFF)


def _is_local(host: str) -> bool:
    return "." not in host or host.endswith(_LOCAL_NAMES)
