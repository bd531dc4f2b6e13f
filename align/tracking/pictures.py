"""Images as tables show them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from align.data.images import BadImage, open_image, resolve_image

_SHOWN_PIXELS = 256  # the longer side: enough to see what was asked about


def shown_image(root: str | Path, name: str | None) -> Image.Image | None:
    """A small copy of an image below `root`; None where there is none or it can't be shown."""
    if name is None:
        return None
    try:
        image = open_image(resolve_image(name, root))
    except (BadImage, ValueError):
        return None
    image.thumbnail((_SHOWN_PIXELS, _SHOWN_PIXELS))
    return image
