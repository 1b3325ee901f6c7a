"""A picture made fit to send: upright, in sRGB, without metadata, as large as the model sees, in a type that it takes.

Rules of this file:

- Blocking, for the processor: call it in `pool.Pool`. Equal bytes in give equal bytes out, with the same Pillow.
- A file that is fit already only loses its metadata (`strip.py`), its pixels untouched. Any other is made anew as JPEG,
  or as PNG where it was stored without loss and PNG is shorter, or at most twice as long in a picture of few colours.
- What cannot be opened, decoded or made small enough is a `MediaError`: nothing has been sent, and nothing is paid.
"""

from __future__ import annotations

import base64
import io
import math
import struct
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Failure
from mediascribe.errors import MediaError
from mediascribe.media import pixels, sizes
from mediascribe.media.strip import stripped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from mediascribe.job_sections import MediaSection
    from mediascribe.models import Model

# What is opened. No SVG, PDF, PostScript or icons; HEIC is beyond Pillow alone.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# What is sent: gif, bmp, tiff and avif are refused by the gateway or by models (gateway notes 2.3 and 3.1 to 3.4).
SENT: Final[Mapping[str, str]] = MappingProxyType(
    {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
)
# Bytes of one picture, in base64, that vendors take, by family (gateway notes 3.3 and 4.4).
VENDOR_BYTES: Final[Mapping[str, int]] = MappingProxyType({"claude": 5 * 10**6, "glm": 5 * 10**6, "qwen": 10**7})

QUALITIES: Final = (85, 75, 60, 45, 30)
DIVISORS: Final = (1, 2, 4, 8)  # of the sides, where no quality makes it short enough
_ANIMATED: Final = frozenset({"GIF", "WEBP", "PNG", "AVIF"})  # not the pages of a TIFF, nor what an MPO has beside
_LOSSLESS: Final = frozenset({"PNG", "GIF", "BMP", "TIFF"})
_DRAWN_BYTES_PER_PIXEL: Final = 0.5  # photographs have more, without loss
_PNG_MAY_BE_LONGER: Final = 2  # times, where there are few colours: lines and letters stay clean
_FRAMES_LEAST, _FRAMES_MOST = 2, 8
_FRAMES_TOLD_MOST: Final = 16  # pictures in a message (gateway notes 2.3)
_DECODED: Final = 4  # times `max_pixels`, of one animation
_BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """A medium to send with the request: its type, its bytes, and what they hold, as sent."""

    mime: str
    content: bytes
    width: int | None
    height: int | None
    seconds: float | None = None

    def data_url(self) -> str:
        """The medium as a data URL (RFC 2397)."""
        return f"data:{self.mime};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """For whom a picture is made fit, and the bytes that it may have."""

    model: Model | None
    section: MediaSection
    most_bytes: int

    def size(self, image: Image) -> tuple[int, int]:
        """How large *image* is to be."""
        return sizes.fitted(*image.size, model=self.model, section=self.section)

    def takes(self, mime: str) -> bool:
        """Whether the model takes *mime*; one of which nothing is known takes it."""
        types = [one for one in self.model.types if one.startswith("image/")] if self.model else []
        return not types or mime in types


def shrink(content: bytes, *, model: Model | None, section: MediaSection, most_bytes: int) -> Inline:
    """The picture in *content*, fit for *model*, in at most *most_bytes* (before base64); of an animation the first.

    Raises:
        MediaError: class `media`; code `corrupt`, `too_many_pixels` (`section.max_pixels`) or `too_large`.
    """
    fit = _fit(model, section, most_bytes)
    with _reading(content, section):
        image = _opened(content, section)
        if (same := _same(content, image, fit)) is not None:
            return same
    return _anew(content, image, fit)


def frames_of(content: bytes, *, model: Model | None, section: MediaSection, most_bytes: int) -> list[Inline]:
    """The frames of an animated picture that are worth sending, in order; of a still picture that alone.

    One a second, as Gemini reads films (gateway notes 4.1), or `section.fps`; 2 at least and 8 at most, since each is
    billed as a picture; or `section.frames`, up to 16. No more than `section.max_tokens` pays for. They are the middles
    of equal stretches of the animation, whose frames are taken to last as long as its first. It is the first frame
    alone for low detail, and for a model that takes one medium in a message. All together have at most *most_bytes*.

    Raises:
        MediaError: as `shrink` does.
    """
    with _reading(content, section):
        image = _opened(content, section)
        places = _places(image, model, section)
    if places == [0]:
        return [shrink(content, model=model, section=section, most_bytes=most_bytes)]
    fit = _fit(model, section, most_bytes // len(places))
    return [_anew(content, image, fit, at=at) for at in places]


def _fit(model: Model | None, section: MediaSection, most_bytes: int) -> _Fit:
    vendor = VENDOR_BYTES.get(model.family) if model else None
    return _Fit(model=model, section=section, most_bytes=min(most_bytes, vendor * 3 // 4) if vendor else most_bytes)


@contextmanager
def _reading(content: bytes, section: MediaSection) -> Iterator[None]:
    """What Pillow finds wrong with *content* is the picture's fault; its warnings are nobody's."""
    from PIL.Image import DecompressionBombError  # noqa: PLC0415 - takes a twentieth of a second

    with warnings.catch_warnings():  # of threads that meet here, at worst the filter for Pillow's outlives them
        warnings.filterwarnings("ignore", module=r"PIL\b")
        try:
            yield
        except DecompressionBombError:
            raise _too_many_pixels("more pixels than are ever decoded", section) from None
        except _BROKEN as error:
            found = f"the picture of {len(content):,} bytes cannot be read ({type(error).__name__})"
            message = f"{found}: it is cut, damaged, or none of {', '.join(FORMATS)}; put a good copy in its place"
            raise _refused("corrupt", message) from None


def _refused(code: str, message: str) -> MediaError:
    return MediaError(Failure(error_class="media", code=code, message=message, unasked=True))


def _too_many_pixels(found: str, section: MediaSection) -> MediaError:
    advice = f"above [media] max_pixels = {section.max_pixels:,}; raise that, or scale the picture down"
    return _refused("too_many_pixels", f"the picture has {found}, {advice}")


def _opened(content: bytes, section: MediaSection) -> ImageFile:
    """The picture, nothing of it decoded."""
    from PIL.Image import open as opened  # noqa: PLC0415 - likewise

    image = opened(io.BytesIO(content), formats=FORMATS)
    if math.prod(image.size) > section.max_pixels:
        raise _too_many_pixels(f"{image.width:,} x {image.height:,} pixels", section)
    return image


def _same(content: bytes, image: ImageFile, fit: _Fit) -> Inline | None:
    """The file as it is but for its metadata; None where it is not fit. It is decoded, to know that it is whole."""
    mime, size = SENT.get(str(image.format)), image.size
    if mime is None or not fit.takes(mime) or _frames(image) > 1 or fit.size(image) != size:
        return None
    bare = stripped(content, mime) if pixels.as_stored(image, content) else None
    if bare is None or len(bare) > fit.most_bytes:
        return None
    pixels.check(image)
    return Inline(mime=mime, content=bare, width=size[0], height=size[1])


def _frames(image: ImageFile) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1


def _places(image: ImageFile, model: Model | None, section: MediaSection) -> list[int]:
    """Which frames of an animation are sent, counted from 0; of a very large one, only of what is decoded."""
    frames = min(_frames(image), max(1, _DECODED * section.max_pixels // math.prod(image.size)))
    if frames == 1 or section.detail == "low" or (model and model.one_medium):
        return [0]
    wanted = min(frames, section.frames or _by_length(image, frames, section), _FRAMES_TOLD_MOST)
    weight = sizes.billed(*image.size, model=model, section=section)
    if section.max_tokens is not None and weight is not None:
        wanted = min(wanted, max(1, section.max_tokens // weight))
    return [(2 * number + 1) * frames // (2 * wanted) for number in range(wanted)]


def _by_length(image: ImageFile, frames: int, section: MediaSection) -> int:
    image.load()  # WebP and AVIF say it no sooner
    seconds = frames * float(image.info.get("duration") or 0) / 1000
    return min(max(_FRAMES_LEAST, math.ceil(seconds * (section.fps or 1))), _FRAMES_MOST)


def _anew(content: bytes, image: ImageFile, fit: _Fit, *, at: int = 0) -> Inline:
    """The picture, or its frame *at*, made anew."""
    with _reading(content, fit.section):
        if at:
            image.seek(at)
        seen, few = pixels.seen(image, fit.size(image))
    if _was_drawn(content, image, few=few):
        png = _png(seen)
        jpeg = _jpeg(pixels.on_white(seen), QUALITIES[0])
        if len(png.content) <= min(fit.most_bytes, len(jpeg.content) * (_PNG_MAY_BE_LONGER if few else 1)):
            return png
    return _short_enough(pixels.on_white(seen), fit)


def _was_drawn(content: bytes, image: ImageFile, *, few: bool) -> bool:
    """Whether PNG is worth a try: *image* is stored without loss, and in *few* colours or few bytes."""
    lossless = image.format in _LOSSLESS or (image.format == "WEBP" and b"VP8L" in content[:64])
    return lossless and (few or len(content) <= _DRAWN_BYTES_PER_PIXEL * math.prod(image.size))


def _short_enough(image: Image, fit: _Fit) -> Inline:
    """*image* as JPEG, as good and then as large as the bytes allow."""
    for divisor in DIVISORS:
        smaller = image if divisor == 1 else image.reduce(divisor)
        for quality in QUALITIES:
            made = _jpeg(smaller, quality)
            if len(made.content) <= fit.most_bytes:
                return made
    found = f"the picture has {len(made.content):,} bytes at an eighth of its size"
    raise _refused("too_large", f"{found}, and {fit.most_bytes:,} are left for it; raise [media] max_body_bytes")


def _jpeg(image: Image, quality: int) -> Inline:
    return _stored(image, "JPEG", quality=quality)


def _png(image: Image) -> Inline:
    return _stored(image, "PNG")


def _stored(image: Image, name: str, **options: int) -> Inline:
    image.info.clear()  # or a comment would be written again
    stored = io.BytesIO()
    image.save(stored, name, **options)
    return Inline(mime=SENT[name], content=stored.getvalue(), width=image.width, height=image.height)
