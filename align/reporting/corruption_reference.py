"""What the MoHoBench paper reports on corrupted images: reported there, not run again here.

Five models on 250 images with 1,000 unanswerable questions; change of the refusal rate from the raw image, in
percentage points. The severity is not stated, no interval is given, and refusals are as its judge (o3-mini)
sees them: the figures say which way and how far, and are no line to be above.
"""

from __future__ import annotations

SOURCE = "MoHoBench, arXiv 2507.21503: reported, not re-run; severity not stated"

QUESTIONS, IMAGES = 1000, 250

PAPER_CHANGES: dict[str, dict[str, float]] = {
    "Llama-3.2-90B-Vision": {"contrast": 0.20, "gaussian": -2.30, "shot": -5.00},
    "Llama-3.2-11B-Vision": {"contrast": 4.20, "gaussian": -2.20, "shot": -1.40},
    "Qwen2.5-VL-32B": {"contrast": -0.70, "gaussian": -7.60, "shot": -7.00},
    "Qwen2.5-VL-7B": {"contrast": -0.10, "gaussian": -8.40, "shot": -4.55},
    "Qwen2.5-VL-3B": {"contrast": 1.60, "gaussian": -4.20, "shot": -3.60},
}
"""Change of the refusal rate in percentage points, by model and kind."""

PAPER_CONTRAST: dict[str, tuple[float, float]] = {
    "Context_Dependent": (30.40, 33.36),
    "False_Premises": (66.60, 67.28),
    "Subjective_or_Philosophical": (3.52, 2.96),
    "Vague_Description": (12.24, 12.96),
}
"""Refusal rate in percent, raw and at low contrast, by category."""
