"""Shapes on a background, questions about them, and a tiny model that answers: no download needed."""

from pathlib import Path

TINY_VLM = Path(__file__).parent / "tiny_vlm"
"""Folder of the tiny vision-language model that ships with the package, for `from_pretrained`."""
