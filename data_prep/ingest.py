"""Read upstream files, check every row and image, split by image, and write questions.jsonl.

    python data_prep/ingest.py input=mohobench.json images=IMAGE_FOLDER out=data/mohobench
    python data_prep/ingest.py ... preferences=vqa_train.json     upstream's training rows as well
    python data_prep/ingest.py ... on_bad_row=skip                go on without the rows that are bad

Writes to `out`: questions.jsonl, report.json (every problem, what was accepted, what came out) and
run.json; responses.jsonl where the input holds model answers; upstream_pairs.jsonl and upstream_sft.jsonl
from `preferences`. Ends with status 1, and without those files but the report, if any row is bad.
"""

import sys

import hydra
from omegaconf import DictConfig

from align.data.mohobench import read_mohobench
from align.data.preferences import read_preferences
from align.data.report import ingest_report, print_ingest, progress_bar, say, way_out
from align.data.split import split_questions
from align.records import write_json, write_records
from align.run import run_folder, write_run_json


@hydra.main(version_base="1.3", config_path="../configs", config_name="ingest")
def main(cfg: DictConfig) -> None:
    folder = run_folder()
    if cfg.on_bad_row not in ("error", "skip"):
        raise ValueError(f"on_bad_row must be error or skip, not {cfg.on_bad_row!r}")

    with progress_bar("decoding images") as progress:
        reading = read_mohobench(
            cfg.input,
            cfg.images,
            source=cfg.source,
            caption_field=cfg.caption_field,
            image_name_only=cfg.image_name_only,
            max_pixels=cfg.max_pixels,
            follow_links=cfg.follow_links,
            progress=progress,
        )
    questions = reading.questions
    if questions and reading.complete and (not reading.problems or cfg.on_bad_row == "skip"):
        digests = {name: facts.digest for name, facts in reading.images.items()}
        questions = split_questions(questions, cfg.split, seed=cfg.seed, digests=digests)

    rows = None
    if cfg.preferences is not None:
        rows = read_preferences(
            cfg.preferences,
            cfg.images,
            questions=questions,
            image_name_only=cfg.image_name_only,
            follow_links=cfg.follow_links,
        )

    problems = reading.problems + (rows.problems if rows else [])
    complete = reading.complete and (rows is None or rows.complete)
    report = ingest_report(reading, questions, rows)
    write_json(folder / "report.json", report)
    print_ingest(report, problems)
    if problems and (cfg.on_bad_row == "error" or not complete or not questions):
        say(f"Stopped; only {folder / 'report.json'} was written. {way_out(complete, bool(questions))}")
        sys.exit(1)

    write_records(folder / "questions.jsonl", questions)
    if reading.responses:
        write_records(folder / "responses.jsonl", reading.responses)
    if rows is not None:
        write_records(folder / "upstream_pairs.jsonl", rows.pairs)
        write_records(folder / "upstream_sft.jsonl", rows.sft)
    inputs = {"input": cfg.input} | ({"preferences": cfg.preferences} if cfg.preferences else {})
    write_run_json(folder, config=cfg, seeds=cfg.seed, inputs=inputs)
    say(f"questions: {folder / 'questions.jsonl'}; report: {folder / 'report.json'}")


if __name__ == "__main__":
    main()
