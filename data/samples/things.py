"""The photograph-like pictures of things near by or at night, painted from seeded noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from pixels import Plane, Size, blur, flat, glow, grid, image, mix, noise, photo, ramp, stars, step

if TYPE_CHECKING:
    from collections.abc import Iterator

BLADES = ((0.3, 0.32, 0.22), (0.52, -0.22, 0.42), (0.68, 0.2, 0.55))  # foot, lean, tip of each blade of grass
DROP = (
    (0, 1, "#dff5c8", 0.4),
    (0.3, 0.35, "#ffffff", 0.35),
    (-0.38, 0.3, "#ffffff", 1),
)  # shift, size, colour, opacity


def bokeh(size: Size = (800, 600)) -> Image.Image:
    """Dew on blades of grass, the lights behind them out of focus."""
    rng = np.random.default_rng(61)
    x, y = grid(size)
    picture = ramp(0.6 * noise(62, size, (2, 2), 2) + 0.4 * (1 - y), "#0c1f14", "#2d5a2b", "#9a9a3a", "#e8b860")
    across = x * size[0] / size[1]
    for _ in range(60):
        cx, cy, radius = rng.uniform(0, 1.34), rng.beta(1.6, 2.2), rng.uniform(0.02, 0.085)
        distance = np.hypot(across - cx, y - cy) / radius
        disc = step(1.03, 0.95, distance) * (0.6 + 0.4 * step(0.7, 1, distance))
        colour = ramp(np.full((1, 1), rng.random()), "#ffe9a8", "#ffb25e", "#d9f08a", "#8fe3c0")
        picture = 1 - (1 - picture) * (1 - disc[..., None] * colour * rng.uniform(0.12, 0.5))
    return photo(_dew(_blades(blur(picture, 2)), rng))


def _blades(picture: Plane) -> Plane:
    size = (picture.shape[1], picture.shape[0])
    x, y = grid(size)
    for foot, lean, top in BLADES:
        up = (1 - y) / (1 - top)
        middle, half = foot + lean * np.clip(up, 0, 1) ** 2, 0.022 * np.clip(1 - up, 0, 1) ** 0.6
        side = (x - middle) / np.maximum(half, 1e-4)
        blade = ramp(0.5 + 0.5 * side, "#3f7a2a", "#a9d65a", "#2f6424")
        picture = mix(picture, blade, step(1.05, 0.9, np.abs(side)) * (up < 1))
    return picture


def _dew(picture: Plane, rng: np.random.Generator) -> Plane:
    height, width = picture.shape[:2]
    x, y = grid((width, height))
    for foot, lean, top in BLADES:
        for up in rng.uniform(0.25, 0.95, 5):
            right, down = (x - foot - lean * up**2) * width / height, y - 1 + up * (1 - top)
            radius = rng.uniform(0.012, 0.03)
            for shift, size, light, share in DROP:
                distance = np.hypot(right - shift * radius, down - shift * radius) / (size * radius)
                picture = mix(picture, flat(light), step(1, 0.7, distance) * share)
    return picture


def portrait(size: Size = (480, 640)) -> Image.Image:
    """A person out of focus before a warm wall; upright."""
    x, y = grid(size)
    wall = ramp(0.6 * noise(71, size, (2, 2), 3) + 0.4 * x, "#2b3a42", "#56707a", "#c8a27a")
    canvas = image(wall)
    draw = ImageDraw.Draw(canvas)
    for box, colour in (
        ((0.28, 0.14, 0.74, 0.66), "#2c1b14"),
        ((0.06, 0.72, 0.94, 1.5), "#7a2f36"),
        ((0.4, 0.5, 0.6, 0.82), "#b57a5c"),
        ((0.34, 0.2, 0.66, 0.64), "#d9a07c"),
        ((0.3, 0.13, 0.7, 0.33), "#2c1b14"),
        ((0.4, 0.395, 0.47, 0.42), "#4a2c22"),
        ((0.53, 0.395, 0.6, 0.42), "#4a2c22"),
        ((0.44, 0.53, 0.56, 0.56), "#a5544a"),
        ((0.48, 0.43, 0.53, 0.5), "#c88f6c"),
    ):
        draw.ellipse([share * side for share, side in zip(box, size * 2, strict=True)], fill=colour)
    soft = blur(np.asarray(canvas, np.float64) / 255, 6)
    light = 1.25 - 0.75 * step(0.25, 0.85, x + 0.06 * np.sin(6 * y))
    return photo(soft * light[..., None] + glow(size, (0.1, 0.2), 0.5)[..., None] * flat("#4a3018"), vignette=0.6)


def city(size: Size = (1024, 576)) -> Image.Image:
    """A skyline at night, its windows lit, mirrored in a river."""
    rng = np.random.default_rng(81)
    shore = round(size[1] * 0.74)
    _, y = grid((size[0], shore))
    above = (
        ramp(y, "#070b1f", "#141a3c", "#3a2f5a", "#8a5560") + 0.05 * noise(82, (size[0], shore), (3, 5), 4)[..., None]
    )
    above = mix(
        above,
        flat("#fdf6dc"),
        step(0.047, 0.042, np.hypot((grid((size[0], shore))[0] - 0.16) * size[0] / shore, y - 0.2)),
    )
    for layer, (wall, lit) in enumerate((("#2b2748", 0.2), ("#191b35", 0.34), ("#0b0d1c", 0.42))):
        for left, top, width in _towers(rng, layer, (size[0], shore)):
            above[top:, left : left + width] = flat(wall)
            _light_windows(above[top:, left : left + width], rng, lit)
    above += blur(np.clip(above - 0.35, 0, 1), 9) * 2.5
    river = above[::-1][: size[1] - shore]
    _, depth = grid((size[0], size[1] - shore))
    shift = ((noise(83, (size[0], size[1] - shore), (3, 40), 3) - 0.5) * 34 * (0.3 + depth)).astype(int)
    columns = np.clip(np.arange(size[0]) + shift, 0, size[0] - 1)
    river = blur(np.take_along_axis(river, np.repeat(columns[..., None], 3, 2), 1), 1.5)
    return photo(np.concatenate([above, river * 0.7 + flat("#060a18") * 0.4]))


def _towers(rng: np.random.Generator, layer: int, size: Size) -> Iterator[tuple[int, int, int]]:
    left = -10
    while left < size[0]:
        width = 6 * int(rng.integers(5, 13))
        centre = np.exp(-(((left / size[0] - 0.58) / 0.28) ** 2))
        tall = (0.2 + 0.5 * centre * rng.uniform(0.4, 1)) * (1.05, 0.85, 0.5)[layer] + rng.uniform(0, 0.08)
        yield max(left, 0), round(size[1] * (1 - tall)), width
        left += width + int(rng.integers(-12, 14))


def _light_windows(wall: Plane, rng: np.random.Generator, share: float) -> None:
    rows, columns = wall.shape[0] // 7, wall.shape[1] // 6
    for row, column in np.argwhere(rng.random((rows, columns)) < share):
        colour = ramp(np.full((1, 1), rng.random()), "#ffdf95", "#ffb45a", "#fff3d0", "#a9c8ff") * rng.uniform(0.6, 1.1)
        wall[row * 7 + 3 : row * 7 + 6, column * 6 + 2 : column * 6 + 5] = colour


def moon(size: Size = (600, 600)) -> Image.Image:
    """The moon, three quarters lit; greyscale."""
    rng = np.random.default_rng(151)
    x, y = grid(size)
    u, v = (x - 0.5) / 0.38, (y - 0.5) / 0.38
    ground = 0.5 * noise(152, size, (4, 4), 7) + 0.05 * noise(153, size, (30, 30), 4)
    for _ in range(140):
        cx, cy, radius = rng.uniform(-1, 1), rng.uniform(-1, 1), 0.012 + 0.13 * rng.random() ** 6
        distance = np.hypot(u - cx, v - cy) / radius
        ground += 0.35 * radius * (np.exp(-(((distance - 1) / 0.18) ** 2)) - 1.5 * step(1, 0.6, distance)) * 4
    relief = np.gradient(ground, axis=1) * 20 + np.gradient(ground, axis=0) * 9
    z = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    light = np.clip(-0.62 * u - 0.2 * v + 0.76 * z, 0, 1) ** 0.8
    maria = 0.55 + 0.45 * step(0.35, 0.6, noise(154, size, (3, 3), 5))
    disc = light * maria * np.clip(0.85 - relief, 0.1, 1.5) * step(1.006, 0.994, np.hypot(u, v))
    space = stars(rng, size, 0.0015) * step(1.01, 1.03, np.hypot(u, v))
    return image(np.repeat((disc + space + 0.015)[..., None], 3, 2)).convert("L")


def oranges(size: Size = (600, 450)) -> Image.Image:
    """Three oranges on a blue cloth, for print: CMYK."""
    x, y = grid(size)
    weave = 0.03 * np.sin(x * size[0] * 1.1) * np.sin(y * size[1] * 1.1)
    fold = noise(161, size, (3, 4), 3) * 0.5 + 0.5 * y
    picture = ramp(np.clip(fold + weave, 0, 1), "#142a52", "#2f5a9a", "#7aa6d8")
    balls = ((0.36, 0.47, 0.21), (0.83, 0.5, 0.22), (0.6, 0.64, 0.25))
    across = x * size[0] / size[1]
    for cx, cy, radius in balls:
        shadow = np.exp(
            -(((across - cx - 0.1) / (radius * 1.2)) ** 2) - ((y - cy - radius * 0.8) / (radius * 0.45)) ** 2
        )
        picture *= 1 - 0.75 * shadow[..., None]
    for number, (cx, cy, radius) in enumerate(balls):
        u, v = (across - cx) / radius, (y - cy) / radius
        z = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
        pores = np.gradient(noise(162 + number, size, (70, 52), 2), axis=1) * 1.1
        light = np.clip(-0.5 * u - 0.6 * v + 0.62 * z + pores, 0, 1)
        peel = ramp(0.12 + 0.88 * light, "#4a1600", "#c95a08", "#ff9a1c", "#ffc04a")
        peel = mix(peel, flat("#fff4dc"), np.clip(-0.34 * u - 0.5 * v + 0.8 * z + 0.3 * pores, 0, 1) ** 40 * 0.8)
        picture = mix(picture, peel, step(1.01, 0.985, np.hypot(u, v)))
    return photo(picture).convert("CMYK")


def aurora(size: Size = (384, 256)) -> Image.Image:
    """Northern lights over firs."""
    rng = np.random.default_rng(181)
    x, y = grid(size)
    picture = ramp(y, "#050a1e", "#0a1a38", "#123048")
    picture += stars(rng, size, 0.004)[..., None] * 0.9
    for seed, foot, colour in ((182, 0.62, "#39e08a"), (186, 0.5, "#2fc0b0"), (190, 0.4, "#a050d0")):
        edge = foot + 0.22 * (noise(seed, (size[0], 1), (3, 0), 3) - 0.5)
        folds = 0.35 + 0.65 * noise(seed + 1, (size[0], 1), (26, 0), 3)
        curtain = np.exp(-np.clip(edge - y, 0, 1) / 0.16) * step(0.03, 0, y - edge) * folds
        picture = 1 - (1 - picture) * (1 - curtain[..., None] * flat(colour) * 0.75)
    for centre in rng.uniform(0, 1, 26):
        top, width = rng.uniform(0.68, 0.86), rng.uniform(0.03, 0.06)
        saw = np.mod((y - top) * 22, 1) * 0.35 + 0.65
        picture = mix(
            picture, flat("#03070c"), step(0, 0.004, (y - top) * width * 3 * saw - np.abs(x - centre)) * (y > top)
        )
    return image(mix(picture, flat("#03070c"), step(0.93, 0.94, y)))
