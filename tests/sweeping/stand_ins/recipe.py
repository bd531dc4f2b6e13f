"""Stands in for a recipe: reads the same words, leaves the same files, learns nothing.

What it "learns" hangs on its words, and `+fault=...` makes it fail in the ways that trainers do.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

words = dict(word.lstrip("+").split("=", 1) for word in sys.argv[1:])
out = Path(words["out"].strip("'"))
fault = words.get("fault", "")
steps = int(words.get("steps", 4))
out.mkdir(parents=True, exist_ok=True)
with (out / "starts.jsonl").open("a") as stream:
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    stream.write(json.dumps({"words": sys.argv[1:], "gpu": gpu, "at": time.time()}) + "\n")

while len(list(out.parent.parent.glob("*/train/starts.jsonl"))) < int(words.get("meet", 1)):
    time.sleep(0.05)  # until so many recipes run side by side
if fault == "exception":
    raise ValueError("the loss is not finite")
if fault == "memory":
    print("step 3", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
if fault == "worker":  # a launcher that is killed and leaves its worker
    script = "import time, sys; print('worker', flush=True); time.sleep(600)"
    worker = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    (out / "worker.pid").write_text(str(worker.pid))
    time.sleep(float(words.get("wait", 600)))
    os.kill(os.getpid(), signal.SIGKILL)

good = float(words.get("trainer.learning_rate", 0.5)) + (0.1 if words.get("method") == "simpo" else 0.0)
done = json.loads((out / "checkpoint.json").read_text()) if words["resume"] == "true" else 0
with (out / "probe.jsonl").open("a") as probe:
    for step in range(done, steps):
        for i in range(10):
            row = {
                "step": step,
                "question_id": f"q{i}",
                "image": f"{i}.png",
                "question": "?",
                "grader": "none",
            }
            category = "Answerable" if i % 2 else "False_Premises"
            state = "abstain" if not i % 2 and i / 10 < good * step / steps else "answer"
            probe.write(json.dumps(row | {"category": category, "state": state, "response": "x"}) + "\n")
        probe.flush()
        (out / "checkpoint.json").write_text(str(step + 1))
        time.sleep(float(os.environ.get("SWEEP_TEST_PACE", 0)))
        if fault == "once" and step == 1 and not done:
            os.kill(os.getpid(), signal.SIGKILL)
(out / "adapter").mkdir(exist_ok=True)
seed = int(words.get("seed", 0))
learnt = {"refusal_rate": min(1.0, good + 0.01 * seed), "over_refusal_rate": 0.05}
learnt["answer_accuracy"] = 0.99 if words.get("method") != "orpo" else 0.5
if fault == "figure":
    learnt["refusal_rate"] = None
if fault == "rows":
    learnt["n_failed"] = 3
(out / "adapter" / "learnt.json").write_text(json.dumps(learnt))
(out / "run.json").write_text("{}")
