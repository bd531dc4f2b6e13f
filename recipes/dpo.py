"""Train a LoRA adapter on preference pairs: DPO with an NLL term, or any method (`method=ipo`, ...).

    accelerate launch recipes/dpo.py          the embedded model and rows, on whatever this machine has
    python recipes/dpo.py --help              groups, settings, and how to give your own model and data

Leaves in the run folder: adapter/ (with a model card), best/ (the best by the probe), probe.jsonl, run.json,
checkpoints/, and wandb/ when offline.
"""

import hydra
from omegaconf import DictConfig

from align.training.job import train
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="dpo")
@ends_with_message
def main(cfg: DictConfig) -> None:
    train(cfg)


if __name__ == "__main__":
    main()
