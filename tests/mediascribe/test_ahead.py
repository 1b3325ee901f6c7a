"""What is read in a thread is given to many tasks, in order, each once."""

import asyncio

import pytest

from mediascribe.ahead import Ahead


@pytest.mark.parametrize("count", [0, 1, 2, 249, 250, 251, 1000])
async def test_every_one_is_given_once(count):
    """Whatever the number, and however many ask at a time."""
    ahead, given = Ahead(iter(range(1, count + 1))), []

    async def take():
        while one := await ahead.next():
            given.append(one)

    await asyncio.gather(*(take() for _ in range(7)))
    assert given == list(range(1, count + 1))
    assert await ahead.next() is None


async def test_an_error_of_the_reader_is_told():
    """Nobody waits for ever for what cannot be read."""

    def broken():
        yield 1
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        await Ahead(broken()).next()
