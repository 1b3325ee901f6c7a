"""What it takes to make media fit to send, and what that saves: the library alone, one thread, no gateway.

    python tests/bench/media.py [--quick] [--only NAME ...] [--json]

It prints a Markdown table; the full run takes about a minute, `--quick` half of it. Times are processor time, so that
others on the same machine disturb them little. The photographs are a sample, enlarged, with as much grain as makes them
as long as those of cameras (2.2 bits a pixel). Tokens are those of the published rules (gateway notes 4.1 to 4.4),
without and with shrinking; bytes are those of the files, before base64.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tables import Figure, by_steps

from mediascribe import models
from mediascribe.domain import Media, Request
from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media.fetch import Fetcher
from mediascribe.media.guard import guard
from mediascribe.media.lane import MediaLane
from mediascribe.media.places import Places
from mediascribe.media.pool import Pool
from mediascribe.media.shrink import Inline, shrink
from mediascribe.media.sizes import best_size
from mediascribe.media.tokens import Facts, expected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples" / "images"
sys.path.insert(0, str(ROOT / "tests" / "support"))
from media_hosts import MediaHost  # noqa: E402 - of the tests

PLENTY = 15 * 10**6
REFERENCE = "gemini-2.0-flash"
FAMILIES = (
    *(REFERENCE, "gemini-3-flash-preview", "gpt-4o", "gpt-5-mini", "gpt-5.2", "claude-sonnet-4-5"),
    *("qwen3-vl-235b-a22b-instruct", "qwen2.5-vl-72b-instruct", "glm-4.6v"),
)
# As phones and cameras give them; the odd ones are cropped by hand.
SHAPES = (
    (4000, 3000),
    (3024, 4032),
    (4032, 2268),
    (6000, 4000),
    (4000, 2990),
    (2980, 4000),
    (3500, 2600),
    (3000, 3000),
)


def by_size(step: str, rounds: int) -> list[Figure]:
    """Photographs a second, by what comes in, for the reference model."""
    kinds = {
        "JPEG, 1 megapixel": stored(photo(1152, 864), "JPEG", quality=90),
        "JPEG, 3 megapixels": stored(photo(2000, 1500), "JPEG", quality=90),
        "JPEG, 12 megapixels": stored(photo(4000, 3000), "JPEG", quality=90),
        "JPEG, 12 megapixels, progressive": stored(photo(4000, 3000), "JPEG", quality=90, progressive=True),
        "JPEG, 48 megapixels": stored(photo(8000, 6000), "JPEG", quality=90),
        "WebP, 12 megapixels": stored(photo(4000, 3000), "WEBP", quality=80, method=0),
        "PNG, 3 megapixels": stored(photo(2000, 1500), "PNG", compress_level=1),
        "PNG, a drawing of 2 megapixels": stored(drawing(1920, 1080), "PNG"),
        "GIF, a drawing of 2 megapixels": stored(drawing(1920, 1080), "GIF"),
    }
    figures = []
    for what, content in kinds.items():
        seconds, made = best_of(rounds, content)
        told = f"{what}: {len(content) / 1e6:.2f} to {len(made.content) / 1e6:.2f} MB, {made.width} x {made.height}"
        goal = 10.0 if what == "JPEG, 12 megapixels" else None
        figures.append(figure(step, told, 1 / seconds, "a second and core", least=goal))
    return figures


def by_family(step: str, rounds: int) -> list[Figure]:
    """Bytes and tokens saved on photographs of 7 to 24 megapixels, and how many a second, by family."""
    files = [(shape, stored(photo(*shape), "JPEG", quality=90)) for shape in SHAPES[: 2 + 2 * rounds]]
    figures = []
    for name in FAMILIES:
        began_s = time.process_time()
        made = [shrink(content, model=MODELS[name], section=MediaSection(), most_bytes=PLENTY) for _, content in files]
        took_s = time.process_time() - began_s
        before, after = (
            sum(map(len, all_of)) for all_of in ([file for _, file in files], [one.content for one in made])
        )
        figures += [
            figure(step, f"{name}: photographs", len(files) / took_s, "a second and core"),
            figure(step, f"{name}: bytes saved, of {before / 1e6:.1f} MB", saved(before, after), "%"),
            tokens_saved(step, name, [shape for shape, _ in files]),
        ]
    return figures


def shapes(step: str, _rounds: int) -> list[Figure]:
    """Tokens saved on pictures of any size and shape, as they lie about: 2,000, sides lognormal, for low detail too."""
    rng = np.random.default_rng(1)
    wide = np.exp(rng.normal(7.2, 0.5, 2000))
    sizes = [(int(width), int(width / shape)) for width, shape in zip(wide, rng.choice(RATIOS, 2000), strict=True)]
    figures = [tokens_saved(step, name, sizes) for name in FAMILIES]
    return figures + [tokens_saved(step, name, sizes, detail="low") for name in FAMILIES]


def samples(step: str, _rounds: int) -> list[Figure]:
    """Bytes and tokens saved on the samples, and how many of them are sent as they are."""
    figures = []
    for name in FAMILIES:
        before, after, same, shown = 0, 0, 0, []
        for content in map(Path.read_bytes, sorted(SAMPLES.iterdir())):
            try:
                made = shrink(content, model=MODELS[name], section=MediaSection(), most_bytes=PLENTY)
            except MediaError:  # the web pages among them
                continue
            before, after = before + len(content), after + len(made.content)
            same += made.content == content
            shown.append(Image.open(io.BytesIO(content)).size)
        kept = f"{name}: sent as they are, of {len(shown)}"
        figures += [
            figure(step, kept, same, ""),
            figure(step, f"{name}: bytes saved, of {before / 1e6:.2f} MB", saved(before, after), "%"),
            tokens_saved(step, name, shown),
        ]
    return figures


def tokens_saved(step: str, name: str, sizes: Iterable[tuple[int, int]], detail: str = "auto") -> Figure:
    """How many of the tokens of pictures of *sizes* are not billed, once these are shrunk."""
    before = after = 0
    for size in sizes:
        best = best_size(*size, model=MODELS[name], max_side=None, detail=detail)
        before, after = before + weight(name, size), after + weight(name, best)
    told = f"{name}{', low detail' if detail == 'low' else ''}: tokens saved, of {before:,}"
    return figure(step, told, saved(before, after), "%", least=0.0)


def weight(name: str, size: tuple[int, int]) -> int:
    """What a picture of *size* weighs."""
    return expected("image", Facts(width=size[0], height=size[1]), MODELS[name]) or 0


def saved(before: int, after: int) -> float:
    """The share of *before* that is gone, in percent."""
    return 100 * (1 - after / before)


def best_of(rounds: int, content: bytes) -> tuple[float, Inline]:
    """The least processor time of shrinking *content*, in seconds, and what came of it."""
    seconds = []
    for _ in range(2 * rounds):
        began_s = time.process_time()
        made = shrink(content, model=MODELS[REFERENCE], section=MediaSection(), most_bytes=PLENTY)
        seconds.append(time.process_time() - began_s)
    return min(seconds), made


def photo(width: int, height: int) -> Image.Image:
    """The lake, enlarged, with the grain of a sensor."""
    lake = Image.open(SAMPLES / "lake.jpg").resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(3).integers(-10, 11, (height, width, 1), np.int16)
    return Image.fromarray((np.asarray(lake, np.int16) + grain).clip(0, 255).astype(np.uint8))


def drawing(width: int, height: int) -> Image.Image:
    """The bar chart, enlarged."""
    return Image.open(SAMPLES / "chart.png").convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def stored(image: Image.Image, name: str, **options: object) -> bytes:
    """The file of *image*."""
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def figure(step: str, what: str, value: float, unit: str, *, least: float | None = None) -> Figure:
    """A number, and the goal that it must reach, if it has one."""
    goal = "" if least is None else f">= {least:g}"
    return Figure(step=step, what=what, value=value, unit=unit, goal=goal, good=least is None or value >= least)


MODELS = {name: models.load(ROOT / "configs" / "models.toml").get(name) for name in FAMILIES}
RATIOS = (4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16, 1.0, 1.35, 1.91, 0.8)


def looks(step: str, times: int) -> list[Figure]:
    """Looks through the whole lane: a host on loopback, sockets, guard, header, rules."""
    count = 2_000
    wall_s, cpu_s = min(asyncio.run(_looked(count)) for _ in range(times))
    return [
        figure(step, "through the whole lane", count / wall_s, "looks a second", least=500.0),
        figure(step, "processor time, that of the host among it", cpu_s / count * 1000, "ms a look"),
    ]


async def _looked(count: int) -> tuple[float, float]:
    """Seconds of *count* looks, of the clock and of the processor."""
    with MediaHost() as host:
        url = host.put("/a.jpg", (SAMPLES / "city.jpg").read_bytes())
        how = MediaSection(allow=["127.0.0.1"], ports=[host.port], per_host=64)
        async with Fetcher(how, guard(how)) as fetcher, Pool() as pool:
            lane = MediaLane(how, MODELS[REFERENCE], "chat", Places(how, fetcher), pool)
            media = (Media(kind="image", url=url),)
            request = Request(model=REFERENCE, dialect="chat", prompt="?", media=media, identity=media)
            left = iter(range(count))

            async def look() -> None:
                for _ in left:
                    await lane.prepare(request)

            began = time.perf_counter(), time.process_time()
            await asyncio.gather(*(look() for _ in range(how.concurrency)))
            return time.perf_counter() - began[0], time.process_time() - began[1]


# One function a step: it takes its name and how often to measure (1 or 3), and gives its figures.
STEPS: dict[str, Callable[[str, int], list[Figure]]] = {
    "picture, by size": by_size,
    "picture, by family": by_family,
    "picture, by shape": shapes,
    "picture, samples": samples,
    "looks": looks,
}


def main() -> int:
    """Run the steps; the exit status says whether every goal was met."""
    about = "What it takes to make media fit to send, and what that saves."
    return by_steps(about, STEPS, lambda name, quick: STEPS[name](name, 1 if quick else 3))


if __name__ == "__main__":
    sys.exit(main())
