"""Ballast: disk space held back, so that a full disk costs no money.

Answers that are in flight when the disk fills up are paid for, and need room to land in. A file that takes that room
from the start is removed when a write finds the disk full (reliability notes 1.3). It helps against a full disk and a
used-up quota; against a limit on the size of one file the journal's next segment does.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Ballast:
    """One file of *size_bytes* in *folder*, which counts only as long as it is there. Freeing is for any thread."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Name the ballast; `lay` takes the space. *size_bytes* is what the answers in flight may come to."""
        self.path = folder / "ballast"
        self.needed_bytes = size_bytes

    def lay(self) -> None:
        """Take the space, for real: blocks, not a length. A ballast that is there already is topped up.

        Raises:
            ConfigError: the disk has not even that much; nothing is left behind.
        """
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if self.needed_bytes:
                os.posix_fallocate(handle, 0, self.needed_bytes)
            os.ftruncate(handle, self.needed_bytes)
        except OSError as error:
            self.free()
            raise ConfigError(
                f"no room for the answers of a run: {self.path.parent} needs {-(-self.needed_bytes // 2**20):,} MiB and"
                f" more ({error.strerror}): free space, or lower `limits.concurrency` or `gateway.max_answer_bytes`"
            ) from None
        finally:
            os.close(handle)

    def free(self) -> bool:
        """Give the space back; False where that was done already, or none was ever taken."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True
