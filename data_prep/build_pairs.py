"""Build both-ways preference pairs from questions and the model's own responses.

    python data_prep/build_pairs.py                       the miniature world, made if it is not there
    python data_prep/build_pairs.py folder=data/mohobench   what ingest.py and sample_responses.py wrote

Writes `pairs` and, beside it, a summary of what came out and what was left out and why.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.judge import correct, refused
from align.data.mix import Mix
from align.data.pairs import build_pairs
from align.data.report import print_summary, progress_bar
from align.data.split import select_split
from align.records import Question, Response, read_records, write_json, write_records
from align.run import run_folder, to_plain, write_run_json


@hydra.main(version_base="1.3", config_path="../configs", config_name="build_pairs")
def main(cfg: DictConfig) -> None:
    folder, pairs_file = run_folder(), Path(cfg.pairs)
    if Path(cfg.folder) == Path(cfg.miniworld):
        # Here, because it loads transformers, which building from files does without.
        from align.miniworld.prepare import ensure_responses

        with progress_bar("tiny_vlm answers") as progress:
            ensure_responses(cfg.miniworld, progress=progress, **cfg.sampling)
    if not Path(cfg.responses).exists():
        raise FileNotFoundError(
            f"responses={cfg.responses}: no such file; run data_prep/sample_responses.py first"
        )
    questions = select_split(read_records(cfg.questions, Question), cfg.split)
    responses = read_records(cfg.responses, Response)

    pairs, summary = build_pairs(
        questions,
        responses,
        refused=refused,
        correct=correct,
        own_wrong=cfg.own_wrong,
        mix=Mix(**to_plain(cfg.mix)),
        seed=cfg.seed,
    )
    write_records(pairs_file, pairs)
    write_json(pairs_file.with_suffix(".summary.json"), summary | {"run": str(folder)})
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs={"questions": cfg.questions, "responses": cfg.responses, "pairs": pairs_file},
    )
    print_summary(f"pairs: {pairs_file}", summary)


if __name__ == "__main__":
    main()
