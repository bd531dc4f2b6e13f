"""What the tower is taught before and beside language: what each patch shows, by throw-away classifiers.

Some things are drawn in a color that has no name, or in a shape that has none. So the tower cannot know a
shape by the colors that it was seen in, nor a color by its shapes: that is what makes combinations
readable that no training scene shows. None of the odd looks comes near a held-out combination.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from align.miniworld.scenes import (
    BACKGROUNDS,
    COLORS,
    GRID,
    HELD_OUT,
    RGB,
    SHAPES,
    SIZES,
    Scene,
    make_scene,
    mask_of,
    render,
)

PATCHES = GRID * GRID
UNNAMED = -100  # no label: the classifier is not asked
MOST_ALIKE = 3  # three alike or more are one class
PATCH_CLASSES = {
    "shape": 1 + len(SHAPES),
    "color": 1 + len(COLORS),
    "size": 1 + len(SIZES),
    "place": PATCHES,
    "background": len(BACKGROUNDS),
    "same_shape": 1 + MOST_ALIKE,
    "same_color": 1 + MOST_ALIKE,
}
"""Per classifier, its classes; 0 is "nothing here" where a patch may be empty. `same_shape` counts the
things in the image that have this patch's shape, itself included."""


@dataclass(frozen=True)
class Look:
    """How a thing is drawn; None for what has no name."""

    shape: str | None
    color: str | None
    mask: np.ndarray
    rgb: tuple[int, int, int]


def patch_batch(rng: random.Random, scenes: int) -> tuple[list[np.ndarray], Tensor]:
    """Drawn scenes, a third each with named looks only, odd colors, and odd shapes; labels `[S, 9, 7]`."""
    images, labels = [], []
    for _ in range(scenes):
        scene = make_scene(rng, count=rng.randint(4, 8), alike=rng.random() < 0.5)
        odd = rng.choice((None, "color", "shape"))
        looks = [_look(thing.shape, thing.color, thing.radius, scene, odd, rng) for thing in scene.things]
        images.append(render(scene, [(look.mask, look.rgb) for look in looks]))
        labels.append(patch_labels(scene, looks))
    return images, torch.stack(labels)


def patch_labels(scene: Scene, looks: list[Look]) -> Tensor:
    """The class of each patch for each classifier of `PATCH_CLASSES`, `[9, 7]`."""
    labels = torch.zeros(PATCHES, len(PATCH_CLASSES), dtype=torch.long)
    labels[:, 3] = torch.arange(PATCHES)
    labels[:, 4] = BACKGROUNDS.index(scene.background)
    shapes, colors = [look.shape for look in looks], [look.color for look in looks]
    for thing, look in zip(scene.things, looks, strict=True):
        row, column = thing.cell
        patch = labels[row * GRID + column]
        patch[0] = UNNAMED if look.shape is None else 1 + SHAPES.index(look.shape)
        patch[1] = UNNAMED if look.color is None else 1 + COLORS.index(look.color)
        patch[2] = UNNAMED if look.shape is None else 1 + SIZES.index(thing.size)
        patch[5] = UNNAMED if None in shapes else min(shapes.count(look.shape), MOST_ALIKE)
        patch[6] = UNNAMED if None in colors else min(colors.count(look.color), MOST_ALIKE)
    return labels


class PatchHeads(nn.Module):
    """Throw-away classifiers over the projected patches.

    Which patch it is matters as much as what it shows: without it the decoder could find a thing and not
    say where it is, nor list things in order. How many things are like it is what vague questions hang on.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(hidden, classes) for classes in PATCH_CLASSES.values())

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Mean loss over the heads, and each head's accuracy on patches that show a thing."""
        logits = [head(features.float()) for head in self.heads]
        losses = [
            cross_entropy(x.flatten(0, 1), labels[..., i].flatten(), ignore_index=UNNAMED)
            for i, x in enumerate(logits)
        ]
        shown = labels[..., 2] != 0
        right = {
            name: (x.argmax(-1) == labels[..., i])[shown & (labels[..., i] != UNNAMED)].float().mean().item()
            for i, (name, x) in enumerate(zip(PATCH_CLASSES, logits, strict=True))
        }
        return torch.stack(losses).mean(), right


def _look(shape: str, color: str, radius: int, scene: Scene, odd: str | None, rng: random.Random) -> Look:
    if odd == "color" and rng.random() < 0.7:
        return Look(shape, None, mask_of(shape, radius), _odd_color(shape, scene, rng))
    if odd == "shape" and rng.random() < 0.7:
        return Look(None, color, _odd_mask(radius, rng), RGB[color])
    return Look(shape, color, mask_of(shape, radius), RGB[color])


def _odd_color(shape: str, scene: Scene, rng: random.Random) -> tuple[int, int, int]:
    """A random color that shows against the background and is not nearest to the shape's held-out one."""
    names = np.asarray([RGB[color] for color in COLORS], np.float32)
    while True:
        rgb = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        nearest = COLORS[int(((names - rgb) ** 2).sum(1).argmin())]
        contrast = np.abs(np.asarray(rgb, np.float32) - RGB[scene.background]).max()
        if contrast > 60 and (shape, nearest) not in HELD_OUT:
            return rgb


def _odd_mask(radius: int, rng: random.Random, oversample: int = 4) -> np.ndarray:
    """A bar, an ellipse, a half disc, a crescent, an L or a T at a random angle: no shape with a name."""
    side = 2 * radius + 3
    big = side * oversample
    image = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(image)
    c, r = big / 2, radius * oversample

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        return c + r * x0, c + r * y0, c + r * x1, c + r * y1

    kind = rng.choice(("bar", "ellipse", "half", "crescent", "L", "T"))
    if kind == "bar":
        thin = rng.uniform(0.15, 0.4)
        pen.rectangle(box(-0.95, -thin, 0.95, thin), fill=255)
    elif kind == "ellipse":
        thin = rng.uniform(0.3, 0.55)
        pen.ellipse(box(-0.98, -thin, 0.98, thin), fill=255)
    elif kind == "half":
        pen.pieslice(box(-0.98, -0.98, 0.98, 0.98), 0, 180, fill=255)
    elif kind == "crescent":
        pen.ellipse(box(-0.98, -0.98, 0.98, 0.98), fill=255)
        pen.ellipse(box(-0.5, -0.9, 1.3, 0.9), fill=0)
    elif kind == "L":
        pen.rectangle(box(-0.65, -0.7, -0.2, 0.7), fill=255)
        pen.rectangle(box(-0.65, 0.25, 0.65, 0.7), fill=255)
    else:
        pen.rectangle(box(-0.7, -0.7, 0.7, -0.25), fill=255)
        pen.rectangle(box(-0.22, -0.7, 0.22, 0.7), fill=255)
    turned = image.rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR)
    small = turned.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.float32)[..., None] / 255
