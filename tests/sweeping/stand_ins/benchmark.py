"""Stands in for evaluate/benchmark.py: reports what a stand-in of a recipe learnt."""

import json
import sys
from pathlib import Path

words = dict(word.lstrip("+").split("=", 1) for word in sys.argv[1:])
out = Path(words["out"].strip("'"))
if words.get("batch_size") == "0":
    raise SystemExit("batch_size=0: give at least 1")
adapter = words.get("adapter", "").strip("'")
results = {"kind": "honesty", "task": "miniworld", "n": 20, "n_failed": 0}
results |= {"refusal_rate": 0.0, "over_refusal_rate": 0.0, "answer_accuracy": 0.995, "intervals": {}}
if adapter:
    learnt = Path(adapter) / "learnt.json"  # a real recipe leaves none
    results |= json.loads(learnt.read_text()) if learnt.is_file() else {"refusal_rate": 0.5}
(out / "miniworld").mkdir(parents=True, exist_ok=True)
with (out / "starts.jsonl").open("a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + "\n")
rows = []
for i in range(20):
    category, rate = ("Answerable", "over_refusal_rate") if i % 2 else ("False_Premises", "refusal_rate")
    state = "abstain" if i / 20 < (results[rate] or 0) else "answer"
    row = {"question_id": f"q{i}", "image": f"{i}.png", "question": "?", "grader": "none", "response": "x"}
    rows.append(row | {"category": category, "state": state})
(out / "miniworld" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
(out / "miniworld" / "results.json").write_text(json.dumps(results))
(out / "run.json").write_text("{}")
