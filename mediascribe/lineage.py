"""Lineage: a process that ends with the one that started it. Linux tells it; elsewhere it would be left behind."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from signal import Signals

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def end_with_parent(by: Signals) -> None:
    """Have this process ended *by* a signal when its parent is gone; one that is gone already is not noticed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
