"""Build supervised rows: honest refusals of unanswerable questions, right answers to the others.

    python data_prep/build_sft.py                       the miniature world, made if it is not there
    python data_prep/build_sft.py folder=data/mohobench   what ingest.py wrote

Writes `sft` and, beside it, a summary of what came out and what was left out and why.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.mix import Mix
from align.data.report import print_summary
from align.data.sft import build_sft
from align.data.split import select_split
from align.records import Question, read_records, write_json, write_records
from align.run import run_folder, to_plain, write_run_json


@hydra.main(version_base="1.3", config_path="../configs", config_name="build_sft")
def main(cfg: DictConfig) -> None:
    folder, sft_file = run_folder(), Path(cfg.sft)
    if Path(cfg.folder) == Path(cfg.miniworld):
        # Here, because it loads transformers, which building from files does without.
        from align.miniworld.prepare import ensure_questions

        ensure_questions(cfg.miniworld)
    questions = select_split(read_records(cfg.questions, Question), cfg.split)

    rows, summary = build_sft(questions, mix=Mix(**to_plain(cfg.mix)), seed=cfg.seed)

    write_records(sft_file, rows)
    write_json(sft_file.with_suffix(".summary.json"), summary | {"run": str(folder)})
    write_run_json(folder, config=cfg, seeds=cfg.seed, inputs={"questions": cfg.questions, "sft": sft_file})
    print_summary(f"SFT rows: {sft_file}", summary)


if __name__ == "__main__":
    main()
