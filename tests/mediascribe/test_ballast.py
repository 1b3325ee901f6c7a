"""The ballast takes real space, and gives it back once."""

from __future__ import annotations

import errno
import os

import pytest

from mediascribe.ballast import Ballast
from mediascribe.errors import ConfigError


def test_the_space_is_really_taken(tmp_path):
    """Blocks are allocated, not a length only; nobody else may read the file."""
    ballast = Ballast(tmp_path, 2**20)
    ballast.lay()
    found = ballast.path.stat()
    assert (found.st_size, found.st_mode & 0o777) == (2**20, 0o600)
    assert found.st_blocks * 512 >= 2**20


def test_it_is_freed_once(tmp_path):
    """The first to find the disk full gets the space; the second hears that there is no more."""
    ballast = Ballast(tmp_path, 4096)
    assert not ballast.free()
    ballast.lay()
    assert ballast.free()
    assert not ballast.free()
    assert not ballast.path.exists()


def test_an_old_ballast_is_brought_to_its_size(tmp_path):
    """A run with another window has another ballast, in the same file."""
    Ballast(tmp_path, 8192).lay()
    Ballast(tmp_path, 4096).lay()
    assert Ballast(tmp_path, 0).path.stat().st_size == 4096
    Ballast(tmp_path, 0).lay()
    assert Ballast(tmp_path, 0).path.stat().st_size == 0


def test_a_disk_without_room_is_told_before_anything_is_sent(tmp_path, monkeypatch):
    """The message says how much is needed and what lowers it, and nothing stays behind."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    ballast = Ballast(tmp_path, 256 * 2**20)
    with pytest.raises(ConfigError, match=r"needs 256 MiB and more \(No space left on device\): free space, or lower"):
        ballast.lay()
    assert list(tmp_path.iterdir()) == []
    assert ballast.needed_bytes == 256 * 2**20
