"""A training program's steps, from a configuration to an adapter: what `recipes/*.py` run.

The order matters. Whatever can be wrong with settings, rows or images is found before training starts, and
the reference's log-probs are computed while the model still is the reference.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from peft import PeftModel
from tqdm.auto import tqdm
from transformers import TrainerCallback, set_seed

from align.data.audit import read_held_out
from align.data.audit_report import print_summary
from align.data.images import image_digests
from align.judging.matching import matches
from align.launch import SAME_EVERYWHERE, require_equal, require_shared, software
from align.models.adapters import count_parameters, format_parameters
from align.models.families import family_of
from align.models.loading import LoadedModel, load_model
from align.models.preparing import is_sharded, prepare_for_training, refuse_unsupported
from align.records import DataError, Pair, SFTRow, write_json
from align.run import content_digest, run_folder, to_plain, write_run_json
from align.tracking.tracking import Tracking
from align.training.arguments import rows_per_step, sharding_of, training_arguments, use_cpu_threads
from align.training.attention import compute_dtype
from align.training.audit import Audit, Planned, audit_rows
from align.training.checks import refuse_combination, refuse_missing, refuse_without_gpu
from align.training.collating import KEPT_AREA, Example
from align.training.console import ConsoleProgress, keep_quiet, say, training_figures
from align.training.data import TrainingRows, find_rows, longest_context, read_training_rows
from align.training.estimate import step_plan
from align.training.losses import gate_for, parse_losses
from align.training.memory_advice import advised
from align.training.probe import HonestyProbe, probe_settings
from align.training.probe_questions import find_probe_questions
from align.training.proving import prove_rows_run
from align.training.reference import ReferenceCache, fill_reference_cache
from align.training.reference_keys import reference_context, reference_keys
from align.training.resume import held, keep_start, start_or_resume, step_of
from align.training.saving import model_card, save_trained
from align.training.tracked import TrackedTraining, inputs_of_training, trained
from align.training.trainer import CompletionTrainer, PreferenceTrainer, SupervisedTrainer

Logps = Callable[[Sequence[Example]], tuple[torch.Tensor, torch.Tensor]]
SEQUENCES = {"auto": None, "shared": True, "separate": False}


def train(cfg: DictConfig) -> Path:
    """Train as a configuration says, on `data.sft` or `data.pairs` (`rows`).

    Returns the folder of the adapter, or of the model where that was trained in full.
    """
    folder = run_folder()
    with held(folder, hold=os.environ.get("RANK", "0") == "0"):
        return _train(cfg, folder)


def _train(cfg: DictConfig, folder: Path) -> Path:
    config = to_plain(cfg)
    model, data = config["model"], config["data"]
    supervised = config["rows"] == "sft"
    lora = config.get("lora")  # `lora=null` leaves it out
    keep_quiet()
    refuse_without_gpu(config["trainer"], model["name"])
    threads = use_cpu_threads(cfg.threads)
    probe_settings(config["probe"])  # refuses what is wrong before anything is loaded
    tracking = Tracking(config, folder, job_type="train", others=True)
    args = training_arguments(
        config["trainer"], folder=folder, seed=cfg.seed, report_to=tracking.elsewhere or "none"
    )
    main = args.process_index == 0
    require_shared(folder, "out")
    require_equal({"config": config} | software(), SAME_EVERYWHERE)
    if config["sequences"] not in SEQUENCES:
        raise ValueError(f"sequences={config['sequences']}: choose from {', '.join(SEQUENCES)}")
    terms = None if supervised else parse_losses(config["losses"])
    refuse_unsupported(model, lora, args=args, for_preference=not supervised)
    if cfg.resume and args.save_only_model:
        raise ValueError(
            "trainer.save_only_model keeps nothing to go on from: leave it out to use resume=true"
        )
    checkpoint = start_or_resume(folder, resume=cfg.resume, processes=args.world_size, check=main)
    with args.main_process_first(local=False, desc="rows"):
        file = find_rows(data, config["rows"])
    evaluation = data["eval_sft" if supervised else "eval_pairs"]
    refuse_missing(data, evaluation, args)
    say(f"run: {folder}" + (f", going on from {checkpoint}" if checkpoint else ""))

    loaded = load_model(**model, device=str(args.device), trainable_adapter=True)
    family = family_of(loaded.model, model["parts"])
    max_tokens = data["max_tokens"] or longest_context(loaded.model)
    kind: Any = SFTRow if supervised else Pair
    rows: TrainingRows[Any] = read_training_rows(
        file,
        kind,
        data_root=data["root"],
        processor=loaded.processor,
        max_tokens=max_tokens,
        skip_too_long=data["skip_too_long"],
    )
    facts = {
        "model": loaded.digest,
        "loaded": {k: v for k, v in model.items() if k not in ("name", "adapter")},
        "rows": content_digest(file),
        "data": {key: data[key] for key in ("root", "max_tokens", "skip_too_long")},
        "seed": cfg.seed,
        "processes": args.world_size,
        "method": {key: config.get(key) for key in ("losses", "closed", "sequences")},
        "trainer": config["trainer"],
        "lora": lora,
        "probe": config["probe"],  # it may stop the run
    }
    require_equal(facts | {"checkpoint": checkpoint}, SAME_EVERYWHERE)
    keep_start(folder, facts, resume=cfg.resume, check=main)
    set_seed(cfg.seed)  # the new adapter's weights
    network = prepare_for_training(loaded, family, lora, args=args, for_preference=not supervised)
    plan = step_plan(
        config["trainer"],
        network,
        processes=args.world_size,
        needs_reference=terms is not None and terms.needs_reference,
        sharding=sharding_of(args),
    )
    refuse_combination(family, rows, network, terms, evaluation, sharded=is_sharded(args), method=cfg.method)
    planned = Planned(network, family, plan)
    audited = audit(
        rows,
        loaded,
        data,
        planned,
        evaluated=(data["questions"], evaluation),
        max_tokens=max_tokens,
        folder=folder,
        main=main,
    )
    eval_rows = None
    if evaluation:
        eval_rows = read_training_rows(
            evaluation,
            kind,
            data_root=data["root"],
            processor=loaded.processor,
            max_tokens=max_tokens,
        ).rows
    common: dict[str, Any] = {
        "model": network,
        "args": args,
        "processor": loaded.processor,
        "family": family,
        "rows": rows.rows,
        "eval_rows": eval_rows,
        "lengths": rows.lengths.tokens,
        "data_root": data["root"],
        "shared": SEQUENCES[config["sequences"]],
    }
    trainer: CompletionTrainer
    if terms is None:
        trainer = SupervisedTrainer(**common)
    else:
        trainer = PreferenceTrainer(terms=terms, closed=config.get("closed") or (), **common)
        if trainer.not_shared:
            say(f"each side of a pair is run in a sequence of its own: {trainer.not_shared}")
    ConsoleProgress("rows" if supervised else "pairs").attach(trainer)
    parameters = format_parameters(count_parameters(network, family))
    say(parameters)
    with advised(planned, audited):
        prove_rows_run(trainer, rows)
    if isinstance(trainer, PreferenceTrainer) and trainer.terms.needs_reference and cfg.reference.cache:
        fill = partial(
            fill_reference, trainer, rows.rows, loaded, config["reference"], data_root=data["root"]
        )
        if trainer.sharded:  # weights that are cut up run only where training has put them together
            trainer.add_callback(AtTrainBegin(fill))
        else:
            with advised(planned, audited):
                fill()
    probe = honesty_probe(trainer, config, rows.rows, loaded, folder, tracking)

    tuned = isinstance(network, PeftModel)

    def save(target: Path, best: dict[str, Any] | None = None) -> Path:
        card = model_card(
            method=cfg.method,
            base=loaded.name,
            base_digest=loaded.digest,
            data=rows.describe(),
            settings=config["trainer"] | {f"lora.{k}": v for k, v in (lora or {}).items()},
            figures=training_figures(trainer),
            parameters=parameters,
            losses=config.get("losses"),
            adapter=tuned,
            probe=None if probe is None else probe.summary(),
        )
        return save_trained(
            trainer, target, base=loaded.name, card=card, extra={"best.json": best} if best else None
        )

    if probe is not None:
        probe.attach(trainer, save)
        say(f"probe: {probe.describe()}")

    with tracking.run(resume=cfg.resume, step=step_of(checkpoint)):
        if tracking.on:
            tracking.config({"parameters": parameters, "model_digest": loaded.digest})
            with tracking.guarded("uses"):
                tracking.uses(*inputs_of_training(Path(file), evaluation, model))
            trainer.add_callback(TrackedTraining(tracking))
        say(f"{cfg.method} on {trainer.accelerator.device}: {rows_per_step(args)}, {threads} thread(s)")
        with advised(planned, audited):
            trainer.train(resume_from_checkpoint=checkpoint)

        result = save(folder / ("adapter" if tuned else "model"))
        if main:
            record = write_run_json(
                folder,
                config=cfg,
                seeds=cfg.seed,
                inputs={config["rows"]: file, result.name: result},
                digests={"model": loaded.digest},
                results=training_figures(trainer),
            )
            tracking.record(record)
        if tracking.on:
            with tracking.guarded("made"):
                tracking.made(trained(result, base=loaded.name, base_digest=loaded.digest, method=cfg.method))
    say(f"{result.name}: {result}")
    return result


def audit(
    rows: TrainingRows[Any],
    loaded: LoadedModel,
    data: dict[str, Any],
    planned: Planned,
    *,
    evaluated: Sequence[str | None],
    max_tokens: int,
    folder: Path,
    main: bool,
) -> Audit:
    """Leave `audit.json`, say what was found, return it, and raise `DataError` for what would break "
    "training."""
    held_out = [read_held_out(file, data["root"]) for file in evaluated if file]
    found = audit_rows(
        rows.rows,
        file=rows.file,
        data_root=data["root"],
        processor=loaded.processor,
        max_tokens=max_tokens,
        lengths=rows.lengths,
        held_out=held_out,
        planned=planned,
        shapes=0,  # `prove_rows_run` runs some whole
    )
    if main:
        write_json(folder / "audit.json", found.report())
        print_summary(found.report())
    if found.breaks_training:
        raise DataError(found.problems())
    return found


def fill_reference(
    trainer: PreferenceTrainer,
    pairs: Sequence[Pair],
    loaded: LoadedModel,
    settings: dict[str, Any],
    *,
    data_root: str,
) -> None:
    """Look up the reference's log-probs, and compute those that no earlier run has left."""
    digests = image_digests({image for pair in pairs for image in pair.images}, data_root)
    require_shared(settings["folder"], "reference.folder")
    with trainer.accelerator.autocast():
        dtype = compute_dtype(trainer.bare)

    def cached(compute: Logps, places: Sequence[int], corrupted: bool) -> torch.Tensor:
        facts = {"cropped_to": KEPT_AREA} if corrupted else None
        cache = ReferenceCache(settings["folder"], reference_context(loaded, dtype=dtype, settings=facts))
        wanted = [pairs[place] for place in places]
        keys = reference_keys(wanted, digests, cache.folder.name, corrupted=corrupted)
        seen = {"texts, images and model": hashlib.sha256(b"".join(keys)).hexdigest()[:16]}
        require_equal(seen, SAME_EVERYWHERE)
        return _cached_logps(trainer, cache, keys, compute, wanted)

    trainer.reference = cached(trainer.reference_logps, range(len(pairs)), False)
    if trainer.corrupt:
        gate = gate_for([pair.category for pair in pairs], trainer.closed)
        trainer.corrupted_reference = torch.zeros(len(pairs))
        if gate.any():
            found = cached(trainer.corrupted_reference_logps, gate.nonzero().flatten().tolist(), True)
            trainer.corrupted_reference[gate] = found[:, 0]


def _cached_logps(
    trainer: PreferenceTrainer,
    cache: ReferenceCache,
    keys: Sequence[bytes],
    compute: Logps,
    pairs: Sequence[Pair],
) -> torch.Tensor:
    accelerator = trainer.accelerator

    def most(rows: int) -> int:
        return int(accelerator.gather(torch.tensor([rows], device=accelerator.device)).max())

    with (
        ExitStack() as alone,
        tqdm(desc="reference", unit="pair", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        if accelerator.is_main_process:
            filling = cache.filling(
                keys,
                # Others wait for this process in a call that fails after some minutes.
                limit=-1 if accelerator.num_processes == 1 else 240,
                waiting=lambda: say("reference: another run computes it: waiting"),
            )
            alone.enter_context(filling)
        accelerator.wait_for_everyone()
        computed = fill_reference_cache(
            cache,
            keys,
            lambda places: compute([Example(i, pairs[i]) for i in places]),
            chunk=trainer.args.per_device_train_batch_size,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            progress=advance,
            most_rows=most if trainer.sharded else None,
        )
        accelerator.wait_for_everyone()
    say(f"reference: {computed} of {len(keys)} pairs computed, the others found in {cache.folder}")
    return torch.stack(cache.get(keys), dim=1)


class AtTrainBegin(TrainerCallback):
    """Do something when training has wrapped the model, and before its first step."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.action()


def honesty_probe(
    trainer: CompletionTrainer,
    config: dict[str, Any],
    rows: Sequence[Pair | SFTRow],
    loaded: LoadedModel,
    folder: Path,
    tracking: Tracking,
) -> HonestyProbe | None:
    """The probe, unless it is switched off or has nothing to ask."""
    settings = probe_settings(config["probe"])
    if settings is None:
        return None
    with trainer.args.main_process_first(local=False, desc="probe"):
        found = find_probe_questions(config["probe"], config["data"], rows=rows, folder=folder / "probe")
    if found is None:
        say("probe: none, since no questions were given (probe.questions=FILE)")
        return None
    questions, root = found
    return HonestyProbe(
        settings,
        questions,
        root=root,
        loaded=loaded,
        folder=folder,
        matches=matches,
        show=tracking.table if tracking.settings.report_to else None,
    )
