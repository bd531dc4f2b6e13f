"""Run folders with a task of each kind, made up: marks, probabilities, a general benchmark, corruption."""

import random

from report_folders import pair_of_rows, write_run

from align.evaluation.corruption_results import summarize_corruption
from align.evaluation.general.figures import common_figures
from align.records import Graded, Scored, write_json, write_records

CONDITIONS = ("raw", "gaussian-1", "gaussian-5", "shot-5", "contrast-5", "blank", "no-image")


def marked(rows, rng):
    """The rows as a judge leaves them, with the model's probabilities; every 20th got no mark."""
    found = []
    for i, row in enumerate(rows):
        marks = {"logprob": -rng.expovariate(0.5), "tokens": 12}
        if i % 20:
            marks |= {"helpfulness": rng.randint(4, 9), "judge_said": f"Helpful, since {row.question_id}."}
            if row.state == "abstain":
                marks["rationality"] = rng.randint(5, 10)
        found.append(Graded.model_validate(row.model_dump() | marks))
    return found


def scored_rows(right, n=60):
    rng = random.Random(n)
    rows = []
    for i in range(n):
        state = "failed" if i == 7 else "unparsed" if i == 8 else "abstain" if i % 10 == 3 else "answer"
        score = None if state == "failed" else float(state == "answer" and rng.random() < right)
        rows.append(
            Scored(
                sample_id=f"g{i}",
                benchmark="pope",
                part=("random", "popular", "adversarial")[i % 3],
                image=f"images/{i % 12}.png",
                prompt=f"Is there a star in picture {i}? Answer yes or no.",
                gold=("yes",) if i % 2 else ("no",),
                response=None if state == "failed" else "Yes.",
                state=state,
                score=score,
                official=score,
                grader="pope",
                error="no answer in 60 s" if state == "failed" else None,
            )
        )
    return rows


def write_general(folder, rows, data_root):
    def figures(rows):
        f1 = {"value": 0.8, "interval": [0.7, 0.9], "n": len(rows), "official": True}
        return common_figures(rows) | {"f1": f1}

    parts = sorted({row.part for row in rows})
    write_records(folder / "samples.jsonl", rows)
    results = {
        "task": folder.name,
        "kind": "general",
        "model": {"name": "tiny_vlm"},
        "data_root": str(data_root),
        "headline": "f1",
        "figures": figures(rows),
        "by_part": {part: {"figures": figures([r for r in rows if r.part == part])} for part in parts},
    }
    write_json(folder / "results.json", results)
    write_json(folder / "configuration.json", {})


def write_corruption(folder, honest, data_root):
    rows = []
    for k, condition in enumerate(CONDITIONS):
        for i in range(40):
            for row in pair_of_rows(i, max(0.0, honest - 0.08 * k)):
                rows.append(row.model_copy(update={"condition": condition}))
    write_records(folder / "samples.jsonl", rows)
    model = {"name": "tiny_vlm"}
    results = {"task": folder.name, "kind": "corruption", "model": model, "data_root": str(data_root)}
    write_json(folder / "results.json", results | summarize_corruption(rows))
    write_json(folder / "configuration.json", {})


def write_full_run(folder, honest, data_root, *, seed=0, general=True, right=0.8):
    """A run folder in the form of `evaluate/benchmark.py task=[miniworld,corruption,pope]`."""
    rng = random.Random(seed)
    rows = marked([row for i in range(40) for row in pair_of_rows(i, honest)], rng)
    write_run(folder / "miniworld", rows, data_root, digest=f"digest-{folder.name}")
    (folder / "miniworld" / "run.json").rename(folder / "run.json")
    write_json(folder / "miniworld" / "configuration.json", {})
    write_corruption(folder / "corruption", honest, data_root)
    if general:
        write_general(folder / "pope", scored_rows(right), data_root)
    return folder
