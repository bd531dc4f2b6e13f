"""A model before and after, in one command: benchmark the base and each adapter, and write the report.

    python evaluate/measure.py adapters='{dpo: runs/dpo/adapter}' out=runs/measured
    python evaluate/measure.py adapters='{sft: runs/sft/adapter, dpo: runs/dpo/adapter}' \
        model=hub model.name=OWNER/NAME task=[mohobench,pope] task.mohobench.questions=QUESTIONS.jsonl \
        task.mohobench.root=IMAGE_FOLDER batch_size=32
    python evaluate/measure.py ... +compare.title='Before and after'       settings of the report

Every other setting is benchmark.py's, and all models get the same ones; `tracking` is the report's too. Runs
benchmark.py for the base and for each adapter, then compare.py, each under the command that would run it
alone; a run that was cut off goes on with the same command. Leaves in `out` a folder for each model, and
report/.
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from align.chain import Step, given, override, run_steps, settings_of
from align.run import run_folder
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="measure")
@ends_with_message
def main(cfg: DictConfig) -> None:
    folder, adapters = run_folder(), dict(cfg.adapters)
    if given("adapter"):
        raise ValueError("adapter= names one; here adapters='{NAME: FOLDER}' names all that are compared")
    if "base" in adapters or not adapters:
        raise ValueError(
            "adapters: give '{NAME: FOLDER}', at least one, and none called base, which is there"
        )
    for name, place in adapters.items():
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not place:
            raise ValueError(f"adapters: {name}: {place}: a name of letters, digits, - and _, and a folder")
    ours = (*given("adapters", "out"), *given("compare"))
    settings = [text for text in HydraConfig.get().overrides.task if text not in ours]
    places: dict[str, Path] = {name: folder / name for name in ("base", *adapters)}

    steps = [Step("benchmark", (*settings, override("out", places["base"])))]
    steps += [
        Step("benchmark", (*settings, override("adapter", adapters[name]), override("out", places[name])))
        for name in adapters
    ]
    runs = ", ".join(f"{name}: '{place}'" for name, place in places.items())
    report = override("out", folder / "report")
    run_steps(
        [*steps, Step("compare", (f"runs={{{runs}}}", report, *given("tracking"), *settings_of("compare")))]
    )


if __name__ == "__main__":
    main()
