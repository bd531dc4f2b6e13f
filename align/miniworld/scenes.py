"""Scenes: coloured shapes on a plain background, and how they are drawn.

A scene has a 3 x 3 grid of cells, each with at most one thing, so things never overlap. Everything is
drawn with integer centres and radii from antialiased masks, which makes drawing fast enough to train on
fresh scenes (about 0.1 ms each).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96  # pixels
GRID = 3  # cells a side
CELL = SIDE // GRID

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "diamond", "heart")
COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "large")
BACKGROUNDS = ("white", "gray", "black", "brown")
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")

RGB: dict[str, tuple[int, int, int]] = {
    "red": (215, 25, 28),
    "orange": (250, 130, 10),
    "yellow": (245, 220, 30),
    "green": (30, 150, 50),
    "cyan": (40, 205, 215),
    "blue": (25, 65, 210),
    "purple": (125, 40, 165),
    "pink": (250, 120, 190),
    "white": (247, 247, 244),
    "gray": (150, 150, 150),
    "black": (22, 22, 24),
    "brown": (96, 66, 44),
}
_RADII = {"small": (7, 8), "large": (12, 13)}

Part = Literal["seen", "combinations"]

HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    (shape, COLORS[(3 * i + 2) % len(COLORS)]) for i, shape in enumerate(SHAPES)
)
"""Shape-colour combinations that no training scene shows: one for each shape and one for each colour."""


@dataclass(frozen=True)
class Thing:
    """One coloured shape. `x`, `y` and `radius` are pixels."""

    shape: str
    color: str
    size: str
    x: int
    y: int
    radius: int

    @property
    def cell(self) -> tuple[int, int]:
        """(row, column) in the grid."""
        return self.y // CELL, self.x // CELL

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"

    @property
    def place(self) -> str:
        row, column = self.cell
        return f"{ROWS[row]} {COLUMNS[column]}"


@dataclass(frozen=True)
class Scene:
    """A background and its things in reading order. `tint` shifts the background's brightness."""

    background: str
    things: tuple[Thing, ...]
    tint: int = 0

    def to_dict(self) -> dict[str, Any]:
        things = [dict(vars(thing)) for thing in self.things]
        return {"background": self.background, "things": things, "tint": self.tint}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Scene:
        return cls(
            value["background"], tuple(Thing(**thing) for thing in value["things"]), value.get("tint", 0)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Like `("red circle", "blue ring")`, in reading order, with repetitions."""
        return tuple(thing.name for thing in self.things)


def make_scene(
    rng: random.Random, part: Part = "seen", count: int | None = None, alike: bool = False
) -> Scene:
    """Draw a random scene.

    With `part="seen"` no thing has a held-out shape-colour combination; with `"combinations"` at least
    one has. `count` things, or one to five. With `alike` two of them share shape or colour, which chance
    alone seldom does.
    """
    count = count or rng.choices((1, 2, 3, 4, 5), weights=(2, 4, 4, 3, 2))[0]
    cells = sorted(rng.sample(range(GRID * GRID), count))
    unseen_at = rng.choice(cells) if part == "combinations" else None
    background = rng.choice(BACKGROUNDS)
    things = []
    for cell in cells:
        if cell == unseen_at:
            shape, color = rng.choice(sorted(HELD_OUT))
        else:
            shape, color = rng.choice(SHAPES), rng.choice(COLORS)
            while (shape, color) in HELD_OUT:
                shape, color = rng.choice(SHAPES), rng.choice(COLORS)
        size = rng.choice(SIZES)
        radius = rng.choice(_RADII[size])
        slack = CELL // 2 - radius - 1  # keeps the thing inside its cell
        row, column = divmod(cell, GRID)
        things.append(
            Thing(
                shape=shape,
                color=color,
                size=size,
                x=column * CELL + CELL // 2 + rng.randint(-slack, slack - 1),
                y=row * CELL + CELL // 2 + rng.randint(-slack, slack - 1),
                radius=radius,
            )
        )
    if alike and count > 1:
        one, other = rng.sample(range(count), 2)
        attribute = rng.choice(("shape", "color"))
        changed = replace(things[other], **{attribute: getattr(things[one], attribute)})
        # Neither make a held-out combination nor overwrite one.
        if not {(t.shape, t.color) for t in (things[other], changed)} & HELD_OUT:
            things[other] = changed
    return Scene(background, tuple(things), tint=rng.randint(-8, 8))


def draw(scene: Scene) -> np.ndarray:
    """The scene as uint8 RGB, `[96, 96, 3]`."""
    return render(scene, [(mask_of(thing.shape, thing.radius), RGB[thing.color]) for thing in scene.things])


def render(scene: Scene, looks: Sequence[tuple[np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """The scene with a look for each thing: coverage `[side, side, 1]` of an odd side, and RGB."""
    canvas = np.empty((SIDE, SIDE, 3), np.float32)
    canvas[:] = np.clip(np.asarray(RGB[scene.background], np.float32) + scene.tint, 0, 255)
    for thing, (mask, rgb) in zip(scene.things, looks, strict=True):
        half = mask.shape[0] // 2
        window = canvas[thing.y - half : thing.y + half + 1, thing.x - half : thing.x + half + 1]
        window += mask * (np.asarray(rgb, np.float32) - window)
    return canvas.round().astype(np.uint8)


def draw_image(scene: Scene) -> Image.Image:
    return Image.fromarray(draw(scene))


@cache
def mask_of(shape: str, radius: int, oversample: int = 8) -> np.ndarray:
    """Coverage in 0-1 of a shape centred in a square of odd side, `[side, side, 1]`."""
    side = 2 * radius + 3
    big = side * oversample
    image = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(image)
    c, r = big / 2, radius * oversample

    def polygon(points: list[tuple[float, float]]) -> None:
        pen.polygon([(c + r * x, c + r * y) for x, y in points], fill=255)

    def disc(x: float, y: float, rr: float, fill: int = 255) -> None:
        pen.ellipse((c + r * (x - rr), c + r * (y - rr), c + r * (x + rr), c + r * (y + rr)), fill=fill)

    if shape == "circle":
        disc(0, 0, 1)
    elif shape == "square":
        polygon([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)])
    elif shape == "triangle":
        polygon([(0, -0.95), (0.98, 0.8), (-0.98, 0.8)])
    elif shape == "star":
        angles = [np.pi * (k / 5 - 0.5) for k in range(10)]
        polygon([((1, 0.42)[k % 2] * np.cos(a), (1, 0.42)[k % 2] * np.sin(a)) for k, a in enumerate(angles)])
    elif shape == "ring":
        disc(0, 0, 1)
        disc(0, 0, 0.52, fill=0)
    elif shape == "cross":
        polygon([(-0.3, -1), (0.3, -1), (0.3, 1), (-0.3, 1)])
        polygon([(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)])
    elif shape == "diamond":
        polygon([(0, -1), (0.72, 0), (0, 1), (-0.72, 0)])
    elif shape == "heart":
        disc(-0.46, -0.38, 0.52)
        disc(0.46, -0.38, 0.52)
        polygon([(-0.94, -0.16), (0, -0.2), (0.94, -0.16), (0, 0.98)])
    else:
        raise ValueError(f"unknown shape {shape!r}: one of {', '.join(SHAPES)}")
    small = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.float32)[..., None] / 255
