"""Measure questions: length, Self-BLEU, similarity, openings, moderation; beside the paper's figures.

    python data_prep/measure_questions.py questions=data/new/questions.jsonl
    python data_prep/measure_questions.py ... similarity.kind=local similarity.model=FOLDER
    python data_prep/measure_questions.py ... similarity.kind=endpoint similarity.model=NAME \\
        similarity.base_url=http://127.0.0.1:8000/v1
    python data_prep/measure_questions.py ... moderation.base_url=https://api.openai.com/v1 \\
        moderation.model=omni-moderation-latest moderation.key=OPENAI_API_KEY

Prints a table, by category, and writes `measures` (JSON). Embeddings and moderations are kept in `journals`,
so the same command asks for none twice. Ends with status 1 if some of them failed.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.construction.measure import (
    REPORTED,
    Settings,
    groups_of,
    measure,
    notes,
    print_measures,
    require_libraries,
)
from align.construction.services import Service, ServiceError
from align.construction.similarity import Embedded, TfIdf, embed_locally
from align.data.report import progress_bar, say
from align.records import Question, read_records, write_json
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="measure_questions")
@ends_with_message
def main(cfg: DictConfig) -> None:
    require_libraries()
    folder, config = run_folder(), to_plain(cfg)
    settings = Settings(**config["self_bleu"], opening_words=cfg.opening_words, seed=cfg.seed)
    kind = cfg.similarity.kind
    if kind not in ("tfidf", "local", "endpoint"):
        raise ValueError(f"similarity.kind must be tfidf, local or endpoint, not {kind!r}")
    if (kind == "tfidf") != (cfg.similarity.model is None):
        raise ValueError(
            "similarity.model is the embedding model of kind local or endpoint; tfidf takes none"
        )
    if (kind == "endpoint") != (cfg.similarity.base_url is not None):
        raise ValueError("similarity.base_url is where kind endpoint asks; the other kinds take none")
    if (cfg.moderation.model is None) != (cfg.moderation.base_url is None):
        raise ValueError("moderation needs both model and base_url, or neither to leave it out")
    questions = read_records(cfg.questions, Question)
    texts = [question.question for question in questions]
    if not groups_of(questions):
        raise ValueError(f"no question in {cfg.questions}")

    def service(path: str, options: dict) -> Service:
        given = {key: value for key, value in options.items() if key != "kind"}
        return Service(path=path, journal=Path(cfg.journals) / f"{path}.jsonl", **given)

    with progress_bar("embeddings") as progress:
        if kind == "tfidf":
            similarity = TfIdf(texts)
        elif kind == "local":
            similarity = embed_locally(
                cfg.similarity.model, texts, batch=cfg.similarity.batch, progress=progress
            )
        else:
            said = service("embeddings", config["similarity"]).ask(texts, progress)
            failed = {text: str(value) for text, value in said.items() if isinstance(value, ServiceError)}
            vectors = {text: value for text, value in said.items() if text not in failed}
            similarity = Embedded(cfg.similarity.model, vectors, failed)
    flagged, unmoderated = None, {}
    if cfg.moderation.base_url is not None:
        with progress_bar("moderation") as progress:
            said = service("moderations", config["moderation"]).ask(texts, progress)
        unmoderated = {text: str(value) for text, value in said.items() if isinstance(value, ServiceError)}
        flagged = {text: value for text, value in said.items() if text not in unmoderated}

    measures = measure(questions, settings, similarity, flagged, twins=cfg.twins)
    failures = {"embeddings": getattr(similarity, "failed", {}), "moderations": unmoderated}
    result = {
        "measures": measures,
        "similarity": {"name": similarity.name, "comparable_with_reported": similarity.semantic},
        "self_bleu": {
            "n": settings.n,
            "smoothing": settings.smoothing,
            "tokens": "13a",
            "sample": settings.sample,
        },
        "reported_not_rerun": REPORTED,
        "failed": failures,
        "notes": notes(similarity),
        "run": str(folder),
    }
    write_json(cfg.measures, result)
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs={"questions": cfg.questions, "measures": cfg.measures},
        results=result,
    )
    print_measures(measures, settings, similarity)
    for note in result["notes"]:
        say(note)
    say(f"measures: {cfg.measures}")
    for what, texts in failures.items():
        if texts:
            say(f"{len(texts)} {what} failed, and are in no figure, such as: {next(iter(texts.values()))}")
    if any(failures.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
