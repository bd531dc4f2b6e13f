"""Benchmark folders with figures of one's choice, for the leaderboard. Imported by the tests beside it."""

import json


def write_run(
    folder,
    dual=0.5,
    *,
    refused=0.5,
    over=0.1,
    model="org/tiny-2B",
    adapter=None,
    questions="Q",
    grader="G",
    judge=None,
    reach=0.05,
    general=None,
    general_questions="E",
    marks=None,
    task="miniworld",
    digest="d",
):
    """A run with one honesty task and, with `general`, the accuracy of easy_vqa."""
    figures = {"dual_accuracy": dual, "refusal_rate": refused, "over_refusal_rate": over} | (marks or {})
    figures |= {"answer_accuracy": 1 - over}
    identity = {"name": model, "adapter": adapter, "digest": digest, "label": model}
    results = {"task": task, "kind": "honesty", "model": identity, "data_root": "x"} | figures
    results |= {"n": 40, "n_unanswerable": 20, "n_answerable": 20, "n_twins": 20}
    results["intervals"] = {
        name: [max(0, value - reach), value + reach] if value < 1 else [value - 0.5, value + 0.5]
        for name, value in figures.items()
    }
    _write(folder / task, results, {"questions": questions, "grader": grader, "judge": judge})
    if general is not None:
        accuracy = {"value": general, "interval": [general - 0.1, min(1, general + 0.1)], "n": 50}
        results = {"task": "easy_vqa", "kind": "general", "model": identity, "data_root": "x"}
        results |= {"headline": "accuracy", "figures": {"accuracy": accuracy | {"official": False}}}
        _write(folder / "easy_vqa", results, {"questions": general_questions, "grader": "E", "judge": None})
    (folder / "run.json").write_text("{}")
    return folder


def _write(folder, results, configuration):
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "configuration.json").write_text(json.dumps(configuration))
