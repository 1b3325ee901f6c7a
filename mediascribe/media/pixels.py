"""A stored picture becomes pixels as they are to be seen: upright, in sRGB, 8 bits a channel, no larger than wanted.

Rules of this file:

- In: what Pillow has opened. Out: greyscale, RGB, or RGBA where something shows through; nothing else is attached.
- Scaled first, then turned and recoloured: what is costly is done to few pixels. JPEG is scaled while it is decoded,
  as far as the wanted size: half the time of stopping at twice that, and hardly to be told apart.
- Metadata that cannot be read count as not there: they are no reason to leave a picture out.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

FEW_COLOURS: Final = 256
_ORIENTATION: Final = 0x0112  # the tag of EXIF
_PNG_BITS_AT: Final = 24
_GAP: Final = 2.0  # the quick reduction stops at twice the wanted size; the rest is done well
_PLAIN_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_DEEP_MODES: Final = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_UNREADABLE: Final = (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error)


def as_stored(image: ImageFile, content: bytes) -> bool:
    """Whether the pixels of *image* are stored as they are to be seen; *content* is its file."""
    deep = image.format == "PNG" and content[_PNG_BITS_AT] > 8  # noqa: PLR2004 - bits a channel
    return image.mode in _PLAIN_MODES and not deep and _orientation(image) == 1 and _profile(image) is None


def check(image: ImageFile) -> None:
    """Decode *image*, JPEG at an eighth of its size, to know that it is whole; what is wrong is raised by Pillow."""
    image.draft(None, (1, 1))
    image.load()


def seen(image: ImageFile, size: tuple[int, int]) -> tuple[Image, bool]:
    """*image* as it is to be seen, of *size* (before it is turned upright); and whether it has few colours."""
    from PIL.Image import Resampling  # noqa: PLC0415 - takes a twentieth of a second

    drafted = image.draft(None, size)
    image.load()
    plain = _plain(image)
    few = plain.getcolors(FEW_COLOURS) is not None
    if plain.size != size:
        box = drafted[1] if drafted else None
        plain = plain.resize(size, Resampling.BICUBIC, box=box, reducing_gap=_GAP)
    return _opaque(_turned(_recoloured(plain, image), _orientation(image))), few


def on_white(image: Image) -> Image:
    """*image* with nothing showing through: what did is white."""
    from PIL.Image import alpha_composite, new  # noqa: PLC0415 - likewise

    if image.mode != "RGBA":
        return image
    return alpha_composite(new("RGBA", image.size, "white"), image).convert("RGB")


def _plain(image: Image) -> Image:
    """*image* in a mode that can be scaled: L, RGB, RGBA or CMYK."""
    if image.mode in _DEEP_MODES:
        return _shallow(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB", "CMYK"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _shallow(image: Image) -> Image:
    """16 bits made 8; other numbers, which have no fixed range, stretched over it."""
    import numpy as np  # noqa: PLC0415 - likewise
    from PIL.Image import fromarray  # noqa: PLC0415 - likewise

    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (float(values.min()), float(values.max()))
    return fromarray(((values - low) * (255.0 / ((high - low) or 1.0))).round().astype(np.uint8))


def _orientation(image: Image) -> int:
    """How the pixels are to be turned, 1 to 8; 1: not at all."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except _UNREADABLE:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1  # noqa: PLR2004 - as EXIF numbers them


def _turned(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose  # noqa: PLC0415 - likewise

    turns = (
        *(Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
        *(Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90),
    )
    return image if orientation == 1 else image.transpose(turns[orientation - 2])


def _profile(image: Image) -> bytes | None:
    """The colour profile of *image*, if it has one that can be read and is not that of sRGB."""
    from PIL.ImageCms import ImageCmsProfile  # noqa: PLC0415 - likewise

    found = image.info.get("icc_profile")
    try:
        name = ImageCmsProfile(io.BytesIO(found)).profile.profile_description if found else "sRGB"
    except _UNREADABLE:
        return None
    return None if name and "srgb" in name.lower() else found


def _recoloured(image: Image, stored: Image) -> Image:
    """*image* in the colours of sRGB, if the profile of *stored* is of its kind of colours; and never in CMYK."""
    from PIL import ImageCms  # noqa: PLC0415 - likewise

    wanted = "RGB" if image.mode == "CMYK" else image.mode
    if (profile := _profile(stored)) is not None:
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            mode = "RGBA" if image.mode == "RGBA" else "RGB"
            image = ImageCms.profileToProfile(image, source, target, outputMode=mode) or image
        except ImageCms.PyCMSError:  # a profile of other colours than the picture has
            pass
    return image if image.mode == wanted else image.convert(wanted)


def _opaque(image: Image) -> Image:
    """*image* without its transparency, if nothing shows through."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image
