"""How far a judge agrees with people, with exact labels, or with another judge.

    python evaluate/judge_agreement.py labels=LABELS judge=rules                    judge them now
    python evaluate/judge_agreement.py labels=runs/review/responses/verdicts.human.jsonl \
        verdicts=data/photos/verdicts.jsonl                                         what a judge has said
    python evaluate/judge_agreement.py verdicts='{old: FILE, new: FILE}'            two judges, no labels
    python evaluate/judge_agreement.py labels=LABELS judge=local passes=3           and the judge with itself

Writes agreement.json and agreement.md, and verdicts.jsonl if a judge was run. What a judge left unscored is
never counted as agreement: it is a column of its own. Finished calls are in `journal`: the same command with
out=FOLDER goes on after a kill.
"""

from __future__ import annotations

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.report import console, progress_bar, say
from align.evaluation import statistics
from align.judging.agreement import compare, matrix
from align.judging.agreement_inputs import facts_of, gather, grouping, sources_of, used_before
from align.judging.agreement_tables import agreement_tables, terminal_table
from align.judging.consistency import consistency
from align.judging.files import write_verdicts
from align.judging.labels import require_images
from align.judging.making import make_judge, models_in
from align.judging.raters import raters_in, require_unique
from align.records import atomic_write, write_json
from align.reporting.tables import to_markdown
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="judge_agreement")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder = to_plain(cfg), run_folder()
    try:
        found = gather(config)
        facts = facts_of(found.items, found.facts)
        by = grouping(config["by"], facts)
        run = _judge(config, folder, found.items) if config.get("judge") else {}
        if run is None:
            return
        raters = [*found.raters, *run.get("raters", [])]
        require_unique(raters)
        reference, others = found.reference(raters, config["reference"])
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error

    report = {
        "reference": reference.name,
        "raters": {r.name: {"verdicts": len(r.said), "digest": r.digest, "source": r.source} for r in raters},
        "against_reference": {
            rater.name: compare(reference, rater, facts=facts, by=by, resamples=cfg.resamples, seed=cfg.seed)
            for rater in others
        },
        "matrix": matrix(raters),
        "consistency": run.get("consistency"),
        "used": run.get("used") or used_before(raters),
        "stopped": run.get("stopped"),
        "level": statistics.LEVEL,
        "resamples": cfg.resamples,
        "intervals": "bootstrap of images (or questions, if no image is known); precision, recall: Wilson",
    }
    write_json(folder / "agreement.json", report)
    sections = []
    for title, columns, rows in agreement_tables(report):
        console.print(terminal_table(title, columns, rows))
        sections.append(
            f"## {title}\n\n{to_markdown(columns, [dict(zip(columns, r, strict=True)) for r in rows])}"
        )
    with atomic_write(folder / "agreement.md") as stream:
        stream.write("# Agreement of judges\n\n" + "\n".join(sections))
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs=sources_of(config),
        digests={f"judge {rater.name}": rater.digest for rater in raters if rater.digest},
        results={"used": report["used"]},
    )
    say(str(folder / "agreement.json"))
    if report["stopped"]:
        say(report["stopped"])
        sys.exit(1)


def _judge(config, folder, items):
    """Run the judge on the labelled responses; None for a dry run."""
    if not items:
        raise ValueError(
            "judge=... judges texts, and these labels hold none: give questions=FILE and responses=FILE"
        )
    with progress_bar(f"judging {len(items)} responses") as progress:
        judge = make_judge(
            config["judge"],
            root=config["root"] or Path(config["labels"]).parent,
            journal=config["journal"] or folder / "journal",
            seed=config["seed"],
            progress=lambda asked, done, total: progress(done, total),
        )
        passes = [judge.repeated(number) for number in range(config["passes"])]
        models = [model for each in passes for model in models_in(each)]
        if any(ask.shown.image for model in models for ask in model.questions.values()):
            require_images(items, config["labels"])
        for model in models:
            model.print_estimate(items)
        if config["dry_run"]:
            say("dry_run=true: no call was made and nothing was written")
            return None
        try:
            said = [each.judge(items) for each in passes]
        except KeyboardInterrupt as stop:
            say(str(stop))
            sys.exit(130)
    write_verdicts(folder / "verdicts.jsonl", said[0], judge)
    used = {model.name: model.used | {"responses": len(items)} for model in models_in(judge) if model.used}
    decoding = {
        f"{asked} at temperature {_temperature(ask.decoding.temperature)}"
        for model in models_in(judge)
        for asked, ask in model.questions.items()
    }
    return {
        "raters": raters_in(said[0], source="judged now"),
        "consistency": {
            "judge": judge.name,
            "passes": len(said),
            "decoding": ", ".join(sorted(decoding)) or "rules",
            "by": consistency(said),
        }
        if len(said) > 1
        else None,
        "used": used,
        "stopped": next((model.stopped for model in models if model.stopped), None),
    }


def _temperature(value):
    return "of the provider's choice" if value is None else f"{value:g}"


if __name__ == "__main__":
    main()
