"""Write unanswerable questions, and their answerable twins, about the images of a folder.

    python data_prep/generate_questions.py images=IMAGE_FOLDER folder=data/new \\
        +endpoint@generators.a=openai generators.a.model=openai/gpt-4o \\
        +endpoint@generators.b=vllm generators.b.model=vllm/Qwen/Qwen2.5-VL-7B-Instruct
    python data_prep/generate_questions.py ... dry_run=true        what it would cost at most

Every generator writes for every image and category. Writes to `folder`: candidates.jsonl,
candidates.dropped.jsonl (every draft that is no candidate, and why) and candidates.yield.json. Finished calls
are in `journals`: the same command goes on after a kill, tries failed calls again, and pays none twice. Ends
with status 1 if calls were not made, or if nothing came out.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.calling.program import say_failed
from align.construction.drafts import Rules
from align.construction.examples import load_guides
from align.construction.generate import Writers, generate
from align.construction.models import models_of
from align.construction.pictures import find_pictures
from align.construction.yields import print_yield, yield_of
from align.data.report import print_problems, progress_bar, say
from align.records import UNANSWERABLE, write_json, write_records
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="generate_questions")
@ends_with_message
def main(cfg: DictConfig) -> None:
    folder, config, candidates = run_folder(), to_plain(cfg), Path(cfg.candidates)
    categories = [category for category in UNANSWERABLE if category in config["categories"]]
    if len(categories) != len(config["categories"]) or not categories:
        raise ValueError(f"categories must be of {', '.join(UNANSWERABLE)}, not {config['categories']}")
    writers = Writers(
        models=models_of(config["generators"], config["decoding"], cfg.journals, "generate"),
        guides=load_guides(cfg.examples),
        root=cfg.images,
        rules=Rules(**config["rules"]),
        drafts=cfg.drafts,
        license=cfg.license,
        seed=cfg.seed,
    )

    with progress_bar("decoding images") as progress:
        pictures = find_pictures(
            cfg.images,
            max_pixels=cfg.max_pixels,
            follow_links=cfg.follow_links,
            skip_copies=cfg.skip_copies,
            limit=cfg.limit,
            progress=progress,
        )
    if pictures.problems:
        print_problems(pictures.problems)
    say(
        f"{len(pictures.images)} images; {len(pictures.problems)} broken, {len(pictures.copies)} that repeat "
        f"another and {pictures.other_files} other files are left out"
    )

    orders = writers.orders(pictures.images, categories)
    for model in writers.models:
        model.print_estimate([writers.call(o) for o in orders if o.generator == model.name], cfg.seed)
    if cfg.dry_run:
        say("dry_run=true: no call was made and nothing was written")
        return
    try:
        with progress_bar("drafts") as progress:
            generated = generate(
                writers, pictures.images, categories, lambda name, done, total: progress(done, total)
            )
    except KeyboardInterrupt as stop:
        say(str(stop) or "Stopped; finished calls are kept, and the same command goes on from there.")
        sys.exit(130)

    dropped_file = candidates.with_suffix(".dropped.jsonl")
    result = yield_of(
        "generate",
        [(order.category, order.generator) for order in orders],
        generated.dropped,
        sum(not question.answerable for question in generated.questions),
    )
    summary = {
        "yield": result,
        "images": len(pictures.images),
        "broken_images": [problem.model_dump(exclude_none=True) for problem in pictures.problems],
        "copies_left_out": pictures.copies,
        "usage": generated.usage,
        "stopped": generated.stopped,
        "run": str(folder),
    }
    write_records(candidates, generated.questions)
    write_records(dropped_file, generated.dropped)
    write_json(candidates.with_suffix(".yield.json"), summary)
    inputs = {"examples": cfg.examples} if cfg.examples else {}
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs=inputs | {"candidates": candidates},
        digests={f"generator {name}": used["digest"] for name, used in generated.usage.items()},
        results=summary,
    )
    print_yield(result)
    say(f"candidates, each followed by its twin: {candidates}")
    if generated.dropped:
        say(f"{len(generated.dropped)} draft(s) are no candidate: {dropped_file}")
    say_failed(sum(used["failed"] for used in generated.usage.values()), dropped_file)
    for stopped in generated.stopped:
        say(f"Stopped: {stopped}")
    if generated.stopped or not generated.questions:
        sys.exit(1)


if __name__ == "__main__":
    main()
