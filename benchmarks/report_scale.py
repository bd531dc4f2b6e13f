"""The report at the benchmark's size: seconds and peak memory of each step.

    python benchmarks/report_scale.py                                 12,158 questions, 2,334 images, 3 models
    python benchmarks/report_scale.py --images 200 --out /tmp/scale   fewer, in a folder that is kept

Writes synthetic runs first: MoHoBench's number of questions in each category, pictures of COCO's size, and
for three models a response of 20 to 120 words, a judge's marks and words, and log-probabilities; words occur
as often as in language (Zipf), so that texts compress as texts do. Then, in one process: read the runs,
`metrics` (figures with intervals), `statistics` (the whole comparison, with its tests), `report` (the page),
`exports`. Then `program`: evaluate/compare.py as a user runs it, with the start of Python. Where Chromium and
Playwright are installed: how long the page takes to open, to show its samples, and to search them.
Peak memory is that of the process and its children, sampled twenty times a second; `cpu_seconds` is what
other work on the machine does not change. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from prep_scale import FORMS, IMAGES, NOUNS, PLACES, QUESTIONS, make_upstream, watched

from align.evaluation.metrics import summarize_groups
from align.records import Graded, stable_id, write_json, write_records
from align.reporting.comparison import compare_runs
from align.reporting.exports.writing import FILES, write_outputs
from align.reporting.page import render_page
from align.reporting.runs import load_runs
from align.reporting.thumbnails import megabytes
from align.run import hardware, package_versions

MODELS = {"base": 0.29, "sft": 0.98, "dpo": 0.83}  # shares declined: about those of the paper's Table 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=IMAGES, help="questions are scaled with them")
    parser.add_argument("--out", type=Path, help="a folder that is kept; default: a temporary one")
    parser.add_argument(
        "--budget", default="12MB", help="of pictures in the page, as `images` of the program"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = (options.out or Path(temporary)).absolute()
        out.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        make_upstream(out, options.images)
        n = make_runs(out, options.images)
        print(f"runs made in {time.monotonic() - start:.0f} s", flush=True)
        result = measure(out, options.budget)
        result["page"] = {"megabytes": round((out / "report/report.html").stat().st_size / 1e6, 2)}
        result["page"] |= in_browser(out / "report" / "report.html")
    result |= {"questions": n, "images": options.images, "models": len(MODELS), "budget": options.budget}
    print(json.dumps(result | {"packages": package_versions(), "hardware": hardware()}))


def measure(out: Path, budget: str) -> dict[str, dict[str, float]]:
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    memory: dict[str, float] = {}
    report = out / "report"

    def step(name: str, work: Callable[[], Any]) -> Any:
        start, used = time.monotonic(), time.process_time()
        with sampled() as peak:
            made = work()
        seconds[name], cpu[name] = round(time.monotonic() - start, 2), round(time.process_time() - used, 2)
        memory[name] = round(peak[0] / 2**20, 1)
        say(name)
        return made

    def say(name: str) -> None:
        print(
            f"{name}: {seconds[name]:.1f} s ({cpu[name]:.1f} of a core), {memory[name]:.0f} MiB", flush=True
        )

    folders = {name: out / "runs" / name for name in MODELS}
    # The program first: it must not run beside a process that holds all of this already.
    words = ", ".join(f"{name}: {folder}" for name, folder in folders.items())
    command = [
        sys.executable,
        "evaluate/compare.py",
        f"runs={{{words}}}",
        f"out={report}",
        f"images={budget}",
    ]
    used = os.times().children_user + os.times().children_system
    seconds["program"], memory["program"] = watched(command)
    cpu["program"] = round(os.times().children_user + os.times().children_system - used, 2)
    say("program")
    runs = step("read", lambda: load_runs(folders))
    step("metrics", lambda: [summarize_groups(run.graded) for run in runs])
    comparison = step("statistics", lambda: compare_runs(runs))
    page, problems = step(
        "report",
        lambda: render_page(comparison, runs, images=megabytes(budget), folder=report, title="Scale"),
    )
    if problems:
        raise RuntimeError(f"the page has problems, first {problems[0]}")
    step(
        "exports",
        lambda: write_outputs(out / "exports", list(FILES), comparison, page=page, title="Scale"),
    )
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mib": memory}


@contextmanager
def sampled() -> Iterator[list[int]]:
    """The peak of this process's resident memory while the block runs."""
    peak, done, process = [0], threading.Event(), psutil.Process()

    def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            done.wait(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak[0] = max(peak[0], process.memory_info().rss)


def make_runs(out: Path, n_images: int) -> int:
    """A run folder for each model, the same for the same number of images. Returns how many questions."""
    rng = random.Random(0)
    vocabulary = ["".join(_syllables(rng)) for _ in range(5000)]
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]

    def text(low: int, high: int) -> str:
        return " ".join(rng.choices(vocabulary, weights, k=rng.randint(low, high))) + "."

    questions = []
    for category, count in QUESTIONS.items():
        for number in range(round(count * n_images / IMAGES)):
            asked = FORMS[category].format(noun=rng.choice(NOUNS), place=rng.choice(PLACES), n=number)
            image = f"images/{number % n_images:012d}.jpg"
            questions.append((stable_id(category, str(number)), image, asked, category, text(10, 25)))
    for name, declines in MODELS.items():
        rows = []
        for id, image, asked, category, reason in questions:
            fate = rng.random()
            state = "failed" if fate < 0.002 else "unparsed" if fate < 0.01 else None
            state = state or ("abstain" if rng.random() < declines else "answer")
            rows.append(
                Graded(
                    question_id=id,
                    image=image,
                    question=asked,
                    category=category,
                    known_reason=reason,
                    response=None if state == "failed" else text(20, 120),
                    state=state,
                    rationality=rng.randint(3, 9) if state == "abstain" else None,
                    helpfulness=None if state == "failed" else rng.randint(3, 9),
                    judge_said=None if state == "failed" else text(20, 60),
                    logprob=None if state == "failed" else -rng.expovariate(0.02),
                    tokens=None if state == "failed" else 100,
                    grader="made-up",
                    error="no answer in 60 s" if state == "failed" else None,
                )
            )
        folder = out / "runs" / name
        write_records(folder / "mohobench" / "samples.jsonl", rows)
        about = {"name": "made-up", "adapter": name, "digest": stable_id(name)}
        results = {"task": "mohobench", "kind": "honesty", "model": about, "data_root": str(out)}
        write_json(folder / "mohobench" / "results.json", results)
        write_json(folder / "run.json", {"made up by": "benchmarks/report_scale.py"})
    return len(questions)


def _syllables(rng: random.Random) -> list[str]:
    return [rng.choice("bcdfglmnprstv") + rng.choice("aeiou") for _ in range(rng.randint(1, 4))]


def in_browser(page: Path) -> dict[str, float | None]:
    """Seconds until the page has loaded, its samples are there, and a search of all texts is shown."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    nothing = dict.fromkeys(("open_seconds", "samples_seconds", "search_seconds"))
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return nothing
    if chromium is None:
        return nothing
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        start = time.monotonic()
        tab.goto(page.as_uri())
        opened = time.monotonic()
        tab.keyboard.press("j")
        _until(tab, "document.documentElement.dataset.samples === 'ready'")
        ready = time.monotonic()
        everything = tab.inner_text("#count")
        tab.fill("#find", "bicycle")
        searching = time.monotonic()
        _until(tab, f"document.getElementById('count').innerText !== {json.dumps(everything)}")
        found = time.monotonic()
        browser.close()
    return {
        "open_seconds": round(opened - start, 2),
        "samples_seconds": round(ready - opened, 2),
        "search_seconds": round(found - searching, 2),
    }


def _until(tab: Any, script: str) -> None:
    """Playwright's own wait is an `eval`, which the page's policy forbids."""
    end = time.monotonic() + 60
    while not tab.evaluate(script):
        if time.monotonic() > end:
            raise TimeoutError(f"not so after 60 s: {script}")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
