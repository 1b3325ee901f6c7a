"""The photograph-like landscapes, painted from seeded noise."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from pixels import Plane, Size, flat, glow, grid, mix, noise, photo, ramp, step

SUN = (0.62, 0.53)  # shares of the width and the height
CLOUD_SHIFT = 16  # pixels between a cloud and its shadow


def lake(size: Size = (960, 640)) -> Image.Image:
    """Snowy mountains over a lake that mirrors them."""
    shore = round(size[1] * 0.6)
    above = _mountains((size[0], shore))
    x, y = grid((size[0], size[1] - shore))
    waves = noise(5, (size[0], size[1] - shore), (6, 40), 4) - 0.5
    rows = shore - 2 - np.clip(y * (size[1] - shore) + waves * 60 * y, 0, shore - 2).astype(int)
    columns = np.clip(x * (size[0] - 1) + waves * 30 * y, 0, size[0] - 1).astype(int)
    water = above[rows, columns] * 0.72 + flat("#16303c") * 0.25
    water = mix(water, flat("#0c2530"), step(0, 1.3, y)) + (waves * (0.04 + 0.16 * y))[..., None]
    water[:3] = water[:3] * 0.5 + flat("#dfe8e4") * 0.25
    return photo(np.concatenate([above, water]))


def _mountains(size: Size) -> Plane:
    x, y = grid(size)
    picture = ramp(y, "#3d74b5", "#7fabd2", "#d5e3ea")
    cloud = noise(11, size, (3, 7), 6)
    picture = mix(picture, flat("#fbf7f0"), step(0.5, 0.85, cloud) * 0.9)
    for seed, top, rise, near, far in (
        (21, 0.42, 0.42, "#7d93ab", "#a9bccb"),
        (24, 0.58, 0.5, "#4b6076", "#71879a"),
        (33, 0.83, 0.3, "#21382f", "#35503f"),
    ):
        crest = top - rise * (noise(seed, (size[0], 1), (4, 0), 8) - 0.45)
        rock = noise(seed + 1, size, (5, 3), 7)
        light = np.clip(0.5 + 5 * (np.gradient(rock, axis=1) + 0.4 * np.gradient(rock, axis=0)) * size[0] / 100, 0, 1)
        slope = ramp(light, near, far)
        snow = step(0.13, 0.1, y - crest + 0.3 * (rock - 0.45)) * step(0.46, 0.36, y)
        slope = mix(slope, ramp(light, "#9fb3cc", "#ffffff"), snow)
        picture = mix(picture, slope, step(-0.002, 0.003, y - crest))
    trees = 0.94 - 0.05 * noise(41, (size[0], 1), (90, 0), 2) - 0.05 * np.abs(x - 0.4)
    return mix(picture, ramp(noise(42, size, (200, 40), 2), "#0b1712", "#1f3527"), step(0, 0.01, y - trees))


def sunset(size: Size = (1024, 576)) -> Image.Image:
    """The sun going down over the sea, its light on the waves."""
    x, y = grid(size)
    sky = ramp(y / 0.56, "#1d2450", "#5a3a78", "#c2566a", "#f58a4b", "#ffd27a")
    streak = step(0.45, 0.8, noise(51, size, (2, 14), 6)) * step(0.55, 0.3, y)
    sky = mix(sky, ramp(y / 0.5, "#51426f", "#e0607a", "#ffb070"), streak * 0.8)
    sky += glow(size, SUN, 0.35)[..., None] * flat("#a04a18") + glow(size, SUN, 0.1)[..., None] * flat("#ffb050")
    sky = mix(sky, flat("#fff6d8"), step(0.052, 0.046, np.hypot((x - SUN[0]) * size[0] / size[1], y - SUN[1])))
    depth = np.clip((y - 0.56) / 0.44, 0, 1)
    wave = noise(52, size, (10, 110), 4) * (1 - depth) + noise(53, size, (5, 45), 4) * depth
    sea = ramp(depth, "#d9825c", "#8a4a68", "#3c2a58", "#171a38") * (0.7 + 0.6 * wave[..., None])
    path = np.exp(-(((x - SUN[0]) / (0.035 + 0.13 * depth)) ** 2))
    sea = mix(sea, flat("#ffe0a0"), step(0.62, 0.78, wave + 0.2 * path) * path)
    picture = mix(sky, sea, step(0.558, 0.5605, y))
    return photo(_boat(picture, size))


def _boat(picture: Plane, size: Size) -> Plane:
    width, height = size
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for points in (
        [(0.2, 0.575), (0.3, 0.575), (0.285, 0.6), (0.215, 0.6)],
        [(0.249, 0.36), (0.253, 0.36), (0.253, 0.58), (0.249, 0.58)],
        [(0.257, 0.37), (0.257, 0.56), (0.302, 0.56)],
        [(0.245, 0.4), (0.245, 0.56), (0.212, 0.56)],
    ):
        draw.polygon([(px * width, py * height) for px, py in points], fill=255)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.8)), np.float64) / 255
    return mix(picture, flat("#1c1430"), soft)


def forest(size: Size = (540, 960)) -> Image.Image:
    """Trunks in the morning fog, rays of light between them."""
    rng = np.random.default_rng(91)
    x, y = grid(size)
    picture = ramp(y + 0.3 * (noise(92, size, (3, 4), 4) - 0.5), "#dfe8c8", "#c5d6b0", "#93ab84", "#5c7550")
    for depth in range(5):
        tone, ground = depth / 4, 0.66 + 0.07 * depth
        bark = ramp(
            tone * np.ones_like(x) * 0.8 + 0.2 * noise(93 + depth, size, (90, 6), 3), "#a5b898", "#5d6b4c", "#1b1a12"
        )
        for centre in rng.uniform(0, 1, 9 - depth):
            half = rng.uniform(0.006, 0.012) * (1 + 1.5 * depth)
            bend = 0.02 * (noise(int(centre * 1e6), (1, size[1]), (0, 3), 2) - 0.5)
            edge = half * (1 + 0.5 * step(0.16, 0, ground - y) ** 2) - np.abs(x - centre - bend)
            picture = mix(picture, bark, step(-0.001, 0.003, edge) * (y < ground + 0.01))
        fern = ground - 0.01 - 0.04 * noise(110 + depth, (size[0], 1), (12 + 3 * depth, 0), 5)
        floor = ramp(noise(120 + depth, size, (40, 60), 4) * (1 - 0.5 * tone), "#24361a", "#55703a", "#9db070")
        picture = mix(picture, floor, step(0, 0.012, y - fern))
        picture = mix(picture, flat("#e6edc8"), step(0.95, 0.3, y) * 0.16)
    return photo(_rays(picture, size), vignette=0.8)


def _rays(picture: Plane, size: Size) -> Plane:
    x, y = grid(size)
    angle = np.arctan2(x * size[0] / size[1] - 0.5, y + 0.25)
    beam = noise(99, (400, 1), (18, 0), 3)[0]
    light = beam[np.clip((angle + 0.8) / 1.4 * 399, 0, 399).astype(int)]
    return picture + (step(0.45, 0.9, light) * step(1, 0.1, y) * 0.4)[..., None] * flat("#fff2b8")


def dunes(size: Size = (1600, 400)) -> Image.Image:
    """A wide desert at dawn, ridge behind ridge."""
    _, y = grid(size)
    picture = ramp(y / 0.6, "#5b7fb0", "#a9b7cc", "#f2cfae", "#ffdfb0")
    picture += glow(size, (0.74, 0.42), 0.5)[..., None] * flat("#6a4420")
    for layer in range(5):
        seed, share = 131 + 3 * layer, layer / 4
        crest = 0.36 + 0.11 * layer - (0.1 + 0.03 * layer) * noise(seed, (size[0], 1), (7 - layer, 0), 2)
        lean = np.clip(0.5 - np.gradient(crest, axis=1) * size[0] * 0.55, 0, 1)
        ripple = np.sin((y - crest) * (260 - 30 * layer) + 22 * noise(seed + 1, size, (8, 3), 3)) * 0.05 * share
        shade = np.clip(lean + 0.25 * (noise(seed + 2, size, (10, 8), 5) - 0.5) + ripple - 0.6 * (y - crest), 0, 1)
        sand = ramp(shade, "#5a2f22", "#b8653a", "#f0b070") * (0.55 + 0.45 * share) + flat("#d8b8a8") * (
            0.42 * (1 - share)
        )
        picture = mix(picture, sand, step(-0.002, 0.004, y - crest))
    return photo(picture, vignette=0.2)


def island(size: Size = (640, 640)) -> Image.Image:
    """An island from above, with clouds and their shadows."""
    x, y = grid(size)
    height = noise(171, size, (3, 3), 8) - 2.2 * np.hypot(x - 0.5, y - 0.52) ** 1.8 + 0.16
    colours = (
        "#0a2f5c",
        "#0f4a80",
        "#1c7aa0",
        "#5cc0bc",
        "#e8d8a0",
        "#5d8a3c",
        "#3a6a30",
        "#6a6048",
        "#9a9080",
        "#f4f4f4",
    )
    picture = ramp(np.clip((height - 0.02) / 0.72, 0, 1), *colours)
    slope = (np.gradient(height, axis=1) + np.gradient(height, axis=0)) * step(0.335, 0.345, height)
    picture *= np.clip(1 + slope * 28, 0.45, 1.5)[..., None]
    sky = step(0.58, 0.85, noise(173, (size[0] + CLOUD_SHIFT, size[1] + CLOUD_SHIFT), (4, 4), 7))
    shadow, cloud = sky[:-CLOUD_SHIFT, :-CLOUD_SHIFT], sky[CLOUD_SHIFT:, CLOUD_SHIFT:]
    picture *= 1 - 0.45 * shadow[..., None]
    return photo(mix(picture, flat("#ffffff"), cloud * 0.9))
