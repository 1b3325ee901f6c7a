"""A process that is killed between two changes of names."""

import os


class Killed(BaseException):
    """The process is gone: nothing that it still tries has an effect."""


def kill_after(monkeypatch, operations):
    """Let so many files and folders appear, move or go, and none after them."""
    left = [operations]

    def counted(real):
        def change(*args, **kwargs):
            if left[0] <= 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        return change

    for name in ("link", "replace", "unlink", "mkdir"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
