"""Let a model answer questions: its own sampled responses are the rejected sides of pairs.

    python data_prep/sample_responses.py                                 tiny_vlm on the miniature world
    python data_prep/sample_responses.py model=hub model.name=OWNER/NAME folder=data/mohobench \\
        root=IMAGE_FOLDER
    python data_prep/sample_responses.py endpoint=vllm endpoint.model=vllm/OWNER/NAME folder=data/mohobench \\
        root=IMAGE_FOLDER dry_run=true                             what it takes at most, and no call
    python data_prep/sample_responses.py ... shard=2/8                     an eighth (docs/multi-node.md)
    python data_prep/sample_responses.py ... join=8                        one file of the eight

A model of this process (`model=`) appends to `responses`. A model behind an endpoint writes the file when the
run ends, and keeps everything that it received in `journal` until then. Either way a run that was cut off is
continued by the same command, which also tries failed calls again. Ends with status 1 when a budget or the
endpoint stopped it.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.calling.call import Decode
from align.calling.endpoint import Endpoint
from align.calling.program import end_program, refuse_overrides, say_failed, say_shard
from align.calling.run import estimate_calls, print_estimate
from align.calling.shards import divide, join_journals, note_shard, read_shard, require_shards
from align.data.endpoint_sampling import calls_for, join_responses, sample_from_endpoint, sampling_facts
from align.data.report import print_summary, progress_bar
from align.data.split import select_split
from align.records import Question, read_records
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="sample_responses")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, shard = to_plain(cfg), run_folder(), read_shard(cfg.shard, cfg.join)
    if Path(cfg.folder) == Path(cfg.miniworld):
        from align.miniworld.prepare import ensure_questions  # imports torch

        ensure_questions(cfg.miniworld)
    questions = select_split(read_records(cfg.questions, Question), cfg.split)
    questions = [q for q in questions if cfg.answerable or not q.answerable][: cfg.limit]
    responses, journal, report = Path(cfg.responses), Path(cfg.journal), None
    facts = sampling_facts(config)
    joined = [] if cfg.join is None else require_shards(responses, cfg.join, facts)
    if shard is not None:
        questions = shard.share(questions, key=lambda question: question.id)
        responses, journal, folder = shard.path(responses), shard.path(journal), folder / shard.name
        say_shard(shard, len(questions))
    title = f"{len(questions)} questions, {cfg.sampling.samples} sample(s) each"

    if cfg.get("endpoint") is None:
        refuse_overrides(["journal", "dry_run", "show_image"], "it is for a model behind an endpoint")
        if joined:
            counts, digest = join_responses([part.path(responses) for part in joined], questions, responses)
        else:
            from align.data.sampling import sample_responses  # imports torch
            from align.models.loading import load_model

            loaded = load_model(**config["model"])
            with progress_bar(title) as progress:
                counts = sample_responses(
                    loaded, questions, cfg.root, responses, **cfg.sampling, progress=progress
                )
            digest = loaded.digest
    else:
        refuse_overrides(
            ["model", "sampling.batch_size", "sampling.chunk"], "it is for a model of this process (model=)"
        )
        endpoint, s = Endpoint(**divide(config["endpoint"], shard)), cfg.sampling
        decoding = Decode(s.max_new_tokens, s.temperature, s.top_p)
        calls = calls_for(questions, cfg.root, s.samples, decoding, show_image=cfg.show_image)
        if joined:
            join_journals(journal, joined)
        print_estimate(estimate_calls(calls, endpoint, decoding, journal, seed=s.seed), endpoint)
        if cfg.dry_run:
            return
        with progress_bar(title) as progress:
            report = sample_from_endpoint(
                calls, endpoint, decoding, journal, responses, seed=s.seed, progress=progress
            )
        counts, digest = report.counts | {"tokens": report.tokens, "dollars": report.dollars}, report.digest

    print_summary(f"responses: {responses}", counts)
    if shard is not None:
        note_shard(responses, shard, facts, stopped=report and report.stopped)
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.sampling.seed,
        inputs={"questions": cfg.questions},
        digests={"model": digest},
        results=counts,
    )
    say_failed(counts["failed"], responses)
    if report is not None:
        end_program(report)


if __name__ == "__main__":
    main()
