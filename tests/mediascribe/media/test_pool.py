"""Work beside the event loop: how much of it runs, waits, and is in hand."""

import asyncio
import io
import threading

import pytest
from PIL import Image

from mediascribe.job_sections import MediaSection
from mediascribe.media.pool import Pool
from mediascribe.media.shrink import shrink


class Gate:
    """Work that runs until it is let go, and counts who runs."""

    def __init__(self):
        self.open = threading.Event()
        self.began = threading.Semaphore(0)
        self.order = []

    def work(self, _content=b"", name=""):
        self.order.append(name)
        self.began.release()
        assert self.open.wait(10)
        return name


async def settled():
    """Whoever can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_gives_what_the_work_gives():
    """Arguments go in, the value comes out, and another thread has done it."""
    async with Pool(threads=1) as pool:
        assert await pool.run(divmod, 7, 2) == (3, 1)
        assert await pool.run(int, "ff", base=16) == 255
        assert await pool.run(threading.get_ident) != threading.get_ident()


async def test_what_the_work_raises_is_raised():
    """An error comes to whoever waits, and leaves its room."""
    async with Pool(threads=1) as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 1, 0)
        await settled()
        assert pool.in_hand == (0, 0)


async def test_as_many_threads_as_cores():
    """Without a word about it there is at least one thread."""
    async with Pool() as pool:
        assert await pool.run(abs, -1) == 1


async def test_no_more_runs_than_there_are_threads_and_no_more_waits_than_two_each():
    """Of ten, one thread runs one and has two in hand; seven are outside."""
    gate = Gate()
    async with Pool(threads=1) as pool:
        tasks = [asyncio.create_task(pool.run(gate.work, b"x", str(number))) for number in range(10)]
        await settled()
        assert pool.in_hand == (3, 3)
        gate.open.set()
        assert await asyncio.gather(*tasks) == [str(number) for number in range(10)]


async def test_bytes_in_hand_are_bounded():
    """Of three times 60 bytes, one is in hand where 100 have room."""
    gate = Gate()
    async with Pool(threads=2, bytes_in_hand=100) as pool:
        tasks = [asyncio.create_task(pool.run(gate.work, bytes(60))) for _ in range(3)]
        await settled()
        assert pool.in_hand == (1, 60)
        gate.open.set()
        await asyncio.gather(*tasks)
        assert pool.in_hand == (0, 0)


async def test_keyword_arguments_count_too():
    """Bytes are bytes, however they are handed over."""
    gate = Gate()
    async with Pool(threads=1) as pool:
        task = asyncio.create_task(pool.run(gate.work, _content=bytes(7)))
        await settled()
        assert pool.in_hand == (1, 7)
        gate.open.set()
        await task


async def test_what_is_larger_than_all_the_room_is_done_alone():
    """It waits until nothing else is in hand, and nothing overtakes it meanwhile."""
    gate = Gate()
    async with Pool(threads=4, bytes_in_hand=10) as pool:
        tasks = [
            asyncio.create_task(pool.run(gate.work, bytes(size), name))
            for size, name in ((5, "first"), (1000, "large"), (1, "last"))
        ]
        await settled()
        assert pool.in_hand == (1, 5)
        gate.open.set()
        await asyncio.gather(*tasks)
        assert gate.order == ["first", "large", "last"]


async def test_who_goes_away_while_waiting_for_room_takes_none():
    """A cancelled task outside leaves the next one its turn."""
    gate = Gate()
    async with Pool(threads=1, bytes_in_hand=1) as pool:
        first, second, third = (asyncio.create_task(pool.run(gate.work, b"x", name)) for name in "abc")
        await settled()
        second.cancel()
        gate.open.set()
        assert await asyncio.gather(first, third) == ["a", "c"]
        assert gate.order == ["a", "c"]


async def test_work_whose_waiter_went_away_counts_until_it_ends():
    """A thread cannot be stopped: its bytes stay in hand."""
    gate = Gate()
    async with Pool(threads=1) as pool:
        task = asyncio.create_task(pool.run(gate.work, bytes(9)))
        await settled()
        assert await asyncio.to_thread(gate.began.acquire, timeout=10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.in_hand == (1, 9)
        gate.open.set()
        assert await pool.run(abs, -1) == 1  # one thread: it has ended before this began
        await settled()
        assert pool.in_hand == (0, 0)


async def test_leaving_waits_for_what_runs_and_drops_what_waits():
    """What runs gives its value; what has no thread yet is cancelled."""
    gate = Gate()
    async with Pool(threads=1) as pool:
        running = asyncio.create_task(pool.run(gate.work, b"", "running"))
        waiting = asyncio.create_task(pool.run(gate.work, b"", "waiting"))
        await settled()
        assert await asyncio.to_thread(gate.began.acquire, timeout=10)
        asyncio.get_running_loop().call_later(0.01, gate.open.set)
    assert await running == "running"
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert gate.order == ["running"]


@pytest.mark.wide
async def test_pictures_shrunk_side_by_side_are_as_those_shrunk_alone():
    """Four threads at a time give the bytes that one gives."""
    files = []
    for number in range(12):
        file = io.BytesIO()
        Image.effect_noise((400 + number, 300), 40).save(file, "JPEG" if number % 2 else "PNG")
        files.append(file.getvalue())
    how = {"model": None, "section": MediaSection(max_side=200), "most_bytes": 10**6}
    async with Pool(threads=4) as pool:
        together = await asyncio.gather(*(pool.run(shrink, content, **how) for content in files))
    assert together == [shrink(content, **how) for content in files]
