"""Where price files lie: in `configs` of the folder in which the command runs, else in that of the installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mediascribe.pricing.book import load
from mediascribe.pricing.files import gateway_name

if TYPE_CHECKING:
    from mediascribe.pricing.book import PriceBook

_PACKAGE: Final = Path(__file__).parents[1]
_FOLDERS: Final = (Path("configs"), _PACKAGE / "configs", _PACKAGE.parent / "configs")


def in_force(base_url: str | None = None) -> PriceBook:
    """The price book of a job whose gateway is at *base_url*: what that gateway said of its prices is on top.

    Raises:
        ConfigError: a price file is wrong; the message names file and line.
    """
    pulled = found(gateway_file(base_url)) if base_url else None
    return load(found("prices.toml"), gateways=[pulled] if pulled else [])


def of_record() -> PriceBook:
    """The price book in which results are looked up: our own prices first, then those of every gateway.

    Raises:
        ConfigError: a price file is wrong; the message names file and line.
    """
    own = in_force()
    folders = [folder for folder in _FOLDERS if folder.is_dir()]
    pulled = {path.name: path for folder in reversed(folders) for path in sorted(folder.glob("prices-*.toml"))}
    if not pulled:
        return own
    others = load(gateways=list(pulled.values()))
    merged = {
        model: (*own.entries.get(model, ()), *others.entries.get(model, ()))
        for model in {**own.entries, **others.entries}
    }
    return type(own)(version=own.version, entries=merged)


def found(name: str) -> Path | None:
    """The file *name* where it is looked for; None where it is nowhere."""
    return next((folder / name for folder in _FOLDERS if (folder / name).is_file()), None)


def gateway_file(base_url: str) -> str:
    """The name of the file with what the gateway at *base_url* says of its prices."""
    return f"prices-{gateway_name(base_url)}.toml"


def home() -> Path:
    """The folder that new price files are written to."""
    return _FOLDERS[0]
