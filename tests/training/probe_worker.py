"""Started by test_probe.py in several processes: trains with and without a probe and says what came out."""

import json
import os
import sys
from pathlib import Path

import torch
from test_probe import add_probe, make_trainer

from align.training.probe_questions import fresh_miniworld_questions

ZERO = {
    "zero_optimization": {"stage": "auto"},
    "zero_allow_untested_optimizer": True,
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
}


def main(folder: Path, stage: int) -> None:
    root = folder / "questions"
    world = (fresh_miniworld_questions(root, unanswerable=4, answerable=4, seed=0), root)
    settings = {"max_steps": 4, "logging_steps": 4}
    if stage:
        settings["deepspeed"] = ZERO | {"zero_optimization": {"stage": stage}}
    for name in ("without", "from_the_start", "with"):
        trainer, loaded = make_trainer(folder / name, *world, **settings)
        if name != "without":
            # Without a probe before training, the first one is the best so far.
            add_probe(trainer, loaded, world, folder / name, at_start=name == "from_the_start")
        trainer.train()
        trainer.save_model(str(folder / name / "adapter"))
    probes = [entry for entry in trainer.state.log_history if "probe/seconds" in entry]
    rank = int(os.environ["RANK"])
    (folder / f"rank{rank}.json").write_text(json.dumps(probes))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
