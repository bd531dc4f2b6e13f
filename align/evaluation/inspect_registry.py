"""What Inspect finds of ours through the `inspect_ai` entry point.

Every `inspect` command imports this module, so it must not import torch: the provider is imported when
a model is asked for.
"""

from inspect_ai.model import ModelAPI, modelapi

from align.evaluation.corruption_task import corruption
from align.evaluation.tasks import miniworld, mohobench

__all__ = ["align", "corruption", "miniworld", "mohobench"]


@modelapi(name="align")
def align() -> type[ModelAPI]:
    """`transformers` vision models with PEFT adapters, as `align/MODEL`."""
    from align.evaluation.provider import AlignAPI

    return AlignAPI
