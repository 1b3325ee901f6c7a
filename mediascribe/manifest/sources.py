"""Where a manifest lies: one file, a folder of files, or a pattern; plain, or packed with gzip or zstd.

Several files are one manifest, in the order of their names. All reading of bytes goes through this module; of what lies
in a bucket, through `objects`.
"""

from __future__ import annotations

import difflib
import glob
import gzip
import hashlib
import io
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, Literal, cast

import pyarrow as pa

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.manifest.objects import Remote

Format = Literal["csv", "jsonl", "parquet"]
Packing = Literal["gzip", "zstd"]

_ENDINGS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_PACKED: Final[dict[str, Packing]] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_BUFFER_BYTES: Final = 2**20
_PATTERN: Final = frozenset("*?[")
_BUCKET: Final = re.compile(r"(?i)(s3|gs|az)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of rows, on this machine or in a bucket, and how to read it."""

    path: Path | Remote
    format: Format
    delimiter: str = ","
    packing: Packing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of a manifest in the order of their names, all of one format; `path` is what the job names."""

    path: Path | str
    format: Format
    files: tuple[File, ...]

    def size_bytes(self) -> int:
        """The size of all files, as they lie there.

        Raises:
            ConfigError: a file is gone.
        """
        return sum(size for _, size, _ in self._states())

    def fingerprint(self) -> str:
        """A hash of every file's size and time of change (in a bucket: its version); of several, of their names too.

        Raises:
            ConfigError: a file is gone.
        """
        states = list(self._states())
        several = len(states) > 1
        said = [f"{name}:{size}:{version}" if several else f"{size}:{version}" for name, size, version in states]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def _states(self) -> Iterator[tuple[str, int, str]]:
        """The name, the size and what tells the version of each file, as they are now."""
        listed = []
        for file in self.files:
            if isinstance(file.path, Path):
                with readable(file):
                    state = file.path.stat()
                yield str(file.path), state.st_size, str(state.st_mtime_ns)
            else:
                listed.append(file.path)
        if listed:
            from mediascribe.manifest import remote  # noqa: PLC0415 - its client is for manifests in buckets only

            yield from ((str(one), one.size, one.version) for one in remote.now(listed))


def locate(path: str, told: Literal["auto", "csv", "jsonl", "parquet"] = "auto") -> Source:
    """The manifest at *path*: a file, a folder, or a pattern such as `rows/*.csv.gz` (`**`: in folders below too).

    In a bucket (`s3://`, `gs://`, `az://`) a folder ends with `/`. Each is read as *told*; `auto` goes by its ending,
    `.gz`, `.zst` or `.zstd` may stand behind that. In a folder, files of other endings, and names that begin with `.`
    or `_`, are no part of it.

    Raises:
        ConfigError: there is no such file, its ending says nothing, or the files are not of one format; or the bucket
            cannot be reached or read.
    """
    if _BUCKET.match(path):
        from mediascribe.manifest import remote  # noqa: PLC0415 - its client is for manifests in buckets only

        objects = [_file(one, told) for one in remote.files(path, lambda name: _belongs(name, told))]
        return Source(path=path, format=_one_format(path, objects), files=tuple(objects))
    named = Path(path)
    if named.is_file():
        files = [_file(named, told)]
    elif named.is_dir():
        files = [_file(one, told) for one in sorted(named.iterdir()) if _belongs(one.name, told) and one.is_file()]
        if not files:
            raise ConfigError(f"{path}: is a folder without a manifest file; known: {', '.join(_ENDINGS)}")
    elif _PATTERN & set(path) and "://" not in path:
        found = sorted(Path(one) for one in glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        files = [_file(one, told) for one in found if one.is_file()]
        if not files:
            raise ConfigError(f"{path}: no file matches this pattern")
    else:
        raise ConfigError(f"{path}: {_absent(named)}")
    return Source(path=named, format=_one_format(path, files), files=tuple(files))


@contextmanager
def readable(file: File) -> Iterator[None]:
    """Whatever says that *file* cannot be read, or breaks off, is a ConfigError that names it."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        packing = f", {file.packing}" if file.packing else ""
        raise ConfigError(f"{file.path}: cannot be read as {file.format}{packing}: {error}") from None


def open_bytes(file: File) -> IO[bytes]:
    """The bytes of *file*, unpacked."""
    path = file.path
    match file.packing:
        case "gzip":
            return cast("IO[bytes]", gzip.open(path if isinstance(path, Path) else path.open(), "rb"))
        case "zstd":
            packed = pa.OSFile(str(path), "rb") if isinstance(path, Path) else pa.PythonFile(path.open(), mode="r")
            unpacked = pa.CompressedInputStream(packed, "zstd")
            return io.BufferedReader(cast("io.RawIOBase", unpacked), _BUFFER_BYTES)
        case None:
            return path.open("rb") if isinstance(path, Path) else path.open()


def native(file: File) -> pa.NativeFile:
    """The bytes of *file* as they lie there, for Arrow, which may read anywhere in them."""
    return pa.OSFile(str(file.path), "rb") if isinstance(file.path, Path) else file.path.native()


def _belongs(name: str, told: str) -> bool:
    if not name or name[0] in "._":
        return False
    return told != "auto" or _ending(name)[0] in _ENDINGS


def _ending(name: str) -> tuple[str, Packing | None]:
    endings = [ending.lower() for ending in PurePosixPath(name).suffixes]
    packing = _PACKED.get("".join(endings[-1:]))
    return "".join(endings[-2:-1] if packing else endings[-1:]), packing


def _file(path: Path | Remote, told: Literal["auto", "csv", "jsonl", "parquet"]) -> File:
    ending, packing = _ending(path.name)
    chosen = _ENDINGS.get(ending) if told == "auto" else told
    if chosen is None:
        known = ", ".join(_ENDINGS)
        raise ConfigError(f"{path}: its ending tells no format; known: {known}; or set `format` in [manifest]")
    if packing and chosen == "parquet":
        raise ConfigError(f"{path}: Parquet inside {packing} is not read; unpack it (Parquet is compressed in itself)")
    return File(path=path, format=chosen, delimiter="\t" if ending == ".tsv" else ",", packing=packing)


def _one_format(path: str, files: list[File]) -> Format:
    first = files[0]
    for other in files:
        if other.format != first.format:
            raise ConfigError(
                f"{path}: {first.path.name} is {first.format} and {other.path.name} is {other.format}:"
                " name files of one format, with a pattern such as rows/*.csv"
            )
    return first.format


def _absent(file: Path) -> str:
    if "://" in str(file) or ":/" in str(file):
        return "is no file on this machine, and in no bucket (s3://, gs://, az://): copy the manifest here first"
    names = sorted(other.name for other in file.parent.glob("*")) if file.parent.is_dir() else []
    nearest = difflib.get_close_matches(file.name, names, n=1)
    return "there is no such file" + (f"; in {file.parent} there is: {nearest[0]}" if nearest else "")
