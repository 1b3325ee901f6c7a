"""Previews: pictures and players of media that lie in a folder of this machine, small enough to stand in a page.

Nothing is fetched: media at http(s) get none. A relative URL is looked for in the folder that the caller names, and
never outside of it.
"""

from __future__ import annotations

import base64
import io
import itertools
import mimetypes
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from PIL import Image

PIXELS: Final = 360  # of the longer side: a card is 290 wide
FILES_MOST: Final = 2_000
PLAYED_BYTES: Final = 256 * 2**10
TOTAL_BYTES: Final = 24 * 2**20
_QUALITY: Final = 72
_AT_ONCE: Final = 4
_TOGETHER: Final = 32
_PLAYED: Final = ("audio/", "video/")


def previews(media: Iterable[Sequence[str]], folder: Path) -> list[dict[str, str] | None]:
    """For each row's *media* URLs its `picture`, and its `player` where it is short, as data URLs; None for none.

    The first 2,000 files are looked at, until they come to 24 MiB.
    """
    root = folder.resolve()
    paths = [next((path for url in urls if (path := local(url, root))), None) for urls in media]
    files = dict(itertools.islice(((place, path) for place, path in enumerate(paths) if path), FILES_MOST))
    places = list(files)
    shown: list[dict[str, str] | None] = [None] * len(paths)
    total = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # decoding and encoding leave Python alone
        for start in range(0, len(places), _TOGETHER):
            together = places[start : start + _TOGETHER]
            for place, made in zip(together, pool.map(_preview, [files[at] for at in together]), strict=True):
                total += sum(map(len, made.values()))
                shown[place] = made if made and total <= TOTAL_BYTES else None
            if total > TOTAL_BYTES:
                break
    return shown


def local(url: str, root: Path) -> Path | None:
    """The file under *root* that the relative *url* means; None where it is none, or lies elsewhere."""
    try:
        parts = urlsplit(url)
        path = (root / unquote(parts.path).lstrip("/")).resolve()
    except ValueError:  # no URL; or a name with a zero byte
        return None
    if parts.scheme or parts.netloc or not path.is_relative_to(root):
        return None
    return path if path.is_file() else None


def _preview(path: Path) -> dict[str, str]:
    kind = mimetypes.guess_type(path.name)[0] or ""
    made = {}
    if kind.startswith(_PLAYED) and path.stat().st_size <= PLAYED_BYTES:
        made["player"] = _data_url(kind, path.read_bytes())
    if not kind.startswith("audio/") and (picture := _film_frame(path) if kind.startswith("video/") else _still(path)):
        made["picture"] = _data_url("image/webp", picture)
    return made


def _still(path: Path) -> bytes | None:
    """The picture at *path*, made small; None where it cannot be read as one."""
    from PIL import Image, ImageOps  # noqa: PLC0415 - for those who show pictures

    try:
        with Image.open(path) as image:
            image.draft("RGB", (PIXELS, PIXELS))  # a JPEG is decoded at the size that is needed
            return _small(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _film_frame(path: Path) -> bytes | None:
    """A frame from the middle of the film at *path*; None where it cannot be read."""
    import av  # noqa: PLC0415 - for those who show films

    try:
        with av.open(str(path)) as film:
            if film.duration:
                film.seek(film.duration // 2)
            for frame in film.decode(video=0):
                return _small(frame.to_image())  # type: ignore[no-untyped-call]  # av's types lack it
    except (av.FFmpegError, IndexError, ValueError):
        pass
    return None


def _small(image: Image.Image) -> bytes:
    has_holes = "A" in image.getbands() or "transparency" in image.info
    small = image.convert("RGBA" if has_holes else "RGB")
    small.thumbnail((PIXELS, PIXELS), reducing_gap=2.0)
    to = io.BytesIO()
    small.save(to, "WEBP", quality=_QUALITY, method=1)  # the quicker half of its efforts
    return to.getvalue()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
