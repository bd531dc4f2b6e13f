"""Build supervised rows: honest refusals of unanswerable questions, right answers to the others.

    python data_prep/build_sft.py                       the miniature world, made if it is not there
    python data_prep/build_sft.py folder=data/mohobench root=IMAGES   what ingest.py wrote
    python data_prep/build_sft.py --help                groups and settings

Writes `sft` and, beside it, a summary, the input rows that were left out and why, a data card, and other
trainers' forms of the rows if `export` asks for them. docs/training-data.md explains the policies.
"""

import shlex
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.card import Origin, card_section, write_card
from align.data.export import export, require_forms
from align.data.held_out import OtherSplits, training_questions
from align.data.judge import from_verdicts, refused
from align.data.ledger import Ledger
from align.data.mix import Mix
from align.data.report import print_summary, say
from align.data.responses import hardness_of
from align.data.retain import as_sft, read_retain, usable_retain
from align.data.sft import build_sft
from align.data.verdicts import account_for_verdicts, judge_name, the_judge
from align.records import HonestAnswer, Question, Response, Verdict, read_records, write_json, write_records
from align.run import run_folder, to_plain, write_run_json
from align.tracking.data_sets import track_rows
from align.tracking.tracking import Tracking
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="build_sft")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, sft_file, ledger = to_plain(cfg), run_folder(), Path(cfg.sft), Ledger()
    mix = Mix(**config["mix"])
    tracking = Tracking(config, folder, job_type="data")
    require_forms(cfg.export)
    if cfg.order not in ("random", "hardest_first"):
        raise ValueError(f"order must be random or hardest_first, not {cfg.order!r}")
    if (cfg.order == "hardest_first") != bool(cfg.responses):
        raise ValueError("order=hardest_first and responses=FILE need each other: give both or neither")
    if cfg.verdicts and not cfg.responses:
        raise ValueError(
            "verdicts=FILE judges responses, which only order=hardest_first looks at: leave it out"
        )
    if cfg.verdicts_of and not cfg.verdicts:
        raise ValueError("verdicts_of=JUDGE says whose verdicts count: give verdicts=FILE too")
    if Path(cfg.folder) == Path(cfg.miniworld):
        # Here, because it loads transformers, which building from files does without.
        from align.miniworld.prepare import ensure_questions

        ensure_questions(cfg.miniworld)

    every_question = read_records(cfg.questions, Question)
    others = OtherSplits(every_question, cfg.split, cfg.root)
    questions = training_questions(every_question, cfg.split, others, ledger)
    answers = read_records(cfg.answers, HonestAnswer) if cfg.answers else None
    retain = {}
    if cfg.retain:
        retain = usable_retain(as_sft(read_retain(cfg.retain)), others, mix.per_question, ledger)
    hardness, verdicts = None, None
    if cfg.responses:
        responses = read_records(cfg.responses, Response)
        if cfg.verdicts:
            judged = read_records(cfg.verdicts, Verdict)
            verdicts = from_verdicts(judged, responses, judge=the_judge(judged, cfg.verdicts_of))
            account_for_verdicts(judged, responses, verdicts.judge, ledger)
        hardness = hardness_of(
            questions,
            responses,
            verdicts.refused if verdicts else refused,
            verdicts.correct if verdicts else None,
        )

    rows, summary = build_sft(
        questions,
        answers=answers,
        missing_answers=cfg.missing_answers,
        retain=retain,
        hardness=hardness,
        mix=mix,
        seed=cfg.seed,
        ledger=ledger,
    )

    write_records(sft_file, rows)
    write_json(sft_file.with_suffix(".summary.json"), summary | {"run": str(folder)})
    if cfg.list_left_out:
        write_records(sft_file.with_suffix(".left_out.jsonl"), ledger.left_out())
    exported = export(rows, cfg.export, sft_file, cfg.root)
    names = ("questions", "answers", "retain", "responses", "verdicts")
    inputs = {name: config[name] for name in names if config[name]}
    origin = Origin(
        questions={question.id: question for question in questions},
        licenses=config["licenses"],
        judge=judge_name(questions, verdicts) if cfg.responses else None,
        answers=answers or (),
        inputs=inputs,
        command=shlex.join(["python", *sys.argv]),
        not_compared=others.not_compared(image for row in rows for image in row.images),
    )
    section = card_section(rows, summary, origin)
    card = write_card(sft_file, section)
    outputs = {"sft": sft_file} | exported
    record = write_run_json(folder, config=cfg, seeds=cfg.seed, inputs=inputs | outputs)
    with tracking.run():
        track_rows(
            tracking,
            rows,
            output=sft_file,
            inputs=inputs,
            card=card,
            section=section,
            root=cfg.root,
            record=record,
        )
    print_summary(f"SFT rows: {sft_file}", summary)
    if origin.not_compared:
        say(
            f"note: {origin.not_compared} images have no file under root={cfg.root}, so the test's are "
            "told from them by path only: a copy under another name would not be seen"
        )
    for path in (card, *exported.values()):
        say(f"written: {path}")


if __name__ == "__main__":
    main()
