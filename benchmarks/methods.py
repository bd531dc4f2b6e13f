"""One table of methods on the miniature world: refusal, right reason, over-refusal, answer accuracy.

    python benchmarks/methods.py                  all methods, with and without `answer` pairs, 3 seeds
    python benchmarks/methods.py methods=[dpo,orpo] seeds=[0]

Every cell is `recipes/dpo.py` or `recipes/sft.py` as a user runs it, with one setting changed, and then the
whole test split, decoded greedily and graded exactly. Cells are kept in `out`: a run that is stopped goes on.
Rows without `answer` pairs are the same file without them; the number of steps is the same. Prints Markdown
(mean and, in brackets, the smallest and largest of the seeds) and, as the last line, one JSON object.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from align.evaluation.metrics import summarize
from align.evaluation.scorers import graded_record
from align.miniworld.grader import grade
from align.miniworld.prepare import ensure_pairs, ensure_questions
from align.miniworld.questions import Query
from align.miniworld.scenes import Scene
from align.models.generation import Request, generate
from align.models.loading import LoadedModel, load_model
from align.records import Pair, SFTRow, read_records, write_json, write_records
from align.run import hardware, package_versions

ROOT = Path(__file__).resolve().parent.parent
SHOWN = {
    "refusal_rate": "declines",
    "reason_accuracy": "right reason",
    "over_refusal_rate": "over-refusal",
    "answer_accuracy": "answers right",
    "dual_accuracy": "both twins",
}


@hydra.main(version_base="1.3", config_path="../configs", config_name="methods")
def main(cfg: DictConfig) -> None:
    home, out = Path(cfg.data), Path(cfg.out)
    ensure_pairs(home)
    for name, kind in (("pairs", Pair), ("sft", SFTRow)):
        rows = read_records(home / f"{name}.jsonl", kind)  # type: ignore[type-var]
        write_records(out / f"{name}-refuse.jsonl", [row for row in rows if row.kind == "refuse"])
    base = out / "base.json"
    if not base.exists():
        write_json(base, rates(load_model("tiny_vlm"), home))

    cells = [
        (method, answers, seed) for answers in (True, False) for seed in cfg.seeds for method in cfg.methods
    ]
    done = 0
    # One thread each: a model this small does not fill more.
    with ThreadPoolExecutor(cfg.at_once) as pool:
        for name in pool.map(lambda cell: run_cell(*cell, cfg=cfg, home=home, out=out), cells):
            done += 1
            print(f"{done}/{len(cells)}  {name}", flush=True)

    table = {
        f"{method}{'' if answers else ' without answer pairs'}": [
            json.loads((out / cell_name(method, answers, seed) / "rates.json").read_text())
            for seed in cfg.seeds
        ]
        for method in cfg.methods
        for answers in (True, False)
    }
    print(markdown({"base": [json.loads(base.read_text())], **table}))
    result = {
        "rates": table,
        "base": json.loads(base.read_text()),
        "seeds": list(cfg.seeds),
        "settings": OmegaConf.to_container(cfg.settings),
        "packages": package_versions(),
        "hardware": hardware(),
    }
    print(json.dumps(result))


def cell_name(method: str, answers: bool, seed: int) -> str:
    return f"{method}-{'both' if answers else 'refuse'}-{seed}"


def run_cell(method: str, answers: bool, seed: int, *, cfg: DictConfig, home: Path, out: Path) -> str:
    """Train one adapter and grade it, unless that was done."""
    name = cell_name(method, answers, seed)
    folder = out / name
    if (folder / "rates.json").exists():
        return name
    kind = "sft" if method == "sft" else "pairs"
    file = home / f"{kind}.jsonl" if answers else out / f"{kind}-refuse.jsonl"
    settings = [f"{key}={value}" for key, value in (cfg.settings.get(method) or {}).items()]
    command = [
        sys.executable,
        f"recipes/{'sft' if method == 'sft' else 'dpo'}.py",
        f"method={method}",
        f"data.{kind}={file}",
        f"seed={seed}",
        f"out={folder}",
        f"resume={str((folder / 'checkpoints').exists()).lower()}",
        f"threads={cfg.threads}",
        "probe=none",
        "tracking=none",
        *settings,
    ]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{process.stdout}{process.stderr}")
    write_json(folder / "rates.json", rates(load_model("tiny_vlm", folder / "adapter"), home))
    return name


def rates(loaded: LoadedModel, home: Path) -> dict[str, Any]:
    """The main rates on the test split, over all and by part."""
    questions = [question for question in ensure_questions(home) if question.split == "test"]
    requests = [Request(question.question, home / question.image) for question in questions]
    said = generate(loaded, requests, max_new_tokens=64, batch_size=128)
    graded = []
    for question, generation in zip(questions, said, strict=True):
        assert generation.text is not None, generation.error
        scene, query = question.metadata["scene"], question.metadata["query"]
        verdict = grade(generation.text, Scene.from_dict(scene), Query.from_dict(query))
        graded.append(
            graded_record(
                question,
                generation.text,
                state=verdict.state,
                correct=verdict.correct,
                reason=None if question.answerable else verdict.reason,
                grader="miniworld",
            )
        )
    of = {part: [row for row in graded if row.part == part] for part in sorted({row.part for row in graded})}
    every = {"all": graded, **of}
    return {
        part: {name: summarize(rows)[name] for name in (*SHOWN, "n_unanswerable", "n_answerable")}
        for part, rows in every.items()
    }


def markdown(table: dict[str, list[dict[str, Any]]]) -> str:
    lines = [f"| | {' | '.join(SHOWN.values())} |", f"|---|{'---|' * len(SHOWN)}"]
    for name, runs in table.items():
        cells = []
        for rate in SHOWN:
            values = [100 * run["all"][rate] for run in runs]
            spread = f" ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
