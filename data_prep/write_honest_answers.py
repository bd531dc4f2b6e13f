"""Write what a model should say: honest refusals of unanswerable questions, and answers in full sentences.

    python data_prep/write_honest_answers.py folder=data/photos                    the composer, no model
    python data_prep/write_honest_answers.py folder=data/mohobench root=IMAGE_FOLDER teacher=model \\
        endpoint=openai endpoint.model=openai/gpt-4o judge=paper                   a teacher and a judge

Writes `answers` and, beside it, .left_out.jsonl (every question without an answer, and why) and
.summary.json (openings, lengths, attempts, tokens and dollars). Finished calls are in `journal`: the same
command goes on after a kill, tries failed calls again, and pays none twice. Ends with status 1 if a budget
or an endpoint stopped it, or if nothing was accepted.
"""

import json
import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.calling.program import refuse_overrides, say_failed
from align.data.report import print_summary, progress_bar, say
from align.data.split import select_split
from align.data.writers import Composer, Remembered, Teacher, make_teacher
from align.data.writing import Bounds, write_answers
from align.data.writing_input import questions_to_answer
from align.data.writing_judge import why_stopped, without_helpfulness
from align.data.writing_summary import summarise
from align.judging.judged import judge_texts
from align.judging.making import make_judge, models_in
from align.records import Question, read_records, write_json, write_records
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="write_honest_answers")
@ends_with_message
def main(cfg: DictConfig) -> None:
    folder, answers_file, config = run_folder(), Path(cfg.answers), to_plain(cfg)
    if cfg.teacher not in ("composer", "model"):
        raise ValueError(f"teacher must be composer or model, not {cfg.teacher!r}")
    endpoint = config.get("endpoint")
    if (cfg.teacher == "model") != (endpoint is not None):
        raise ValueError(
            "teacher=model needs the endpoint to ask (endpoint=openai, openai_compatible, vllm or sglang), "
            "and teacher=composer takes none"
        )
    if cfg.teacher == "composer":
        asking = ["dry_run", "specification", "show_caption", "decoding"]
        refuse_overrides(asking, "it is for teacher=model, and the composer asks no one")
    bounds = Bounds(**config["bounds"])
    questions = select_split(read_records(cfg.questions, Question), cfg.split)
    questions = questions_to_answer(questions, config["kinds"], cfg.limit)

    writer: Composer | Teacher = Composer(cfg.seed, bounds.most_words, bounds.opening_words)
    remembered, calls = None, Path(cfg.journal)
    if cfg.teacher == "model":
        writer = make_teacher(
            endpoint,
            config["decoding"],
            questions,
            cfg.root,
            calls / "teacher.jsonl",
            specification=cfg.specification,
            seed=cfg.seed,
            caption=cfg.show_caption,
            most_words=bounds.most_words,
        )
        writer.print_estimate(questions)
        say(f"That is for the first texts; up to {bounds.attempts} a question are asked for, and judged.")
        if cfg.dry_run:
            say("dry_run=true: no call was made and nothing was written")
            return
        asked = [writer.digest, writer.specification, cfg.seed, cfg.show_caption, config["bounds"]]
        ids = sorted(question.id for question in questions)
        remembered = Remembered(calls / "rounds.json", json.dumps([asked, ids]))

    with progress_bar(f"honest answers by {writer.source}") as progress:
        judge = make_judge(
            without_helpfulness(config["judge"]),
            root=cfg.root,
            journal=calls,
            seed=cfg.seed,
            progress=lambda asked, done, total: progress(done, total),
        )
        if isinstance(writer, Teacher):
            writer.progress = progress
        try:
            writing = write_answers(
                questions,
                writer,
                judge_texts(judge, writer.source),
                bounds,
                seed=cfg.seed,
                avoided=remembered,
                judge_stopped=partial(why_stopped, judge),
                progress=progress,
            )
        except KeyboardInterrupt as stop:
            say(str(stop))
            sys.exit(130)
    usage = {f"judge {model.name}": model.used for model in models_in(judge)}
    if isinstance(writer, Teacher):
        usage["teacher"] = writer.used
    summary = summarise(writing, questions, bounds, usage)
    left_out_file = answers_file.with_suffix(".left_out.jsonl")
    write_records(answers_file, writing.answers)
    write_records(left_out_file, writing.left_out)
    write_json(answers_file.with_suffix(".summary.json"), summary | {"run": str(folder)})
    inputs = {"questions": cfg.questions} | (
        {"specification": cfg.specification} if cfg.specification else {}
    )
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs=inputs | {"answers": answers_file, "left_out": left_out_file},
        digests={"judge": judge.digest} | ({"teacher": writer.digest} if writer.digest else {}),
        results=summary,
    )
    print_summary(f"honest answers: {answers_file}", summary)
    if writing.left_out:
        say(f"{len(writing.left_out)} question(s) have none: {left_out_file}")
    say_failed(sum(used.get("failed_calls", 0) for used in usage.values()), left_out_file)
    if writing.stopped:
        say(writing.stopped)
    if writing.stopped or not writing.answers:
        sys.exit(1)


if __name__ == "__main__":
    main()
