"""Train a LoRA adapter on supervised rows with TRL's SFTTrainer.

    accelerate launch recipes/sft.py          the embedded model and rows, on whatever this machine has
    python recipes/sft.py --help              groups, settings, and how to give your own model and data

Leaves in the run folder: adapter/ (with a model card), run.json, checkpoints/, and wandb/ when offline.
"""

import hydra
from omegaconf import DictConfig
from trl import SFTConfig, SFTTrainer

from align.data.loading import sft_dataset
from align.models.adapters import count_parameters, format_parameters, lora_config
from align.models.families import family_of
from align.models.loading import load_model
from align.records import SFTRow, read_records
from align.run import content_digest, run_folder, to_plain, write_run_json
from align.training.arguments import training_arguments, use_cpu_threads
from align.training.console import ConsoleProgress, keep_quiet, say, training_figures
from align.training.data import find_rows, longest_context, prove_rows_run, read_training_rows
from align.training.resume import keep_start, start_or_resume
from align.training.saving import model_card, save_adapter
from align.training.tracking import finish_tracking, set_up_tracking


@hydra.main(version_base="1.3", config_path="../configs", config_name="sft")
def main(cfg: DictConfig) -> None:
    config, folder = to_plain(cfg), run_folder()
    model, data = config["model"], config["data"]
    keep_quiet()
    threads = use_cpu_threads(cfg.threads)
    args = training_arguments(
        SFTConfig, config["trainer"], folder=folder, seed=cfg.seed, report_to=config["tracking"]["report_to"]
    )
    checkpoint = start_or_resume(folder, resume=cfg.resume, check=args.process_index == 0)
    with args.main_process_first(local=False, desc="rows"):
        file = find_rows(data, "sft")
    say(f"run: {folder}" + (f", going on from {checkpoint}" if checkpoint else ""))
    say(set_up_tracking(config["tracking"], folder, run_name=f"sft-{folder.name}"))

    loaded = load_model(
        model["name"],
        model["adapter"],
        dtype=model["dtype"],
        device=str(args.device),
        attn_implementation=model["attn_implementation"],
        trust_remote_code=model["trust_remote_code"],
        revision=model["revision"],
        trainable_adapter=True,
    )
    family = family_of(loaded.model, model["parts"])
    lora = None if loaded.adapter else lora_config(loaded.model, family, config["lora"])

    training = read_training_rows(
        file,
        SFTRow,
        data_root=data["root"],
        processor=loaded.processor,
        max_tokens=data["max_tokens"] or longest_context(loaded.model),
        skip_too_long=data["skip_too_long"],
    )
    keep_start(
        folder,
        {
            "model": loaded.digest,
            "rows": content_digest(file),
            "seed": cfg.seed,
            "processes": args.world_size,
            "trainer": config["trainer"],
            "lora": config["lora"],
        },
        resume=cfg.resume,
        check=args.process_index == 0,
    )
    for key, value in training.describe().items():
        say(f"{key}: {value}")
    evaluation = read_records(data["eval_sft"], SFTRow) if data["eval_sft"] else None

    trainer = SFTTrainer(
        model=loaded.model,
        args=args,
        train_dataset=sft_dataset(training.rows, data["root"]),
        eval_dataset=sft_dataset(evaluation, data["root"]) if evaluation else None,
        processing_class=loaded.processor,
        peft_config=lora,
    )
    if lora is None:
        say(f"lora: as in {loaded.adapter}, which is trained further; the lora settings are not used")
    ConsoleProgress("rows").attach(trainer)
    parameters = format_parameters(count_parameters(trainer.model, family))
    say(parameters)
    prove_rows_run(trainer, training)

    say(f"{cfg.method} on {trainer.accelerator.device}: {args.world_size} process(es), {threads} thread(s)")
    trainer.train(resume_from_checkpoint=checkpoint)

    figures = training_figures(trainer)
    adapter = save_adapter(
        trainer,
        folder / "adapter",
        base=loaded.name,
        card=model_card(
            method=cfg.method,
            base=loaded.name,
            base_digest=loaded.digest,
            data=training.describe(),
            settings=config["trainer"] | {f"lora.{k}": v for k, v in config["lora"].items()},
            figures=figures,
            parameters=parameters,
        ),
    )
    if trainer.is_world_process_zero():
        write_run_json(
            folder,
            config=cfg,
            seeds=cfg.seed,
            inputs={"sft": file, "adapter": adapter},
            digests={"model": loaded.digest},
            results=figures,
        )
    finish_tracking()
    say(f"adapter: {adapter}")


if __name__ == "__main__":
    main()
