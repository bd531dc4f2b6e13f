"""Audit rows and model before training: tokens, images, duplicates, leaks, placeholders, memory and time.

    python data_prep/audit.py                       the embedded pairs and model
    python data_prep/audit.py data=files data.pairs=PAIRS.jsonl data.root=IMAGE_FOLDER test=QUESTIONS.jsonl
    python data_prep/audit.py --help                groups and settings, those of the recipes

Prints tables and leaves audit.json and run.json in the run folder. Ends with status 1 if training would
break: a malformed row, an unreadable image, a row over the budget that is not to be skipped, an image of the
test among the training images, or placeholders that are not as many as image features. Duplicates are
warnings.
"""

import sys

import hydra
from omegaconf import DictConfig

from align.data.audit import read_held_out, read_rows
from align.data.audit_report import print_audit
from align.data.report import say
from align.models.families import family_of
from align.models.loading import load_model
from align.models.preparing import prepare_for_training
from align.records import Pair, SFTRow, write_json
from align.run import run_folder, to_plain, write_run_json
from align.training.audit import Planned, audit_rows
from align.training.console import keep_quiet
from align.training.data import find_rows, longest_context
from align.training.estimate import step_plan
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="audit")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder = to_plain(cfg), run_folder()
    model, data = config["model"], config["data"]
    if cfg.rows not in ("pairs", "sft"):
        raise ValueError(f"rows must be pairs or sft, not {cfg.rows!r}")
    keep_quiet()
    file = find_rows(data, cfg.rows)
    kind = Pair if cfg.rows == "pairs" else SFTRow
    rows, malformed = read_rows(file, kind)

    beside = file.parent / "questions.jsonl"
    named = cfg.test or data["questions"] or (beside if beside.is_file() else None)
    held_out = [read_held_out(named, cfg.test_root, fingerprints=True)] if named else []
    if data[f"eval_{cfg.rows}"]:
        held_out.append(read_held_out(data[f"eval_{cfg.rows}"], data["root"], fingerprints=True))
    for part in held_out:
        say(f"held out: {len(part.pictures)} images of {part.file}")

    loaded = load_model(**model, device=cfg.device, trainable_adapter=True)
    family = family_of(loaded.model, model["parts"])
    network = prepare_for_training(loaded, family, config.get("lora"), for_preference=cfg.rows == "pairs")

    audit = audit_rows(
        rows,
        file=file,
        data_root=data["root"],
        processor=loaded.processor,
        max_tokens=data["max_tokens"] or longest_context(loaded.model),
        skip_too_long=data["skip_too_long"],
        malformed=malformed,
        held_out=held_out,
        planned=Planned(
            model=network,
            family=family,
            step=step_plan(
                config["trainer"],
                network,
                processes=cfg.processes,
                needs_reference=cfg.rows == "pairs" and cfg.needs_reference,
            ),
            flop_rate=cfg.flop_rate,
            efficiency=cfg.efficiency,
        ),
        shapes=cfg.shapes,
    )
    report = audit.report()
    write_json(folder / "audit.json", report)
    write_run_json(
        folder,
        config=cfg,
        seeds=0,
        inputs={cfg.rows: file} | {f"held_out_{n}": part.file for n, part in enumerate(held_out)},
        digests={"model": loaded.digest},
    )
    print_audit(report)
    say(f"audit: {folder / 'audit.json'}")
    sys.exit(audit.exit_status)


if __name__ == "__main__":
    main()
