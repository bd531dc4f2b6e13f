"""Sampling responses from a model behind an endpoint: the calls, and their outcomes in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.calling.call import Call, Decode
from align.calling.digests import model_digest
from align.calling.endpoint import Endpoint
from align.calling.run import CallReport, run_calls
from align.data.images import resolve_image
from align.data.pairs import refuse_test_questions
from align.records import DataError, Problem, Question, Response, read_records, write_records
from align.run import content_digest


def calls_for(
    questions: Sequence[Question],
    data_root: str | Path,
    samples: int,
    decoding: Decode,
    *,
    show_image: bool = True,
) -> list[Call]:
    """The first sample of every question, then the second of every one, and so on; keys "<question id>/<k>".

    `show_image` false: the question alone. Raises `ValueError` where all samples of a question would be the
    same, and `DataError` for a test question or an image that is not under `data_root`.
    """
    check_samples(samples, decoding.temperature)
    refuse_test_questions(questions)
    if show_image:
        check_images(questions, data_root)
    return [
        Call(
            f"{question.id}/{k}",
            question.question,
            (resolve_image(question.image, data_root),) if show_image else (),
        )
        for k in range(samples)
        for question in questions
    ]


def sample_from_endpoint(
    calls: Sequence[Call],
    endpoint: Endpoint,
    decoding: Decode,
    journal: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CallReport:
    """Make the calls and write their outcomes to `out`, in the calls' order, after what it holds of others.

    `calls` are those of `calls_for`. `out` is replaced as a whole when the run ends, also where a budget or
    Ctrl-C ended it; until then everything is in the journal. A failed call is a row with `error`.
    """
    report = run_calls(calls, endpoint, decoding, Path(journal), seed=seed, progress=progress)
    settings: dict[str, Any] = {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "max_new_tokens": decoding.max_new_tokens,
        "seed": seed,
    }
    if not all(call.images for call in calls):
        settings["show_image"] = False  # or they could not be told from answers to the picture
    digest = model_digest(endpoint)
    rows = []
    for key, outcome in report.outcomes.items():
        question, _, index = key.rpartition("/")
        rows.append(
            Response(
                question_id=question,
                model=endpoint.model,
                model_digest=digest,
                text=outcome.text,
                error=outcome.error,
                decoding=settings,
                sample_index=int(index),
            )
        )
    add_responses(out, rows)
    return report


def add_responses(out: str | Path, rows: Sequence[Response]) -> None:
    """Write `rows` to `out` after what it holds of others; a failed one takes no answer's place."""
    there = read_records(out, Response) if Path(out).exists() else []
    # A call that fails when it is made again, without its journal, takes no answer's place.
    answered = {_identity(row): row for row in there if row.error is None}
    rows = [answered.get(_identity(row), row) if row.error else row for row in rows]
    new = {_identity(row) for row in rows}
    write_records(out, [*(row for row in there if _identity(row) not in new), *rows])


def sampling_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the responses that configs/sample_responses.yaml asks for: shards must agree on it.

    Not how fast they are made, nor where a server is.
    """
    sampling = config["sampling"]
    decides = ("samples", "temperature", "top_p", "max_new_tokens", "seed")
    asked = config.get("endpoint") or config["model"]
    model = ("name", "adapter", "model", "revision", "args", "seeds", "dtype", "quantization", "max_pixels")
    return {
        "questions": content_digest(config["questions"]),
        **{name: config[name] for name in ("split", "answerable", "limit", "show_image")},
        **{name: sampling[name] for name in decides},
        **{f"model.{name}": asked[name] for name in model if name in asked},
    }


def join_responses(
    parts: Sequence[str | Path], questions: Sequence[Question], out: str | Path
) -> tuple[dict[str, int], str]:
    """Write the responses of shards to `out`, in the order in which one process writes them.

    Returns the counts `asked` and `failed`, and the digest of the model.

    Raises `DataError` for a file that is not there or cannot be read, for a response to another question, and
    for shards whose models had other weights.
    """
    places = {question.id: place for place, question in enumerate(questions)}
    rows = [row for part in parts for row in read_records(part, Response)]
    problems = [
        Problem(file=str(out), row_id=row.question_id, message="a shard has a response to another question")
        for row in rows
        if row.question_id not in places
    ]
    if problems:
        raise DataError(problems)
    digests = {row.model_digest for row in rows}
    if len(digests) != 1:
        message = f"the shards' models are not the same: their digests are {', '.join(map(str, digests))}"
        raise DataError([Problem(file=str(out), field="model_digest", message=message)])
    rows.sort(key=lambda row: (row.sample_index, places[row.question_id]))
    add_responses(out, rows)
    counts = {"asked": len(rows), "failed": sum(row.error is not None for row in rows)}
    return counts, str(digests.pop())


def check_samples(samples: int, temperature: float | None) -> None:
    if samples < 1:
        raise ValueError(f"samples must be 1 or more, not {samples}")
    if samples > 1 and temperature == 0:
        raise ValueError(
            "samples > 1 needs a temperature above 0: greedy decoding gives the same text each time"
        )


def check_images(questions: Sequence[Question], data_root: str | Path) -> None:
    # A wrong root would otherwise show as one failed call for each question, after the model was loaded.
    problems = [
        Problem(file=str(data_root), field="image", message=f"image {image!r} is not there: is root= right?")
        for image in sorted({question.image for question in questions})
        if not resolve_image(image, data_root).is_file()
    ]
    if problems:
        raise DataError(problems)


def _identity(row: Response) -> tuple[str, str | None, int, str]:
    return row.question_id, row.model_digest, row.sample_index, str(sorted(row.decoding.items()))
