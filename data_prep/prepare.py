"""From a question file and its images to training data, in one command: ingest, sample, answer, build, audit.

    python data_prep/prepare.py                                            the sample photographs
    python data_prep/prepare.py source=table input=FILE.csv images=FOLDER out=data/mine \
        source.map='{image: picture, question: text, category: kind, answers: gold, reason: why}' \
        model=hub model.name=OWNER/NAME                                    your questions, images and model
    python data_prep/prepare.py ... teacher=model endpoint=openai endpoint.model=openai/gpt-4o
    python data_prep/prepare.py ... on_bad_row=skip                        without rows that cannot be used
    python data_prep/prepare.py ... +build_pairs.own_wrong=0.3             a setting of one step

Runs the programs of these names, each under the command that would run it alone: ingest, sample_responses,
write_honest_answers (with teacher=model), build_pairs, build_sft and audit. A run that was cut off goes on
with the same command. Leaves in `out` what each of them writes: questions.jsonl, responses.jsonl,
pairs.jsonl and sft.jsonl with their data card; each step's record is under runs/prepare/.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.chain import Step, given, override, run_steps, settings_of
from align.run import run_folder
from align.user_errors import ends_with_message

GROUPS = ("source", "model", "endpoint", "judge", "trainer", "lora")
OWN = ("input", "images", "out", "on_bad_row", "teacher")
STEPS = ("ingest", "sample_responses", "write_honest_answers", "build_pairs", "build_sft", "audit")


@hydra.main(version_base="1.3", config_path="../configs", config_name="prepare")
@ends_with_message
def main(cfg: DictConfig) -> None:
    runs, data = run_folder(), Path(cfg.out)
    images = Path(cfg.images or data / "images")
    if cfg.teacher not in ("composer", "model"):
        raise ValueError(f"teacher={cfg.teacher}: choose composer, which needs no model, or model")
    if cfg.teacher == "composer" and given("endpoint", "judge"):
        raise ValueError("endpoint and judge are of the teacher: add teacher=model, or leave them out")
    for name in sorted({str(name) for name in cfg} - {*GROUPS, *OWN, *STEPS}):
        raise ValueError(
            f"+{name}: prepare has no such setting; one of a step is +STEP.NAME=VALUE, "
            f"and the steps are {', '.join(STEPS)}"
        )

    def step(program: str, *overrides: str) -> Step:
        own = settings_of(program)
        return Step(program, (*overrides, override("out", runs / program), *own))

    folder, root = override("folder", data), override("root", images)
    steps = [
        Step(
            "ingest",
            (
                *given("source", "input", "images", "on_bad_row"),
                override("out", data),
                *settings_of("ingest"),
            ),
        ),
        step("sample_responses", folder, root, *given("model")),
    ]
    answers: tuple[str, ...] = ()
    if cfg.teacher == "model":
        steps.append(step("write_honest_answers", folder, root, "teacher=model", *given("endpoint", "judge")))
        answers = (override("answers", data / "honest_answers.jsonl"),)
    steps += [
        step("build_pairs", folder, root, *answers),
        step("build_sft", folder, root, *answers),
        step(
            "audit",
            "data=files",
            override("data.pairs", data / "pairs.jsonl"),
            override("data.root", images),
            *given("model", "trainer", "lora"),
        ),
    ]
    run_steps(steps)
    print(
        f"\nready to train: {data / 'pairs.jsonl'}, {data / 'sft.jsonl'}; images below {images}", flush=True
    )


if __name__ == "__main__":
    main()
