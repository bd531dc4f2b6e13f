"""Judge responses: is it a refusal, how sound is its reason, how helpful is it.

    python data_prep/judge_responses.py folder=data/photos                             rules, no model
    python data_prep/judge_responses.py folder=data/mohobench root=IMAGE_FOLDER judge=paper
    python data_prep/judge_responses.py ... judge=local judge.endpoint.model=vllm/OWNER/NAME
    python data_prep/judge_responses.py ... judge=paper dry_run=true                   what it would cost
    python data_prep/judge_responses.py ... judge=paper shard=2/8              an eighth (docs/multi-node.md)
    python data_prep/judge_responses.py ... judge=paper join=8                 one file of the eight

Writes `verdicts`, and beside it .summary.json: refusals by category, marks, and what is unscored. A judgement
that failed is unscored, never a score. Finished calls are in `journal`: the same command goes on after a
kill, tries failed calls again, and pays none twice. Ends with status 1 when a budget or the endpoint stopped
it.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.calling.program import say_failed, say_shard
from align.calling.shards import divide, join_journals, note_shard, read_shard, require_shards
from align.data.report import console, print_summary, progress_bar, say
from align.judging.consistency import consistency
from align.judging.files import items_to_judge, judging_facts, to_these, write_verdicts
from align.judging.making import make_judge, models_in
from align.judging.summary import as_table, summarise
from align.records import Question, Response, read_records, write_json
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="judge_responses")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, verdicts_file = to_plain(cfg), run_folder(), Path(cfg.verdicts)
    shard, journal = read_shard(cfg.shard, cfg.join), Path(cfg.journal)
    if cfg.passes < 1:
        raise ValueError(f"passes must be 1 or more, not {cfg.passes}")
    questions, responses = read_records(cfg.questions, Question), read_records(cfg.responses, Response)
    others = 0
    if cfg.leave_out_others:
        given, responses = responses, to_these(responses, questions)
        others = len(given) - len(responses)
        say(
            f"{others} of {len(given)} response(s) are to questions that are not in {cfg.questions}: left out"
        )
    items = items_to_judge(
        questions,
        responses,
        split=cfg.split,
        model=cfg.model,
        limit=cfg.limit,
    )
    if shard is not None:
        items = shard.share(items, key=lambda item: item.question.id)
        verdicts_file, journal, folder = shard.path(verdicts_file), shard.path(journal), folder / shard.name
        say_shard(shard, len({item.question.id for item in items}))
    with progress_bar(f"judging {len(items)} responses") as progress:
        judge = make_judge(
            divide(config["judge"], shard),
            root=cfg.root,
            journal=journal,
            seed=cfg.seed,
            progress=lambda asked, done, total: progress(done, total),
        )
        facts = judging_facts(config, judge)
        if cfg.join is not None:
            join_journals(journal, require_shards(verdicts_file, cfg.join, facts))
        passes = [judge.repeated(number) for number in range(cfg.passes)]
        models = [model for each in passes for model in models_in(each)]
        for model in models:
            model.print_estimate(items)
        if cfg.dry_run:
            say("dry_run=true: no call was made and nothing was written")
            return
        try:
            said = [each.judge(items) for each in passes]
        except KeyboardInterrupt as stop:
            say(str(stop))
            sys.exit(130)

    verdicts = said[0]
    counts = write_verdicts(verdicts_file, verdicts, judge)
    results = {
        "judge": judge.name,
        "judge_digest": judge.digest,
        "verdicts": counts,
        "responses_to_other_questions": others,
        "used": {model.name: model.used for model in models_in(judge)},
        "stopped": next((model.stopped for model in models if model.stopped), None),
    }
    if cfg.passes > 1:
        results["consistency"] = consistency(said)
    summary = summarise(items, verdicts, judge.asks)
    write_json(verdicts_file.with_suffix(".summary.json"), results | {"rates": summary, "run": str(folder)})
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs={name: config[name] for name in ("questions", "responses")} | {"verdicts": verdicts_file},
        digests={"judge": judge.digest},
        results=results,
    )
    if shard is not None:
        note_shard(verdicts_file, shard, facts, stopped=results["stopped"])
    console.print(as_table(f"verdicts of {judge.name}", summary, judge.asks))
    print_summary(f"verdicts: {verdicts_file}", results)
    say_failed(sum(each.get("failed_calls", 0) for each in results["used"].values()), verdicts_file)
    if results["stopped"]:
        say(results["stopped"])
        sys.exit(1)


if __name__ == "__main__":
    main()
