"""Whether a medium that was looked at may be sent: by its kind, its type, its size and its length.

Rules of this file:

- Only what is sure to be refused, or paid for nothing, is held back; what is not known of a medium holds nothing back.
- Each rule names the section of the gateway notes that it comes from; where that leaves a doubt ("5 MB"), the larger
  number holds. The rules of vendors whose words were not seen (OpenAI's sizes, Gemini's lengths) are left to them.
- What `[media] mode = "inline"` makes fit (types, bytes, sides, lengths) is no reason there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.media.look import unasked

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import Failure, MediaKind
    from mediascribe.job_sections import MediaSection
    from mediascribe.media.look import Looked
    from mediascribe.models import Model

_MIB: Final = 2**20
GATEWAY_BYTES: Final = 20 * _MIB  # 2.3: what the gateway downloads of one URL
DOWNLOADED: Final = frozenset({"gemini", "claude"})  # 2.3: families whose media the gateway itself downloads
# 2.3: the types that the gateway lets through to Gemini, by the words of the host that it downloads from.
GEMINI_TYPES: Final = frozenset(
    {"image/png", "image/jpeg", "image/webp", "audio/mpeg", "audio/mp3", "audio/wav"}
    | {f"video/{name}" for name in ("mov", "mpeg", "mp4", "mpg", "avi", "wmv", "mpegps", "flv")}
)
_OCTETS: Final = "application/octet-stream"  # 2.3: then the ending of the URL says the type
# What hosts may call these, as far as the list above has it: their usual names are not in it (trap 6).
_LISTED_AS: Final = {"video/x-msvideo": "video/avi", "video/x-ms-wmv": "video/wmv", "video/x-flv": "video/flv"}
# What the inline lane can open and write anew.
REWRITABLE: Final = frozenset(
    {f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "jp2")}
    | {"image/vnd.microsoft.icon", "image/vnd.adobe.photoshop"}
)
_IMAGE_BYTES: Final[dict[str | None, int]] = {"claude": 5 * _MIB, "glm": 5 * _MIB}  # 3.3, 4.4
_SIDES: Final[dict[str | None, int]] = {"claude": 8000, "glm": 6000}  # 3.3, 4.4
_QWEN_VL: Final = re.compile(r"qwen.*-vl|qvq")
_QWEN_VL_SHORT: Final = re.compile(r"qwen2\.5-vl|qvq")  # whose films may be half as long and large
_QWEN_SIDE: Final = 10
_QWEN_RATIO: Final = 200
_QWEN_LEAST_S: Final = 2
_QWEN_MOST_S: Final = 1200
_INLINE: Final = '[media] mode = "inline"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One medium on its way. `is_made_fit`: the inline lane writes it anew, as the model wants it."""

    looked: Looked
    kind: MediaKind
    model: Model | None
    section: MediaSection
    sends_inline: bool
    total_bytes: int | None
    content_type: str | None
    dialect: str

    @property
    def is_made_fit(self) -> bool:
        return self.sends_inline and self.section.mode == "inline"

    @property
    def family(self) -> str | None:
        return self.model.family if self.model else None

    @property
    def is_rewritable(self) -> bool:
        """Whether the inline lane can open it."""
        return self.looked.kind != "image" or self.looked.mime in REWRITABLE

    @property
    def is_cut(self) -> bool:
        """Whether the inline lane sends it in pieces."""
        return self.is_made_fit and self.section.split_s is not None

    @property
    def seconds(self) -> float | None:
        """How long what is sent of it lasts."""
        seconds, clip = self.looked.seconds, self.section.clip_s
        if seconds is None or clip is None or not self.is_made_fit:
            return seconds
        return max(0.0, min(seconds, clip[1]) - clip[0])

    @property
    def is_qwen_vl(self) -> bool:
        return self.model is not None and bool(_QWEN_VL.match(self.model.name.lower()))

    @property
    def is_downloaded(self) -> bool:
        """Whether the gateway itself fetches the URL (2.3); it does not in Gemini's own dialect (3.4)."""
        return not self.sends_inline and self.family in DOWNLOADED and self.dialect != "generate_content"


def unfit(  # noqa: PLR0913 - the medium, where it goes, and how it travels
    looked: Looked,
    kind: MediaKind,
    *,
    model: Model | None,
    section: MediaSection,
    sends_inline: bool,
    total_bytes: int | None,
    content_type: str | None = None,
    dialect: str = "chat",
) -> Failure | None:
    """Why a medium that stands in a column of *kind* may not be sent to *model*; None: nothing speaks against it.

    *sends_inline*: as a data URL, rewritten first where the job's mode is `inline`; else by its URL, of which
    *content_type* is what its host says.
    """
    case = _Case(
        looked=looked,
        kind=kind,
        model=model,
        section=section,
        sends_inline=sends_inline,
        total_bytes=total_bytes,
        content_type=content_type and content_type.partition(";")[0].strip().lower(),
        dialect=dialect,
    )
    return next((failure for rule in _RULES if (failure := rule(case))), None)


def _kind(case: _Case) -> Failure | None:
    if case.looked.kind == case.kind:
        return None
    names = f"its row says {case.kind}, and its bytes are {case.looked.kind} ({case.looked.mime})"
    return unasked("wrong_kind", f"{names}; put it into a column of {case.looked.kind}s")


def _model_type(case: _Case) -> Failure | None:
    """Types that the model's table does not have (3.1, 3.3, 4.4)."""
    looked = case.looked
    allowed = {name for name in case.model.types if name.startswith(looked.kind)} if case.model else set()
    if not case.model or not allowed or looked.mime in allowed or (case.is_made_fit and case.is_rewritable):
        return None
    return _mistyped(case, f"`{case.model.name}` takes no {looked.mime}", allowed)


def _gateway_type(case: _Case) -> Failure | None:
    """2.3: the gateway goes by what the host says, and has a list of what it passes on to Gemini."""
    if not case.is_downloaded or case.family != "gemini":
        return None
    mime = case.looked.mime
    said = case.content_type if case.content_type not in {None, "", _OCTETS} else _LISTED_AS.get(mime, mime)
    if said in GEMINI_TYPES:
        return None
    name = mime if said == mime else f"{mime} that its host calls {said}"
    takes = {name for name in GEMINI_TYPES if name.startswith(case.looked.kind)}
    return _mistyped(case, f"the gateway passes no {name} on to Gemini by URL", takes)


def _animated(case: _Case) -> Failure | None:
    """3.1: OpenAI takes no animated GIF."""
    if not case.model or case.family != "openai" or case.looked.mime != "image/gif" or case.is_made_fit:
        return None
    return _mistyped(case, f"`{case.model.name}` takes no animated GIF", set()) if case.looked.frames else None


def _mistyped(case: _Case, why: str, allowed: set[str]) -> Failure:
    takes = f" (it takes {', '.join(sorted(allowed))})" if allowed else ""
    advice = f"{_INLINE} re-encodes it" if case.is_rewritable and not case.is_made_fit else "convert it"
    return unasked("wrong_type", f"{why}{takes}; {advice}")


def _job_bytes(case: _Case) -> Failure | None:
    most = case.section.max_bytes
    return _heavy(case, most, "and [media] max_bytes is", "raise that, or leave it out")


def _gateway_bytes(case: _Case) -> Failure | None:
    """2.3: what the gateway downloads of one URL, unless the operator has raised it."""
    if not case.is_downloaded:
        return None
    return _heavy(case, GATEWAY_BYTES, "and of a URL the gateway downloads", f"{_INLINE} sends less of it")


def _vendor_bytes(case: _Case) -> Failure | None:
    """3.3 and 4.4: what the vendor takes of one medium."""
    if not case.model or case.is_made_fit:
        return None
    most = _IMAGE_BYTES.get(case.family) if case.looked.kind == "image" else None
    if case.is_qwen_vl:
        most = _qwen_bytes(case, case.model)
    limit = f"and `{case.model.name}` takes"
    return None if most is None else _heavy(case, most, limit, f"{_INLINE} sends less of it")


def _qwen_bytes(case: _Case, model: Model) -> int:
    """4.4: 10 MB of a picture, as of any base64 text; of a film by URL 2 GB, or 1 GB."""
    if case.sends_inline:
        return 10 * _MIB * 3 // 4
    if case.looked.kind == "image":
        return 10 * _MIB
    return (1 if _QWEN_VL_SHORT.match(model.name.lower()) else 2) * 1024 * _MIB


def _heavy(case: _Case, most: int, limit: str, advice: str) -> Failure | None:
    if case.total_bytes is None or case.total_bytes <= most:
        return None
    return unasked("too_large", f"it has {case.total_bytes:,} bytes, {limit} {most:,}; {advice}")


def _pixels(case: _Case) -> Failure | None:
    width, height = case.looked.width or 0, case.looked.height or 0
    if width * height <= case.section.max_pixels:
        return None
    size = f"it has {width} x {height} pixels"
    return unasked("too_many_pixels", f"{size}, and [media] max_pixels is {case.section.max_pixels:,}; raise that")


def _sides(case: _Case) -> Failure | None:
    """3.3: Claude takes pictures up to 8000 x 8000; 4.4: GLM up to 6000 x 6000."""
    most = _SIDES.get(case.family) if case.looked.kind == "image" else None
    width, height = case.looked.width or 0, case.looked.height or 0
    if not case.model or case.is_made_fit or most is None or max(width, height) <= most:
        return None
    size = f"it has {width} x {height} pixels, and `{case.model.name}` takes {most} x {most}"
    return unasked("too_many_pixels", f"{size}; {_INLINE} shrinks it")


def _shape(case: _Case) -> Failure | None:
    """4.4: Qwen-VL takes pictures with sides of more than 10 pixels, the longer at most 200 times the shorter."""
    width, height = case.looked.width, case.looked.height
    if not case.model or not case.is_qwen_vl or case.looked.kind != "image" or width is None or height is None:
        return None
    size = f"it has {width} x {height} pixels, and `{case.model.name}` wants"
    if min(width, height) <= _QWEN_SIDE:
        return unasked("too_small", f"{size} more than {_QWEN_SIDE} on each side; enlarge it")
    if max(width, height) > _QWEN_RATIO * min(width, height):
        return unasked("too_narrow", f"{size} a longer side of at most {_QWEN_RATIO} times the shorter; cut it")
    return None


def _job_length(case: _Case) -> Failure | None:
    most = case.section.max_seconds
    if most is None or case.seconds is None or case.seconds <= most or case.is_cut:
        return None
    said = f"it lasts {case.seconds:,.1f} s, and [media] max_seconds is {most:g}"
    return unasked("too_long", f'{said}; with [media] split_s = {most:g} and mode = "inline" it is cut into pieces')


def _vendor_length(case: _Case) -> Failure | None:
    """4.4: Qwen-VL takes films of 2 s to 20 min, Qwen2.5-VL to 10 min."""
    if not case.model or not case.is_qwen_vl or case.looked.kind != "video" or case.seconds is None:
        return None
    most = _QWEN_MOST_S // 2 if _QWEN_VL_SHORT.match(case.model.name.lower()) else _QWEN_MOST_S
    said = f"it lasts {case.seconds:,.1f} s, and `{case.model.name}` takes {_QWEN_LEAST_S} to {most} s"
    if case.seconds < _QWEN_LEAST_S:
        return unasked("too_short", f"{said}; send a picture of it, or choose another model")
    if case.seconds > most and not (case.is_cut and (case.section.split_s or 0) <= most):
        return unasked("too_long", f'{said}; with [media] split_s = {most} and mode = "inline" it is cut into pieces')
    return None


_RULES: Final[tuple[Callable[[_Case], Failure | None], ...]] = (
    *(_kind, _model_type, _gateway_type, _animated),
    *(_job_bytes, _gateway_bytes, _vendor_bytes),
    *(_pixels, _sides, _shape, _job_length, _vendor_length),
)
