"""Build preference pairs from questions and models' responses.

    python data_prep/build_pairs.py                       the miniature world, made if it is not there
    python data_prep/build_pairs.py folder=data/mohobench root=IMAGES       what ingest.py and
                                                          sample_responses.py wrote
    python data_prep/build_pairs.py folder=data/mohobench root=IMAGES mix=paper \
        retain=data/rlhf_v/retain_pairs.jsonl answers=data/mohobench/honest_answers.jsonl \
        verdicts=data/mohobench/verdicts.jsonl
    python data_prep/build_pairs.py --help                groups and settings

Writes `pairs` and, beside it, a summary, the input rows that were left out and why, a data card, and other
trainers' forms of the pairs if `export` asks for them. docs/training-data.md explains the policies.
"""

import shlex
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.card import Origin, card_section, write_card
from align.data.export import export, require_forms
from align.data.held_out import OtherSplits, training_questions
from align.data.judge import correct, from_verdicts, refused
from align.data.ledger import Ledger
from align.data.mix import Mix
from align.data.pairs import build_pairs
from align.data.policies import Policy
from align.data.report import print_summary, progress_bar, say
from align.data.retain import as_pairs, read_retain, usable_retain
from align.data.verdicts import account_for_verdicts, judge_name, the_judge
from align.records import HonestAnswer, Question, Response, Verdict, read_records, write_json, write_records
from align.run import run_folder, to_plain, write_run_json
from align.tracking.data_sets import track_rows
from align.tracking.tracking import Tracking
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="build_pairs")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, pairs_file, ledger = to_plain(cfg), run_folder(), Path(cfg.pairs), Ledger()
    mix = Mix(**config["mix"])
    tracking = Tracking(config, folder, job_type="data")
    policy = Policy(**{name: config[name] for name in Policy.__dataclass_fields__})
    require_forms(cfg.export)
    if cfg.verdicts_of and not cfg.verdicts:
        raise ValueError("verdicts_of=JUDGE says whose verdicts count: give verdicts=FILE too")
    if Path(cfg.folder) == Path(cfg.miniworld):
        # Here, because it loads transformers, which building from files does without.
        from align.miniworld.prepare import ensure_responses

        with progress_bar("tiny_vlm answers") as progress:
            ensure_responses(cfg.miniworld, progress=progress, **cfg.sampling)
    if not Path(cfg.responses).exists():
        raise FileNotFoundError(
            f"responses={cfg.responses}: no such file; run data_prep/sample_responses.py first"
        )

    every_question = read_records(cfg.questions, Question)
    others = OtherSplits(every_question, cfg.split, cfg.root)
    questions = training_questions(every_question, cfg.split, others, ledger)
    responses = read_records(cfg.responses, Response)
    answers = read_records(cfg.answers, HonestAnswer) if cfg.answers else None
    retain = {}
    if cfg.retain:
        general = as_pairs(read_retain(cfg.retain), cfg.retain)
        retain = usable_retain(general, others, mix.per_question, ledger)
    verdicts = None
    if cfg.verdicts:
        rows = read_records(cfg.verdicts, Verdict)
        verdicts = from_verdicts(rows, responses, judge=the_judge(rows, cfg.verdicts_of))
        account_for_verdicts(rows, responses, verdicts.judge, ledger)
    # Without verdicts only the miniature world's answers can be graded, so nobody is asked needlessly.
    grade = verdicts.correct if verdicts else correct if cfg.own_wrong > 0 else None

    pairs, summary = build_pairs(
        questions,
        responses,
        refused=verdicts.refused if verdicts else refused,
        correct=grade,
        answers=answers,
        retain=retain,
        policy=policy,
        mix=mix,
        seed=cfg.seed,
        ledger=ledger,
    )

    write_records(pairs_file, pairs)
    write_json(pairs_file.with_suffix(".summary.json"), summary | {"run": str(folder)})
    if cfg.list_left_out:
        write_records(pairs_file.with_suffix(".left_out.jsonl"), ledger.left_out())
    exported = export(pairs, cfg.export, pairs_file, cfg.root)
    names = ("questions", "responses", "answers", "verdicts", "retain")
    inputs = {name: config[name] for name in names if config[name]}
    origin = Origin(
        questions={question.id: question for question in questions},
        licenses=config["licenses"],
        judge=judge_name(questions, verdicts),
        answers=answers or (),
        inputs=inputs,
        command=shlex.join(["python", *sys.argv]),
        not_compared=others.not_compared(image for pair in pairs for image in pair.images),
    )
    section = card_section(pairs, summary, origin)
    card = write_card(pairs_file, section)
    record = write_run_json(
        folder, config=cfg, seeds=cfg.seed, inputs=inputs | {"pairs": pairs_file} | exported
    )
    with tracking.run():
        track_rows(
            tracking,
            pairs,
            output=pairs_file,
            inputs=inputs,
            card=card,
            section=section,
            root=cfg.root,
            record=record,
        )
    print_summary(f"pairs: {pairs_file}", summary)
    if origin.not_compared:
        say(
            f"note: {origin.not_compared} images have no file under root={cfg.root}, so the test's are "
            "told from them by path only: a copy under another name would not be seen"
        )
    for path in (card, *exported.values()):
        say(f"written: {path}")


if __name__ == "__main__":
    main()
