"""Make the miniature world's files where they are missing: questions, the tiny model's responses, rows.

Every program whose default is the miniature world calls this, so that the first command of a fresh
checkout works. What is there is left alone: delete the folder to make it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from align.data.judge import refused
from align.data.mix import Mix
from align.data.pairs import build_pairs
from align.data.sampling import sample_responses
from align.data.sft import build_sft
from align.data.split import select_split
from align.miniworld.dataset import build_questions
from align.models.loading import load_model
from align.records import Question, Response, iter_jsonl, read_records, write_records

SAMPLING: dict[str, Any] = {
    "samples": 1,
    "temperature": 1.0,
    "top_p": 0.95,
    "max_new_tokens": 48,
    "batch_size": 128,
    "seed": 0,
}
"""How the tiny model's own responses are drawn; the paper's temperature and top-p."""


def ensure_questions(root: str | Path) -> list[Question]:
    """`root/questions.jsonl` and its images, made if the file is missing."""
    path = Path(root) / "questions.jsonl"
    if not path.exists():
        with _making(root):
            if not path.exists():
                return build_questions(root)
    return read_records(path, Question)


def ensure_responses(
    root: str | Path, *, progress: Callable[[int, int], None] | None = None, **sampling: Any
) -> list[Response]:
    """`root/responses.jsonl`: what the tiny model says to the training split's unanswerable questions.

    It never declines, so its responses to answerable questions would give no rejected sides. A file that
    was cut off is completed.
    """
    path = Path(root) / "responses.jsonl"
    asked = [q for q in select_split(ensure_questions(root), "train") if not q.answerable]
    # Not `read_records`: a half-written last line is for `sample_responses` to repair.
    rows = (row for _, row in iter_jsonl(path)) if path.exists() else ()
    answered = {row.get("question_id") for row in rows if isinstance(row, dict)}
    if any(question.id not in answered for question in asked):
        sample_responses(
            load_model("tiny_vlm"), asked, root, path, **(SAMPLING | sampling), progress=progress
        )
    return read_records(path, Response)


def ensure_pairs(root: str | Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """`root/pairs.jsonl` and `root/sft.jsonl`: both-ways pairs and supervised rows of the training split."""
    root = Path(root)
    if (root / "pairs.jsonl").exists() and (root / "sft.jsonl").exists():
        return
    with _making(root):
        questions = select_split(ensure_questions(root), "train")
        if not (root / "pairs.jsonl").exists():
            responses = ensure_responses(root, progress=progress)
            pairs, _ = build_pairs(questions, responses, refused=refused, mix=Mix())
            write_records(root / "pairs.jsonl", pairs)
        if not (root / "sft.jsonl").exists():
            rows, _ = build_sft(questions, mix=Mix())
            write_records(root / "sft.jsonl", rows)


def _making(root: str | Path) -> FileLock:
    """Held while files are made: jobs of a sweep that begin together would write the same files at once."""
    Path(root).mkdir(parents=True, exist_ok=True)
    return FileLock(Path(root) / ".making.lock", is_singleton=True)
