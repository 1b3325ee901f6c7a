"""What the pictures are painted with: planes of numbers from 0 to 1, fractal noise, colour ramps, masks.

A plane is an array of (height, width), a picture one of (height, width, 3); sizes are (width, height), as Pillow has
them.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageFilter

Plane: TypeAlias = NDArray[np.float64]
Size: TypeAlias = tuple[int, int]


def grid(size: Size) -> tuple[Plane, Plane]:
    """The x and y of every pixel, each from 0 (left, top) to 1 (right, bottom)."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return x, y


def noise(seed: int, size: Size, cells: tuple[float, float], octaves: int = 5) -> Plane:
    """Fractal noise from 0 to 1 whose coarsest octave has *cells* (across, down); each next one is finer by half."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0]))
    for octave in range(octaves):
        across, down = (max(1, round(count * 2**octave)) + 1 for count in cells)
        coarse = Image.fromarray(rng.random((down, across)).astype(np.float32))
        total += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float64) / 2**octave
    return (total - total.min()) / (np.ptp(total) or 1.0)


def ramp(values: Plane, *colours: str) -> Plane:
    """*values* from 0 to 1 as a mixture of *colours* (hex), which stand at equal distances."""
    stops = np.array([ImageColor.getrgb(colour)[:3] for colour in colours]) / 255
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, places, stops[:, channel]) for channel in range(3)], axis=-1)


def flat(colour: str) -> Plane:
    """One colour, fit to be mixed into any picture."""
    return ramp(np.zeros((1, 1)), colour, colour)


def step(low: float, high: float, values: Plane) -> Plane:
    """0 below *low*, 1 above *high*, a smooth slope between; turned round where *low* is the greater."""
    slope = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(slope * slope * (3 - 2 * slope))


def mix(under: Plane, over: Plane, mask: Plane) -> Plane:
    """*over* laid on *under* where *mask* is 1."""
    return np.asarray(under + (over - under) * mask[..., None])


def glow(size: Size, centre: tuple[float, float], radius: float) -> Plane:
    """A round light that fades from 1 at *centre*; *radius* is a share of the height."""
    x, y = grid(size)
    across = (x - centre[0]) * size[0] / size[1]
    return np.exp(-(across**2 + (y - centre[1]) ** 2) / radius**2)


def stars(rng: np.random.Generator, size: Size, share: float) -> Plane:
    """A sky in which a *share* of the pixels are stars of any brightness."""
    shape = (size[1], size[0])
    return np.asarray((rng.random(shape) < share) * rng.random(shape))


def blur(picture: Plane, radius: float) -> Plane:
    """*picture* out of focus by *radius* pixels."""
    return np.asarray(image(picture).filter(ImageFilter.GaussianBlur(radius)), np.float64) / 255


def photo(picture: Plane, *, grain: float = 0.008, vignette: float = 0.35) -> Image.Image:
    """*picture* as a camera gives it: with film grain, and darker towards the corners."""
    height, width = picture.shape[:2]
    x, y = grid((width, height))
    corner = 1 - vignette * ((x - 0.5) ** 2 + (y - 0.5) ** 2) ** 1.5 * 2
    rng = np.random.default_rng(1)
    return image(picture * corner[..., None] + rng.normal(0, grain, (height, width, 1)))


def image(picture: Plane) -> Image.Image:
    """*picture* as 8-bit RGB."""
    return Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))
