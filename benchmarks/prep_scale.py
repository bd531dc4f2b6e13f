"""Data preparation at the benchmark's size: seconds and peak memory of each step.

    python benchmarks/prep_scale.py                                12,158 questions on 2,334 images
    python benchmarks/prep_scale.py --images 200 --out /tmp/scale  fewer, in a folder that is kept

Writes a synthetic upstream set first: JPEG pictures of COCO's size (640 x 480, 60 to 200 KB), all different,
and questions in MoHoBench's form, with its numbers of each category. Then the programs as a user runs them:
ingest, honest answers without a teacher, SFT rows, pairs, audit; the responses that pairs need are made up.
What a step takes includes the start of Python. Peak memory is that of the process and its children together,
sampled twenty times a second. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from align.records import Question, Response, read_records, write_json, write_records
from align.run import hardware, package_versions

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = {
    "Context_Dependent": 3122,
    "False_Premises": 2623,
    "Subjective_or_Philosophical": 3983,
    "Vague_Description": 2430,
}
IMAGES = 2334
NOUNS = [
    "dog",
    "bench",
    "bicycle",
    "lamp",
    "bridge",
    "kite",
    "umbrella",
    "clock",
    "train",
    "bottle",
    "piano",
    "ladder",
]
PLACES = ["beside the window", "under the tree", "near the left edge", "behind the crowd", "on the table"]
FORMS = {
    "Context_Dependent": "What will the person with the {noun} {place} do {n} minutes after this?",
    "False_Premises": "What color is the {n}-armed {noun} that is hanging upside down {place}?",
    "Subjective_or_Philosophical": "Is it right that a {noun} like the one {place} costs {n} dollars?",
    "Vague_Description": "How is that part of the {noun} {place}, the one of the {n} that stands out?",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=IMAGES, help="questions are scaled with them")
    parser.add_argument("--out", type=Path, help="a folder that is kept; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        n_questions = make_upstream(out, options.images)
        print(f"upstream set made in {time.monotonic() - start:.0f} s", flush=True)
        result = measure(out)
    result |= {"questions": n_questions, "images": options.images}
    print(json.dumps(result | {"packages": package_versions(), "hardware": hardware()}))


def measure(out: Path) -> dict[str, dict[str, float]]:
    data, images = out / "data", out / "images"
    run = f"out={out}/runs"
    steps = {
        "ingest": ["ingest.py", f"input={out}/mohobench.json", f"images={images}", f"out={data}"],
        "write_honest_answers": ["write_honest_answers.py", f"folder={data}", f"root={images}", run],
        "build_sft": ["build_sft.py", f"folder={data}", "mix.ratio.answer=0", run],
        "build_pairs": ["build_pairs.py", f"folder={data}", "mix.ratio.answer=0", run],
        "audit": [
            "audit.py",
            "data=files",
            f"data.pairs={data}/pairs.jsonl",
            f"data.root={images}",
            f"test={data}/questions.jsonl",
            run,
        ],
    }
    seconds, memory = {}, {}
    for name, words in steps.items():
        if name == "build_pairs":
            make_responses(data)
        seconds[name], memory[name] = watched([sys.executable, f"data_prep/{words[0]}", *words[1:]])
        print(f"{name}: {seconds[name]:.1f} s, {memory[name]:.0f} MiB", flush=True)
    return {"seconds": seconds, "peak_memory_mib": memory}


def watched(command: list[str]) -> tuple[float, float]:
    """Run a program. Returns seconds and the peak of its and its children's resident memory in MiB."""
    start = time.monotonic()
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it goes with the function
    process = psutil.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process))
        time.sleep(0.05)
    seconds = time.monotonic() - start
    if process.returncode:
        said.seek(0)
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{said.read()}")
    return round(seconds, 2), round(peak / 2**20, 1)


def _resident(process: psutil.Process) -> int:
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def make_upstream(out: Path, n_images: int) -> int:
    """`mohobench.json` and `images/`, the same for the same number. Returns how many questions."""
    (out / "images").mkdir(exist_ok=True)
    names = [f"{number:012d}.jpg" for number in range(n_images)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw, [(out / "images" / name, n) for n, name in enumerate(names)], chunksize=50))
    rng = random.Random(0)
    rows = []
    for category, count in QUESTIONS.items():
        for number in range(round(count * n_images / IMAGES)):
            # Every image has some question of each category, as far as there are so many.
            noun, place = rng.choice(NOUNS), rng.choice(PLACES)
            rows.append(
                {
                    "image_path": names[number % n_images],
                    "question": FORMS[category].format(noun=noun, place=place, n=number),
                    "category": category,
                    "reason": f"Nothing in the picture says that of the {noun} {place}.",
                    "caption": f"A {noun} is {place}, and there are other things around it.",
                }
            )
    with (out / "mohobench.json").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    return len(rows)


def _draw(job: tuple[Path, int]) -> None:
    """A picture that has structure at all scales, as photographs do, and so their size in bytes."""
    path, seed = job
    if path.exists():
        return
    rng = np.random.default_rng(seed)
    canvas = np.zeros((480, 640, 3), np.float32)
    for cells, weight in ((4, 90.0), (16, 45.0), (64, 22.0), (240, 11.0)):
        small = rng.uniform(-1, 1, (cells, cells * 4 // 3, 3)).astype(np.float32)
        layers = [
            Image.fromarray(small[..., c]).resize((640, 480), Image.Resampling.BICUBIC) for c in range(3)
        ]
        canvas += weight * np.stack([np.asarray(layer) for layer in layers], axis=-1)
    Image.fromarray(np.clip(canvas + 128, 0, 255).astype(np.uint8)).save(path, quality=90)


def make_responses(data: Path) -> None:
    """`responses.jsonl`: a made-up answer to every question of the training split."""
    questions = [q for q in read_records(data / "questions.jsonl", Question) if q.split == "train"]
    rng = random.Random(1)
    answers = (
        "It is {noun}-like and red.",
        "The {noun} stands there because it was moved.",
        "Three of them.",
    )
    write_records(
        data / "responses.jsonl",
        (
            Response(
                question_id=q.id, model="made-up", text=rng.choice(answers).format(noun=rng.choice(NOUNS))
            )
            for q in questions
        ),
    )
    write_json(data / "responses.note.json", {"made up by": "benchmarks/prep_scale.py"})


if __name__ == "__main__":
    main()
