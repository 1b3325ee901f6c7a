"""What commands say: their product on the standard output, words for the person at the terminal beside it."""

from __future__ import annotations

import sys

import msgspec


def print_json(value: object) -> None:
    """Print *value* as one JSON value."""
    print(msgspec.json.format(msgspec.json.encode(value)).decode())  # noqa: T201 - the command's product


def say(message: str) -> None:
    """Tell the person at the terminal, beside the command's product."""
    for line in message.splitlines():
        print(f"mediascribe: {line}", file=sys.stderr)  # noqa: T201 - stderr is for that
