"""From a configuration of recipes/plan.py to the plans of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from omegaconf import OmegaConf

from align.models.stored import read_config
from align.planning.gpus import Gpu, find_gpu
from align.planning.models import KnownModel, MetaModel, find_known, meta_model
from align.planning.plans import LAYOUTS, Layout, Plan, make_plan
from align.planning.rows import description_folder, measured_rows, spread, typical_rows
from align.reporting.reference_rows import Reported, load_reference
from align.training.estimate import RowTokens, StepPlan, step_plan
from align.training.losses import parse_losses


@dataclass(frozen=True)
class PlannedTraining:
    """What was planned: `name` of the model, its shape, the rows, and a plan for each layout."""

    name: str
    meta: MetaModel
    step: StepPlan
    rows: Sequence[RowTokens]
    gpu: Gpu
    plans: Sequence[Plan]
    reported: Reported | None

    def report(self) -> dict[str, Any]:
        """As it is written to plan.json. Bytes, seconds."""
        return {
            "model": self.name,
            "shape": asdict(self.meta.shape),
            "step": asdict(self.step),
            "rows": spread(list(self.rows)),
            "gpu": asdict(self.gpu),
            "reported": None if self.reported is None else self.reported.model_dump(),
            "plans": [
                asdict(plan)
                | {
                    "memory_bytes": plan.memory.total,
                    "epoch_seconds": plan.epoch_seconds,
                    "rows_per_second": plan.rows_per_second,
                    "fits_gb": plan.fits_gb,
                }
                for plan in self.plans
            ],
        }


def plan_training(config: Mapping[str, Any], layouts: Sequence[Layout] = LAYOUTS) -> PlannedTraining:
    """Plan what a configuration with the groups of recipes/plan.py says.

    Raises `ValueError` for a model without a name or unknown image tokens, for what cannot be trained, and
    what `measured_rows` raises.
    """
    model, supervised = config["model"], config["rows"] == "sft"
    named = config.get("reported")
    reported = find_reported(named)
    known = find_known(model["name"], None if named is None else named["model"])
    meta = _meta(known, model, config.get("lora"))
    if config["lengths"] == "data":
        if config.get("data") is None:
            raise ValueError("lengths=data: give the rows, with data=files data.pairs=FILE data.root=FOLDER")
        folder = description_folder(model["name"], model["revision"])
        rows = measured_rows(model, config["data"], "sft" if supervised else "pairs", meta, folder)
    elif config["lengths"] == "typical":
        rows = typical_rows(config["typical"], _image_tokens(config["typical"], known), supervised=supervised)
    else:
        raise ValueError(f"lengths={config['lengths']}: choose typical or data")
    terms = None if supervised else parse_losses(config["losses"])
    step = step_plan(
        config["trainer"] | {"bf16": True},
        meta.network,
        needs_reference=terms is not None and terms.needs_reference,
    )
    gpu = find_gpu(config["gpu"])
    plans = [
        make_plan(
            meta.shape,
            step,
            rows,
            layout,
            gpu,
            efficiency=config["efficiency"],
            quantized=model["quantization"] is not None,
        )
        for layout in layouts
    ]
    name = model["name"] if known is None else known.id
    return PlannedTraining(name, meta, step, rows, gpu, plans, reported)


def find_reported(named: Mapping[str, str | None] | None) -> Reported | None:
    """The paper's row that a configuration's `reported` names; None where it names no method.

    Raises `ValueError` for a row that the paper lacks.
    """
    if named is None or named["method"] is None:
        return None
    rows = load_reference("mohobench").rows
    found = [row for row in rows if (row.model, row.method) == (named["model"], named["method"])]
    if not found:
        raise ValueError(f"reported: the paper has no row for {named['model']}, {named['method']}")
    return found[0]


def _meta(known: KnownModel | None, model: Mapping[str, Any], lora: Mapping[str, Any] | None) -> MetaModel:
    if known is not None:
        meta = _known_meta(known.id, OmegaConf.to_yaml(lora))
    else:
        folder = description_folder(model["name"], model["revision"])
        config = read_config(folder, model["name"], trust_remote_code=model["trust_remote_code"])
        meta = meta_model(config, lora, parts=model["parts"])
    return meta if model["quantization"] is None else meta.quantized()


@lru_cache(maxsize=16)  # the pages plan a model many times
def _known_meta(id: str, lora: str) -> MetaModel:
    known = find_known(id)
    assert known is not None
    settings: Any = OmegaConf.to_container(OmegaConf.create(lora))
    return meta_model(known.configuration(), settings or None)


def _image_tokens(typical: Mapping[str, Any], known: KnownModel | None) -> tuple[int, int]:
    given = typical["image_tokens"]
    if given is not None:
        return int(given["usual"]), int(given["most"])
    if known is None:
        raise ValueError(
            "typical.image_tokens: say how many tokens a picture takes in this model, as "
            "typical.image_tokens='{usual: 576, most: 576}', or measure your rows with lengths=data"
        )
    return known.image_tokens
