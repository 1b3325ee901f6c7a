"""The drawn pictures: chart, plan, flag, icon, page, map, diagram; drawn large and made small for smooth edges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pixels import Size

FINE = 3  # a drawing is made this many times too large
INK = "#23303f"
PAPER = "#fbfaf6"
ROOMS = ((40, 40, 330, 260), (330, 40, 600, 190), (40, 260, 240, 440), (240, 260, 330, 440), (330, 190, 600, 440))
DOORS = (  # the gap in the wall, the hinge, where the swing begins (degrees)
    ((180, 252, 216, 268), (180, 268), 0),
    ((322, 204, 338, 240), (322, 204), 90),
    ((270, 252, 306, 268), (306, 268), 90),
    ((360, 182, 396, 198), (360, 198), 0),
    ((38, 190, 49, 226), (49, 190), 0),
)
FURNITURE = ((90, 70, 200, 130), (380, 66, 560, 100), (70, 300, 150, 410), (440, 290, 560, 370), (264, 330, 310, 376))
BARS = {"Mon": 42, "Tue": 58, "Wed": 35, "Thu": 71, "Fri": 90, "Sat": 63, "Sun": 24}
PROSE = (
    "the harbour opens at six and closes when the last boat is in nobody counts them but everyone knows the number in"
    " winter fewer lamps are lit along the quay and the keeper writes two lines instead of ten wind north by east water"
    " still a letter came for the captain it was carried back unread spring brings paint rope new names on old hulls"
)


def chart() -> Image.Image:
    """A bar chart of seven days, the highest bar marked."""
    return _drawn((800, 600), "#ffffff", _chart)


def _chart(draw: ImageDraw.ImageDraw, unit: int) -> None:
    _text(draw, unit, (60, 22), "Visitors by day (thousands)", 28)
    for value in range(0, 101, 20):
        height = 530 - value * 4.4
        draw.line(_scaled(unit, (70, height, 770, height)), fill="#d5dbe2", width=unit)
        _text(draw, unit, (28, height - 10), f"{value:>3}", 17)
    for number, (day, value) in enumerate(BARS.items()):
        left = 92 + number * 97
        colour = "#e2653b" if value == max(BARS.values()) else "#3f7cac"
        draw.rectangle(_scaled(unit, (left, 530 - value * 4.4, left + 62, 530)), fill=colour)
        _text(draw, unit, (left + 13, 542), day, 19)
        _text(draw, unit, (left + 20, 506 - value * 4.4), str(value), 18)
    draw.line(_scaled(unit, (70, 530, 770, 530)), fill=INK, width=2 * unit)


def plan() -> Image.Image:
    """The floor plan of a small flat, with doors, windows and furniture."""
    return _drawn((640, 480), PAPER, _plan)


def _plan(draw: ImageDraw.ImageDraw, unit: int) -> None:
    for room in ROOMS:
        draw.rectangle(_scaled(unit, room), outline=INK, width=7 * unit)
    for window in ((120, 43, 240, 43), (420, 43, 520, 43), (597, 270, 597, 380), (43, 320, 43, 390)):
        draw.line(_scaled(unit, window), fill="#8fc1e3", width=5 * unit)
    for gap, (x, y), start in DOORS:
        draw.rectangle(_scaled(unit, gap), fill=PAPER)
        swing = _scaled(unit, (x - 36, y - 36, x + 36, y + 36))
        draw.pieslice(swing, start, start + 90, outline="#7d8995", width=2 * unit)
    for thing in FURNITURE:
        draw.rounded_rectangle(_scaled(unit, thing), 8 * unit, fill="#e9e2d2", outline="#a89c84", width=2 * unit)
    for x, y, name in (
        (200, 150, "Living"),
        (430, 126, "Kitchen"),
        (168, 400, "Bed"),
        (264, 390, "Bath"),
        (380, 400, "Study"),
    ):
        _text(draw, unit, (x, y), name, 20)
    _text(draw, unit, (40, 450), "1 : 100      58 sq m", 15)


def flag() -> Image.Image:
    """A flag of no country: three bands, a triangle and a star."""
    return _drawn((600, 400), "#f6f1e4", _flag)


def _flag(draw: ImageDraw.ImageDraw, unit: int) -> None:
    draw.rectangle(_scaled(unit, (0, 0, 600, 120)), fill="#1f6f78")
    draw.rectangle(_scaled(unit, (0, 280, 600, 400)), fill="#d1495b")
    draw.polygon(_scaled(unit, (0, 0, 250, 200, 0, 400)), fill="#20304f")
    draw.polygon(_scaled(unit, _star((88, 200), 62, 26, 5)), fill="#edae49")


def icon() -> Image.Image:
    """A round weather icon, sun and cloud, on a transparent ground."""
    return _drawn((256, 256), "#00000000", _icon)


def _icon(draw: ImageDraw.ImageDraw, unit: int) -> None:
    draw.polygon(_scaled(unit, _star((108, 100), 88, 62, 12)), fill="#f4a51c")
    draw.ellipse(_scaled(unit, (56, 48, 160, 152)), fill="#ffd04d")
    for colour, grow in (("#6f93b5", 5), ("#f3f8fc", 0)):
        for left, top, size in ((62, 138, 74), (100, 104, 96), (158, 132, 80)):
            draw.ellipse(_scaled(unit, (left - grow, top - grow, left + size + grow, top + size + grow)), fill=colour)
        draw.rounded_rectangle(_scaled(unit, (66 - grow, 164 - grow, 236 + grow, 212 + grow)), 24 * unit, fill=colour)


def page() -> Image.Image:
    """A page of text: a heading, two paragraphs, a rule, a page number."""
    return _drawn((620, 877), "#fdfcf8", _page)


def _page(draw: ImageDraw.ImageDraw, unit: int) -> None:
    _text(draw, unit, (80, 80), "The Harbour Log", 36)
    draw.line(_scaled(unit, (80, 132, 540, 132)), fill=INK, width=2 * unit)
    rng = np.random.default_rng(201)
    top = 160
    for lines in (9, 8, 5):
        for line in range(lines):
            width = 200 if line == lines - 1 else 455
            _text(draw, unit, (80 + 24 * (line == 0), top), _line(rng, width - 24 * (line == 0)), 18)
            top += 28
        top += 18
    _text(draw, unit, (302, 820), "17", 16)


def _line(rng: np.random.Generator, width: int) -> str:
    """Words that fill *width* pixels at size 18, and no more."""
    font, line, words = ImageFont.load_default(18), "", PROSE.split()
    start = int(rng.integers(0, len(words)))
    for number in range(len(words)):
        longer = f"{line} {words[(start + number) % len(words)]}".strip()
        if font.getlength(longer) > width:
            break
        line = longer
    return line


def town_map() -> Image.Image:
    """The map of a town: blocks, a river, a park, a railway, a pin."""
    return _drawn((720, 720), "#eeeae0", _town_map)


def _town_map(draw: ImageDraw.ImageDraw, unit: int) -> None:
    river = [(step * 12, 420 + 70 * math.sin(step / 11) + step * 2.2) for step in range(-2, 64)]
    _streets(draw, unit, range(-200, 900, 46), "#ffffff", 6)
    draw.line(
        _scaled(unit, [value for point in river for value in point]), fill="#8fbfe6", width=46 * unit, joint="curve"
    )
    _streets(draw, unit, range(-62, 900, 276), "#f9d77e", 15)
    draw.rounded_rectangle(_scaled(unit, (420, 60, 590, 230)), 30 * unit, fill="#b9dca4")
    draw.ellipse(_scaled(unit, (470, 90, 550, 145)), fill="#9cc9e8")
    for start in range(0, 720, 24):
        rail = (start, 700 - start * 0.18, start + 12, 700 - (start + 12) * 0.18)
        draw.line(_scaled(unit, rail), fill="#5a5a5a", width=6 * unit)
    draw.polygon(_scaled(unit, (300, 300, 278, 250, 322, 250)), fill="#d62f3d")
    draw.ellipse(_scaled(unit, (276, 216, 324, 264)), fill="#d62f3d")
    draw.ellipse(_scaled(unit, (290, 230, 310, 250)), fill="#ffffff")
    for x, y, name in ((456, 180, "Elm Park"), (44, 446, "River Ash"), (530, 640, "Station")):
        _text(draw, unit, (x, y), name, 22)


def _streets(draw: ImageDraw.ImageDraw, unit: int, places: range, colour: str, width: int) -> None:
    for place in places:
        draw.line(_scaled(unit, (place, -10, place + 120, 730)), fill=colour, width=width * unit)
        draw.line(_scaled(unit, (-10, place + 90, 730, place)), fill=colour, width=width * unit)


def diagram() -> Image.Image:
    """Four boxes and the arrows between them."""
    return _drawn((720, 405), "#ffffff", _diagram)


def _diagram(draw: ImageDraw.ImageDraw, unit: int) -> None:
    boxes = (
        (40, 150, "Seed", "#dff0d8"),
        (220, 60, "Sprout", "#fdf3d0"),
        (220, 240, "Soil", "#ead9c8"),
        (460, 150, "Flower", "#f6d5e2"),
    )
    for start, end in (
        ((180, 175), (220, 95)),
        ((180, 205), (220, 285)),
        ((360, 95), (460, 170)),
        ((360, 275), (460, 210)),
    ):
        draw.line(_scaled(unit, (*start, *end)), fill=INK, width=3 * unit)
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        wings = [(end[0] - 14 * math.cos(angle + turn), end[1] - 14 * math.sin(angle + turn)) for turn in (0.45, -0.45)]
        draw.polygon(_scaled(unit, (*end, *wings[0], *wings[1])), fill=INK)
    for left, top, name, colour in boxes:
        draw.rounded_rectangle(
            _scaled(unit, (left, top, left + 140, top + 76)), 14 * unit, fill=colour, outline=INK, width=3 * unit
        )
        _text(draw, unit, (left + 30, top + 24), name, 24)


def wheel() -> Image.Image:
    """A little wheel: what the unsupported type holds."""
    return _drawn((160, 160), "#ffffff", _wheel).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)


def _wheel(draw: ImageDraw.ImageDraw, unit: int) -> None:
    draw.ellipse(_scaled(unit, (15, 15, 145, 145)), outline="#3f7cac", width=10 * unit)
    for spoke in range(8):
        x, y = 60 * math.cos(spoke * math.pi / 4), 60 * math.sin(spoke * math.pi / 4)
        draw.line(_scaled(unit, (80, 80, 80 + x, 80 + y)), fill="#e2653b", width=6 * unit)


def _drawn(size: Size, ground: str, paint: Callable[[ImageDraw.ImageDraw, int], None]) -> Image.Image:
    """A picture of *size* that *paint* makes, in a plane FINE times as large."""
    large = Image.new("RGBA" if len(ground) > len("#rrggbb") else "RGB", (size[0] * FINE, size[1] * FINE), ground)
    paint(ImageDraw.Draw(large), FINE)
    return large.resize(size, Image.Resampling.BOX)


def _scaled(unit: int, places: Sequence[float]) -> list[float]:
    return [place * unit for place in places]


def _text(draw: ImageDraw.ImageDraw, unit: int, place: tuple[float, float], text: str, size: int) -> None:
    draw.text((place[0] * unit, place[1] * unit), text, fill=INK, font=ImageFont.load_default(size * unit))


def _star(centre: tuple[float, float], outer: float, inner: float, points: int) -> list[float]:
    places = []
    for corner in range(2 * points):
        angle, reach = math.pi * (corner / points - 0.5), inner if corner % 2 else outer
        places += [centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle)]
    return places
