"""HTTP/1.1 as a batch needs it: many long waits for one origin, at a tenth of a millisecond of CPU each.

    origin       where to connect, and what stands in the Host header
    outgoing     a request as bytes, checked against injection
    arrival      an answer from its bytes, bounded on the wire and unpacked; no I/O
    connection   one exchange at a time over one connection
    addresses    name lookups, remembered for a minute
    pool         connections kept alive, each step O(1) however many there are

Rules of this package:

- A request is in doubt from its first byte on (`InDoubtError`); before, nothing was sent (`TransientError`).
- An answer is whole, or there is none. No redirects, no cookies, no proxies, no HTTP/2, no upgrades.
- Time limits are the caller's, and each error says which one ended the wait.
"""

from __future__ import annotations

from mediascribe.http.arrival import ACCEPTED, Arrival
from mediascribe.http.connection import Limits
from mediascribe.http.origin import Origin, origin_of
from mediascribe.http.outgoing import Outgoing, head_of
from mediascribe.http.pool import Pool

__all__ = ["ACCEPTED", "Arrival", "Limits", "Origin", "Outgoing", "Pool", "head_of", "origin_of"]
