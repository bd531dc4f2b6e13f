"""One table of methods on the miniature world: refusal, right reason, over-refusal, answer accuracy.

    python benchmarks/methods.py                  all methods, with and without `answer` pairs, 3 seeds
    python benchmarks/methods.py methods=[dpo,orpo] seeds=[0]

Every cell is `recipes/dpo.py` or `recipes/sft.py` as a user runs it, and then the whole test split, decoded
greedily and graded exactly. Rows without `answer` pairs are the same file without them; the number of steps
is the same.

Each method has the learning rate at which it did best, of those given: the first seed is trained at each,
with `answer` pairs, and asked questions that are in neither split; most twins of which both are right wins.
The other cells take that rate.

Cells are kept in `out`: a run that is stopped goes on. Prints Markdown (mean and, in brackets, the smallest
and largest of the seeds) and, as the last line, one JSON object.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from align.evaluation.metrics import summarize
from align.evaluation.scorers import graded_record
from align.miniworld.dataset import build_questions
from align.miniworld.grader import grade
from align.miniworld.prepare import ensure_pairs, ensure_questions
from align.miniworld.questions import Query
from align.miniworld.scenes import Scene
from align.models.generation import Request, generate
from align.models.loading import LoadedModel, load_model
from align.records import Pair, Question, SFTRow, read_records, write_json, write_records
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
    test = [question for question in ensure_questions(home) if question.split == "test"]
    asked = {"test": (home, test), "validation": validation_questions(out / "validation")}
    base = out / "base.json"
    if not base.exists():
        write_json(base, rates(load_model("tiny_vlm"), *asked["test"]))

    def run(cells: list[Cell], split: str) -> list[dict[str, Any]]:
        found = []
        # One thread each: a model this small does not fill more.
        with ThreadPoolExecutor(cfg.at_once) as pool:
            for cell, result in zip(
                cells, pool.map(lambda cell: cell.rates(cfg, home, split, *asked[split]), cells), strict=True
            ):
                found.append(result)
                shown = 100 * result["all"]["dual_accuracy"]
                print(f"{split} {len(found)}/{len(cells)}  {cell.name}  {shown:.1f}", flush=True)
        return found

    tried = [Cell(method, True, rate, cfg.seeds[0]) for rate in cfg.learning_rates for method in cfg.methods]
    validated = {
        cell: result["all"]["dual_accuracy"]
        for cell, result in zip(tried, run(tried, "validation"), strict=True)
    }
    best = {
        method: max((cell for cell in tried if cell.method == method), key=lambda cell: validated[cell]).rate
        for method in cfg.methods
    }

    cells = [
        Cell(method, answers, best[method], seed)
        for answers in (True, False)
        for seed in cfg.seeds
        for method in cfg.methods
    ]
    tested = dict(zip(cells, run(cells, "test"), strict=True))
    table = {
        f"{method}{'' if answers else ' without answer pairs'}": [
            tested[Cell(method, answers, best[method], seed)] for seed in cfg.seeds
        ]
        for method in cfg.methods
        for answers in (True, False)
    }
    print(markdown({"base": [json.loads(base.read_text())], **table}))
    result = {
        "rates": table,
        "base": json.loads(base.read_text()),
        "seeds": list(cfg.seeds),
        "learning_rate": best,
        "settings": OmegaConf.to_container(cfg.settings),
        "validation": {cell.name: score for cell, score in validated.items()},
        "packages": package_versions(),
        "hardware": hardware(),
    }
    print(json.dumps(result))


# `from_pretrained` changes torch's default device for a while, in all threads.
LOADING = threading.Lock()


@dataclass(frozen=True)
class Cell:
    """One adapter: trained once, graded once on each set of questions that is asked for."""

    method: str
    answers: bool
    rate: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{'both' if self.answers else 'refuse'}-{self.rate:g}-{self.seed}"

    def rates(
        self, cfg: DictConfig, home: Path, split: str, root: Path, questions: list[Question]
    ) -> dict[str, Any]:
        folder = Path(cfg.out) / self.name
        kept = folder / f"{split}.json"
        if not kept.exists():
            if not (folder / "run.json").exists():  # what training writes last
                self.train(cfg, home, folder)
            with LOADING:
                loaded = load_model("tiny_vlm", folder / "adapter")
            write_json(kept, rates(loaded, root, questions))
        found: dict[str, Any] = json.loads(kept.read_text())
        return found

    def train(self, cfg: DictConfig, home: Path, folder: Path) -> None:
        kind = "sft" if self.method == "sft" else "pairs"
        file = home / f"{kind}.jsonl" if self.answers else Path(cfg.out) / f"{kind}-refuse.jsonl"
        command = [
            sys.executable,
            f"recipes/{'sft' if self.method == 'sft' else 'dpo'}.py",
            f"method={self.method}",
            f"trainer.learning_rate={self.rate}",
            f"data.{kind}={file}",
            f"seed={self.seed}",
            f"out={folder}",
            f"resume={str((folder / 'checkpoints').exists()).lower()}",
            f"threads={cfg.threads}",
            "probe=none",
            "tracking=none",
            *(f"{key}={value}" for key, value in (cfg.settings.get(self.method) or {}).items()),
        ]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{process.stdout}{process.stderr}")


def validation_questions(home: Path) -> tuple[Path, list[Question]]:
    """Questions that are drawn as the training split is, of another seed."""
    made = home / "questions.jsonl"
    if made.exists():
        return home, read_records(made, Question)
    return home, build_questions(home, train=300, test=0, seed=1)


def rates(loaded: LoadedModel, root: Path, questions: list[Question]) -> dict[str, Any]:
    """The main rates, over all and by part."""
    requests = [Request(question.question, root / question.image) for question in questions]
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
