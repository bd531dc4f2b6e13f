"""Let a model answer questions: its own sampled responses are the rejected sides of pairs.

    python data_prep/sample_responses.py                                 tiny_vlm on the miniature world
    python data_prep/sample_responses.py model=hub model.name=OWNER/NAME folder=data/mohobench \\
        root=IMAGE_FOLDER

Appends to `responses`, and skips what is there: a run that was cut off is continued by the same command.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.report import print_summary, progress_bar, say
from align.data.sampling import sample_responses
from align.data.split import select_split
from align.miniworld.prepare import ensure_questions
from align.models.loading import load_model
from align.records import Question, read_records
from align.run import run_folder, to_plain, write_run_json


@hydra.main(version_base="1.3", config_path="../configs", config_name="sample_responses")
def main(cfg: DictConfig) -> None:
    folder = run_folder()
    if Path(cfg.folder) == Path(cfg.miniworld):
        ensure_questions(cfg.miniworld)
    questions = select_split(read_records(cfg.questions, Question), cfg.split)
    questions = [q for q in questions if cfg.answerable or not q.answerable][: cfg.limit]
    loaded = load_model(**to_plain(cfg.model))
    with progress_bar(f"{len(questions)} questions, {cfg.sampling.samples} sample(s) each") as progress:
        counts = sample_responses(
            loaded, questions, cfg.root, cfg.responses, **cfg.sampling, progress=progress
        )
    print_summary(f"responses: {cfg.responses}", counts)
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.sampling.seed,
        inputs={"questions": cfg.questions},
        digests={"model": loaded.digest},
        results=counts,
    )
    if counts["failed"]:
        say(f"{counts['failed']} call(s) failed; the same command tries them again")


if __name__ == "__main__":
    main()
