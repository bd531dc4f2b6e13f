"""Keep the questions that are hard, of their category, no near-duplicates, and about images that cover all.

    python data_prep/filter_questions.py folder=data/new images=IMAGE_FOLDER hard.at_least=2 \\
        +endpoint@answerers.a=openai answerers.a.model=openai/gpt-4o \\
        +endpoint@answerers.b=vllm answerers.b.model=vllm/Qwen/Qwen2.5-VL-7B-Instruct \\
        endpoint@checker=openai checker.model=openai/o4-mini judge=rules
    python data_prep/filter_questions.py folder=data/new stages=[length,duplicates]     asks no model

Writes `questions`, and beside it .dropped.jsonl (every question that was not kept, whole, and why) and
.yield.json; stage hard also writes responses.jsonl and verdicts.jsonl to `folder`. Finished calls are in
`journals`: the same command goes on after a kill, tries failed calls again, and pays none twice. A question
whose calls failed is undecided, listed and not kept. Ends with status 1 if calls were not made, or if nothing
is left.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.calling.program import say_failed
from align.construction.category import calls_of as check_calls
from align.construction.category import category_stage
from align.construction.drafts import Rules
from align.construction.examples import load_guides
from align.construction.filter import Filtered, run_stages, stages_of
from align.construction.hard import calls_of as answer_calls
from align.construction.hard import hard_stage, require_answerers
from align.construction.models import judge_of_refusals, models_of
from align.construction.pictures import require_images, split_by_image
from align.construction.selecting import coverage_stage, duplicates_stage, length_stage
from align.construction.yields import print_yield
from align.data.report import progress_bar, say
from align.judging.making import models_in
from align.records import Question, Response, Verdict, read_records, write_json, write_records
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="filter_questions")
@ends_with_message
def main(cfg: DictConfig) -> None:
    folder, config, out = run_folder(), to_plain(cfg), Path(cfg.questions)
    names = stages_of(config["stages"])
    questions = read_records(cfg.candidates, Question)[: cfg.limit]
    rules, guides = Rules(**config["rules"]), load_guides(cfg.examples)
    answerers = models_of(config["answerers"], config["decoding"]["answer"], cfg.journals, "answer")
    checker = {"checker": config["checker"]} if config.get("checker") else {}
    checkers = models_of(checker, config["decoding"]["check"], cfg.journals, "check")
    judge = judge_of_refusals(config["judge"], root=cfg.images, journals=cfg.journals, seed=cfg.seed)
    if "hard" in names:
        require_answerers(answerers, cfg.hard.at_least)
    if "category" in names and not checkers:
        raise ValueError(
            "stage category has no checker: endpoint@checker=openai checker.model=openai/o4-mini, or leave "
            "it out of stages"
        )
    if {"hard", "category"} & set(names):
        require_images(questions, cfg.images)
    usage: dict[str, dict] = {}
    stopped: list[str] = []
    said: dict[str, list] = {}

    for model in answerers if "hard" in names else []:
        model.print_estimate(answer_calls(questions, cfg.images), cfg.seed)
    for model in checkers if "category" in names else []:
        calls = check_calls(questions, guides, cfg.images, cfg.category.answers)
        model.print_estimate(calls, cfg.seed)
    if cfg.dry_run:
        say("dry_run=true: no call was made and nothing was written")
        return

    def hard(questions: list[Question], before: Filtered):
        with progress_bar("answers") as progress:
            found = hard_stage(
                questions,
                answerers,
                judge,
                cfg.images,
                at_least=cfg.hard.at_least,
                ask_all=cfg.hard.ask_all,
                seed=cfg.seed,
                progress=lambda name, done, total: progress(done, total),
            )
        said.update(responses=found.responses, verdicts=found.verdicts)
        usage["hard"] = found.usage
        stopped.extend(found.stopped)
        stopped.extend(f"judge {each.name}: {each.stopped}" for each in models_in(judge) if each.stopped)
        return found.kept, found.dropped

    def category(questions: list[Question], before: Filtered):
        with progress_bar("checks") as progress:
            found = category_stage(
                questions,
                checkers[0],
                guides,
                cfg.images,
                answers=cfg.category.answers,
                seed=cfg.seed,
                progress=lambda name, done, total: progress(done, total),
            )
        usage["category"] = found.usage
        stopped.extend(found.stopped)
        return found.kept, found.dropped

    stages = {
        "length": lambda questions, before: length_stage(questions, rules),
        "hard": hard,
        "category": category,
        "duplicates": lambda questions, before: duplicates_stage(questions, **cfg.duplicates, seed=cfg.seed),
        "coverage": lambda questions, before: coverage_stage(
            questions, **config["coverage"], undecided=before.undecided_categories, seed=cfg.seed
        ),
    }
    try:
        result = run_stages(
            questions,
            {name: stages[name] for name in names},
            require_twin=cfg.require_twin,
            after=print_yield,
        )
    except KeyboardInterrupt as stop:
        say(str(stop) or "Stopped; finished calls are kept, and the same command goes on from there.")
        sys.exit(130)

    if config["split"] is not None and result.questions:
        result.questions = split_by_image(result.questions, cfg.images, config["split"], seed=cfg.seed)
    judges = {each.name: each.used for each in models_in(judge)} if "hard" in names else {}
    summary = {
        "yields": result.yields,
        "usage": usage | ({"judge": judges} if judges else {}),
        "stopped": stopped,
        "run": str(folder),
    }
    kept = {question.id for question in result.questions}
    for name, rows in said.items():  # apart: steps that read them beside the questions refuse rows of others
        file, own = out.with_name(f"{name}.jsonl"), {place_of(row) for row in rows}
        there = read_records(file, type(rows[0])) if rows and file.exists() else []
        rows = [*(row for row in there if place_of(row) not in own), *rows]
        write_records(file, [row for row in rows if row.question_id in kept])
        others = [row for row in rows if row.question_id not in kept]
        write_records(out.with_name(f"{name}.dropped.jsonl"), others)
    write_records(out, result.questions)
    dropped_file = out.with_suffix(".dropped.jsonl")
    write_records(dropped_file, result.dropped)
    write_json(out.with_suffix(".yield.json"), summary)
    inputs = {"candidates": cfg.candidates, "questions": out}
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs=inputs | ({"examples": cfg.examples} if cfg.examples else {}),
        digests={f"{stage} {name}": each["digest"] for stage in usage for name, each in usage[stage].items()}
        | ({"judge": judge.digest} if "hard" in names else {}),
        results=summary,
    )
    left = len(result.questions)
    answerable = sum(question.answerable for question in result.questions)
    say(f"questions: {out} ({left - answerable} unanswerable, {answerable} answerable, of {len(questions)})")
    if any(question.split is None for question in result.questions):
        say("They have no split yet; training data needs one: split={train:0.8,validation:0,test:0.2}")
    if result.dropped:
        undecided = sum(row.undecided for row in result.dropped)
        say(f"{len(result.dropped)} not kept, {undecided} of them undecided: {dropped_file}")
        if undecided:
            say("Undecided are those whose calls failed or were not made")
    asked = sum(used["failed"] for stage in usage.values() for used in stage.values())
    say_failed(asked + sum(used.get("failed_calls", 0) for used in judges.values()), dropped_file)
    for why in stopped:
        say(f"Stopped: {why}")
    if stopped or not result.questions:
        sys.exit(1)


def place_of(row: Response | Verdict) -> tuple[str | None, ...]:
    return row.question_id, row.model, row.model_digest, getattr(row, "judge", None)


if __name__ == "__main__":
    main()
