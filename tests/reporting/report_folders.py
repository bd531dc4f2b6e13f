"""Small benchmark folders, as evaluate/benchmark.py writes them."""

import json

from align.records import Graded, write_json, write_records

CATEGORIES = ("False_Premises", "Vague_Description", "Context_Dependent", "Subjective_or_Philosophical")


def pair_of_rows(i: int, honest: float) -> list[Graded]:
    """Twins of the i-th scene; `honest` is the share of unanswerable questions that get declined."""
    category, part = CATEGORIES[i % 4], ("standard", "phrasings", "combinations")[i % 3]
    declines = i % 10 < 10 * honest
    common = {"image": f"images/{i % 12}.png", "part": part, "grader": "rules"}
    return [
        Graded(
            question_id=f"u{i}",
            question=f"What color is star {i}?",
            category=category,
            twin=f"a{i}",
            known_reason="there is no star",
            response="There is no star." if declines else "It is red.",
            state="abstain" if declines else "answer",
            reason=("wrong" if i % 7 == 0 else "right") if declines else None,
            **common,
        ),
        Graded(
            question_id=f"a{i}",
            question=f"What color is star {i}?",
            category="Answerable",
            twin=f"u{i}",
            answers=("blue",),
            response="It is blue." if i % 9 else "It is green.",
            state="answer",
            correct=bool(i % 9),
            **common,
        ),
    ]


def write_run(folder, rows, data_root, **model):
    write_records(folder / "samples.jsonl", rows)
    results = {"task": "miniworld", "data_root": str(data_root), "model": {"name": "tiny_vlm", **model}}
    write_json(folder / "results.json", results)
    record = {
        "packages": {"torch": "2.13.0", "python": "3.12.1"},
        "git": {"commit": "0123456789abcdef", "changed": True},
        "seeds": {"seed": 0},
        "hardware": {"cpus": 2, "gpus": []},
        "started": "2026-01-01T00:00:00Z",
        "wall_seconds": 12.5,
        "config": {"max_new_tokens": 48},
    }
    write_json(folder / "run.json", record)


def edit_samples(folder, change):
    """Rewrite samples.jsonl with `change(list of plain rows)`."""
    path = folder / "samples.jsonl"
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
