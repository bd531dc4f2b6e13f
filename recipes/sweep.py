"""Train and benchmark over a grid or a search, and sum it up: figures, plots, how to repeat the best.

    python recipes/sweep.py -m method=dpo,simpo lora.r=8,16,64 seed=0,1,2     every combination, one by one
    python recipes/sweep.py summarize=runs/sweep/FOLDER                       what is there by now
    python recipes/sweep.py --help                                            launchers, search, objective

Each job is a recipe through accelerate's launcher and evaluate/benchmark.py of its adapter; the base is
benchmarked once. Leaves summary.html, .json, .csv and .md, and a folder for each job. A sweep that was
stopped goes on with the same command and out=FOLDER; a job that dies is recorded, and the others go on.
"""

import sys

import hydra
from omegaconf import DictConfig

from align.sweeping.sweep import run_one, sweep
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="sweep")
def main(cfg: DictConfig) -> None:
    """One job, in the process that the launcher chose for it."""
    run_one(cfg)


if __name__ == "__main__":
    sys.exit(ends_with_message(sweep)(main, sys.argv[1:]))
