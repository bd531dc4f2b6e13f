"""Sampling responses from a model that runs in this process, into a file that can be continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from align.data.endpoint_sampling import check_images, check_samples
from align.data.images import resolve_image
from align.data.pairs import refuse_test_questions
from align.models.generation import Request, generate
from align.models.loading import LoadedModel
from align.records import Question, Response, read_records, write_records

Key = tuple[str, str, int, str]


def sample_responses(
    loaded: LoadedModel,
    questions: Sequence[Question],
    data_root: str | Path,
    out: str | Path,
    *,
    samples: int = 1,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    top_p: float = 0.95,
    seed: int = 0,
    batch_size: int = 16,
    chunk: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Let the model answer every question `samples` times and append the responses to `out`.

    What `out` already holds for the same question, model digest, sample and decoding settings is not
    sampled again, so a run that was cut off can be started again. A half-written last line is removed;
    failed responses of this model are tried again.

    Args:
        samples: responses to each question.
        chunk: how many responses are generated between two writes to the file.
        progress: called with (done, total) after each batch.

    Returns:
        Counts: `asked`, `already_there`, `sampled`, `failed`, `half_written_lines_removed`.

    Raises:
        ValueError: sampling several responses at temperature 0, where all would be the same.
        DataError: a test question among `questions`, an image that is not under `data_root`, or an
            unreadable line of `out` that is not its last.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be 1 or more, not {chunk}")
    check_samples(samples, temperature)
    refuse_test_questions(questions)
    check_images(questions, data_root)
    decoding = {"temperature": temperature, "top_p": top_p, "max_new_tokens": max_new_tokens, "seed": seed}
    asked = [(question, index) for index in range(samples) for question in questions]
    done, removed = _resume(Path(out), loaded.digest)
    counts = {"asked": len(asked), "already_there": 0, "sampled": 0, "failed": 0}
    todo = []
    for question, index in asked:
        if _key(question.id, loaded.digest, index, decoding) in done:
            counts["already_there"] += 1
        else:
            todo.append((question, index))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    finished = counts["already_there"]

    def advance(rows: int) -> None:
        nonlocal finished
        finished += rows
        if progress is not None:
            progress(finished, len(asked))

    advance(0)
    with Path(out).open("a", encoding="utf-8") as stream:
        for start in range(0, len(todo), chunk):
            part = todo[start : start + chunk]
            results = generate(
                loaded,
                # What a row says depends on its question, image, key and the seed, not on its neighbours,
                # so a run that was cut off and continued says the same as one that was not.
                [Request(q.question, resolve_image(q.image, data_root), key=str(k)) for q, k in part],
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                batch_size=batch_size,
                progress=advance,
            )
            for (question, index), result in zip(part, results, strict=True):
                response = Response(
                    question_id=question.id,
                    model=loaded.name,
                    model_digest=loaded.digest,
                    text=result.text,
                    error=result.error,
                    decoding=decoding,
                    sample_index=index,
                )
                stream.write(response.model_dump_json(exclude_none=True) + "\n")
                counts["sampled" if result.error is None else "failed"] += 1
            stream.flush()
    return counts | {"half_written_lines_removed": removed}


def _resume(out: Path, digest: str) -> tuple[set[Key], int]:
    """Make an existing file fit to be continued. Returns what it holds, and how many lines were removed."""
    if not out.exists():
        return set(), 0
    removed = _remove_half_written_line(out)
    rows = read_records(out, Response)
    kept = [row for row in rows if row.error is None or row.model_digest != digest]
    if len(kept) < len(rows):
        write_records(out, kept)
    return {
        _key(row.question_id, row.model_digest or "", row.sample_index, row.decoding) for row in kept
    }, removed


def _remove_half_written_line(out: Path) -> int:
    """Cut off a last line that a killed process left without its end. Returns 1 if there was one."""
    raw = out.read_bytes()
    start = raw.rfind(b"\n") + 1
    if start == len(raw):
        return 0
    try:
        json.loads(raw[start:])
    except ValueError:
        with out.open("r+b") as stream:
            stream.truncate(start)
        return 1
    with out.open("ab") as stream:  # a whole row that only lacks its line end
        stream.write(b"\n")
    return 0


def _key(question_id: str, digest: str, sample_index: int, decoding: dict[str, Any]) -> Key:
    return question_id, digest, sample_index, json.dumps(decoding, sort_keys=True)
