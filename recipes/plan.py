"""Plan a training: memory and time on 1, 8 and 64 GPUs, from the model's shape and the rows' lengths.

    python recipes/plan.py                                    a 7B model with LoRA on typical rows
    python recipes/plan.py experiment=table3/qwen2_5_vl_7b_dpo
    python recipes/plan.py model=hub model.name=OWNER/NAME lengths=data data=files \
        data.pairs=PAIRS.jsonl data.root=IMAGE_FOLDER         your model, your rows
    python recipes/plan.py --help                             groups and settings

Needs no GPU, and of a model on the hub its configuration only. Prints a table (* where sending takes longer
than computing) and leaves plan.json and run.json in the run folder. docs/planning.md has the formulas, and
how far they were found right.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from align.planning.pages import write_pages
from align.planning.training import plan_training
from align.planning.view import print_plan
from align.records import write_json
from align.run import run_folder, to_plain, write_run_json
from align.training.console import keep_quiet
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="plan")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, console = to_plain(cfg), run_folder(), Console()
    keep_quiet()
    if config["pages"] is not None:
        for page in write_pages(Path(config["pages"])):
            console.print(str(page))
        return
    training = plan_training(config)
    write_json(folder / "plan.json", training.report())
    write_run_json(folder, config=cfg, seeds=0, inputs={})
    print_plan(training, console)
    console.print(f"plan: {folder / 'plan.json'}", soft_wrap=True)


if __name__ == "__main__":
    main()
