"""Read upstream files or your own table, check every row and image, split by image: questions.jsonl.

    python data_prep/ingest.py input=mohobench.json images=IMAGE_FOLDER out=data/mohobench
    python data_prep/ingest.py source=haloquest input=FILE.csv images=IMAGE_FOLDER out=data/haloquest
    python data_prep/ingest.py source=table input=my.csv images=IMAGE_FOLDER out=data/my \
        'source.map={image: file_name, question: q, category: kind, answers: gold}'
    python data_prep/ingest.py --help               all sources and settings; more in docs/sources.md

Writes to `out`: questions.jsonl, or retain_pairs.jsonl for a source of preference pairs; report.json (every
problem, near-duplicate pictures, what was accepted, what came out), summary.html and run.json; images/ for
pictures that came inside rows; responses.jsonl where the input holds model answers; upstream_pairs.jsonl and
upstream_sft.jsonl from `preferences`. Ends with status 1, and with the report and its page only, if any row
is bad (on_bad_row=skip goes on without the bad rows).
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.held_out_images import held_out_images
from align.data.intake import check_settings, find_inputs, folder_of_images, read_inputs
from align.data.near_duplicates import groups_of, near_duplicates
from align.data.preferences import read_preferences
from align.data.report import ingest_report, print_ingest, progress_bar, say, way_out
from align.data.split import split_conflicts, split_questions
from align.records import write_json, write_records
from align.reporting.data_page import render_data_page
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="ingest")
@ends_with_message
def main(cfg: DictConfig) -> None:
    folder, config = run_folder(), to_plain(cfg)
    check_settings(config)
    paths = find_inputs(config["input"], config["source"]["reader"])
    images = folder_of_images(config["images"], folder)

    with progress_bar("decoding images") as progress:
        reading, inputs = read_inputs(config, paths, images, progress)
    if cfg.held_out is not None:
        reading.hold_out(held_out_images(cfg.held_out, cfg.held_out_root or images, reading.images))

    near = near_duplicates(reading.fingerprints()) if cfg.near_duplicates else None
    groups = groups_of(near or [])
    digests = {name: facts.digest for name, facts in reading.images.items()}
    if not cfg.keep_given_split:
        reading.questions = [question.model_copy(update={"split": None}) for question in reading.questions]
    reading.reject_questions(split_conflicts(reading.questions, digests=digests, together=groups), "split")
    reading.name_groups(groups, digests)
    questions = reading.questions
    if questions and reading.complete and (not reading.problems or cfg.on_bad_row == "skip"):
        questions = split_questions(questions, cfg.split, seed=cfg.seed, digests=digests, together=groups)

    rows = None
    if cfg.preferences is not None:
        rows = read_preferences(
            cfg.preferences,
            images,
            questions=questions,
            image_name_only=cfg.image_name_only,
            follow_links=cfg.follow_links,
            max_row=cfg.max_row,
        )
        if cfg.held_out is not None:
            rows.hold_out(held_out_images(cfg.held_out, cfg.held_out_root or images, rows.images))

    problems = reading.problems + (rows.problems if rows else [])
    complete = reading.complete and (rows is None or rows.complete)
    any_record = bool(questions or reading.pairs)
    report = ingest_report(reading, questions, rows, near=near, images_folder=str(images))
    write_json(folder / "report.json", report)
    page = render_data_page(questions, report, images=reading.images, root=images, problems=problems)
    (folder / "summary.html").write_text(page, encoding="utf-8")
    print_ingest(report, problems)
    if problems and (cfg.on_bad_row == "error" or not complete or not any_record):
        say(
            f"Stopped; only {folder / 'report.json'} and summary.html were written. "
            f"{way_out(complete, any_record)}"
        )
        sys.exit(1)

    written = folder / ("questions.jsonl" if questions or not reading.pairs else "retain_pairs.jsonl")
    if questions or not reading.pairs:
        write_records(folder / "questions.jsonl", questions)
    if reading.pairs:
        write_records(folder / "retain_pairs.jsonl", reading.pairs)
    if reading.responses:
        write_records(folder / "responses.jsonl", reading.responses)
    if rows is not None:
        write_records(folder / "upstream_pairs.jsonl", rows.pairs)
        write_records(folder / "upstream_sft.jsonl", rows.sft)
    for name in ("preferences", "held_out"):
        if config[name]:
            inputs[name] = config[name]
    write_run_json(folder, config=cfg, seeds=cfg.seed, inputs=inputs, results={"images": str(images)})
    say(f"written: {written}; report: {folder / 'report.json'}; page: {Path(folder) / 'summary.html'}")


if __name__ == "__main__":
    main()
