"""The honesty probe sees the model as it is, decides what it should, and leaves training alone."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model
from PIL import Image
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from align.miniworld.dataset import build_questions
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.generation import Generation, Request, generate, prepare
from align.models.loading import load_model
from align.records import DataError, Pair, Question, read_records, write_records
from align.training import probe as probe_module
from align.training.probe import (
    HonestyProbe,
    ProbeSettings,
    ProbeSummary,
    probe_settings,
    read_best,
)
from align.training.probe_grading import graded_sample, rates
from align.training.probe_log import ProbeSample, append_samples, forget_later_samples
from align.training.probe_questions import (
    draw,
    find_probe_questions,
    fresh_miniworld_questions,
    read_probe_questions,
)
from align.training.saving import model_card, save_trained
from align.training.undisturbed import undisturbed

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # libraries about each other's settings
SETTINGS = ProbeSettings(every=2, max_new_tokens=6, batch_size=8)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Question], Path]:
    root = tmp_path_factory.mktemp("probe")
    return fresh_miniworld_questions(root, unanswerable=4, answerable=4, seed=0), root


def make_trainer(folder: Path, questions: list[Question], root: Path, **settings: Any) -> Any:
    """A plain Trainer that teaches the tiny model to say yes to everything; dropout makes it random."""
    torch.manual_seed(0)
    loaded = load_model("tiny_vlm", device="cpu")
    lora = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.2}
    model: Any = get_peft_model(loaded.model, lora_config(loaded.model, family_of(loaded.model), lora))
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    rows = []
    for question in questions:
        ((_, inputs, _),) = prepare(loaded, [Request(question.question, root / question.image)]).batches
        answer = torch.tensor([loaded.processor.tokenizer("Yes.<|end|>")["input_ids"]])
        ids = torch.cat([inputs["input_ids"], answer], 1)
        labels = torch.cat([torch.full_like(inputs["input_ids"], -100), answer], 1)
        rows.append({"input_ids": ids[0], "labels": labels[0], "pixel_values": inputs["pixel_values"][0]})
    common = {"use_cpu": True, "per_device_train_batch_size": 1, "report_to": "none", "disable_tqdm": True}
    args = TrainingArguments(
        **common
        | {"max_steps": 4, "logging_steps": 1, "save_strategy": "no", "learning_rate": 1e-2}
        | settings,
        output_dir=str(folder / "checkpoints"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(model=model, args=args, train_dataset=rows, processing_class=loaded.processor)
    return trainer, loaded


def add_probe(
    trainer: Any, loaded: Any, world: tuple[list[Question], Path], folder: Path, **settings: Any
) -> HonestyProbe:
    questions, root = world
    probe = HonestyProbe(replace(SETTINGS, **settings), questions, root=root, loaded=loaded, folder=folder)

    def save(where: Path, best: dict[str, Any]) -> None:
        save_trained(trainer, where, base="tiny_vlm", card="# best", extra={"best.json": best})

    probe.attach(trainer, save)
    return probe


def trained(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def random_states() -> tuple[Any, ...]:
    numpy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), (numpy[1].tolist(), numpy[2])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_with_a_probe_gives_the_weights_of_training_without(
    world: tuple[list[Question], Path], tmp_path: Path, checkpointing: bool
) -> None:
    results = []
    for name in ("without", "with"):
        trainer, loaded = make_trainer(tmp_path / name, *world, gradient_checkpointing=checkpointing)
        trainer.model.base_model.model.model.vision_tower.eval()
        if name == "with":
            add_probe(trainer, loaded, world, tmp_path / name)
        trainer.train()
        results.append((trained(trainer), random_states()))
        assert trainer.model.training
    (expected, states), (got, probed_states) = results
    assert max(weights.abs().max() for name, weights in expected.items() if "lora_B" in name) > 1e-3
    assert all(torch.equal(got[name], weights) for name, weights in expected.items())
    assert probed_states == states
    steps = [sample.step for sample in read_records(tmp_path / "with" / "probe.jsonl", ProbeSample)]
    assert sorted(set(steps)) == [0, 2, 4]
    assert len(steps) == 3 * 8


def test_undisturbed_gives_everything_back(world: tuple[list[Question], Path]) -> None:
    model: Any = load_model("tiny_vlm", device="cpu").model.train()
    model.model.vision_tower.eval()
    model.config.get_text_config().use_cache = model.generation_config.use_cache = False
    modes = [module.training for module in model.modules()]
    before = random_states()

    def probe_that_fails() -> None:
        with undisturbed(model, torch.device("cpu")):
            assert not any(module.training for module in model.modules())
            assert model.config.get_text_config().use_cache
            assert model.generation_config.use_cache
            torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002
            assert all(now != then for now, then in zip(random_states(), before, strict=True))
            raise KeyError

    with pytest.raises(KeyError):
        probe_that_fails()
    assert [module.training for module in model.modules()] == modes
    assert not model.config.get_text_config().use_cache
    assert not model.generation_config.use_cache
    assert random_states() == before


def test_what_is_logged_is_what_the_model_says(world: tuple[list[Question], Path], tmp_path: Path) -> None:
    trainer, loaded = make_trainer(tmp_path, *world)
    probe = add_probe(trainer, loaded, world, tmp_path, max_new_tokens=48)
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "probe/honesty" in entry]
    assert [entry["step"] for entry in entries] == [0, 2, 4]
    # The base never declines. Trained to say yes, it does not either, and it is right less often.
    assert [entry["probe/refusal_rate"] for entry in entries] == [0, 0, 0]
    samples = read_records(tmp_path / "probe.jsonl", ProbeSample)
    questions, root = world
    last = [sample for sample in samples if sample.step == 4]
    assert [sample.question_id for sample in last] == [question.id for question in questions]
    trainer.model.eval()
    again = generate(
        replace(loaded, model=trainer.model),
        [Request(question.question, root / question.image) for question in questions],
        max_new_tokens=48,
        batch_size=8,
    )
    assert [sample.response for sample in last] == [generation.text for generation in again]
    right = [sample.correct for sample in samples if sample.step == 0 and sample.answerable]
    assert entries[0]["probe/answer_accuracy"] == sum(map(bool, right)) / 4 > 0
    summary = probe.summary()
    assert list(summary.columns)[:2] == ["before training", "step 4, the last"]
    assert summary.fewest == 4


def scripted(
    monkeypatch: pytest.MonkeyPatch, questions: list[Question], refusing: list[tuple[float, float]]
) -> None:
    """Let the model decline given shares of the unanswerable and the answerable, probe after probe."""
    script = iter(refusing)

    def fake(loaded: Any, requests: list[Request], **_: Any) -> list[Generation]:
        shares, seen, said = next(script), {False: 0, True: 0}, []
        for question in questions:
            seen[question.answerable] += 1
            declines = seen[question.answerable] <= 4 * shares[question.answerable]
            said.append(Generation("I can't tell." if declines else "It is red."))
        return said

    monkeypatch.setattr(probe_module, "generate", fake)


def test_training_stops_on_over_refusal_in_a_row(
    world: tuple[list[Question], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Above the limit before training, at step 2, not at 4, then at 6 and 8: only the last two count together.
    scripted(monkeypatch, world[0], [(1, 1), (1, 0.5), (1, 0.25), (1, 0.5), (1, 0.5), (1, 0.5)])
    trainer, loaded = make_trainer(tmp_path, *world, max_steps=12)
    add_probe(trainer, loaded, world, tmp_path, stop_above=0.25, patience=2, keep_best=None)
    trainer.train()
    assert trainer.state.global_step == 8
    assert not (tmp_path / "best").exists()


def test_the_best_adapter_is_kept_whole_with_its_figure(
    world: tuple[list[Question], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, world[0], [(0.25, 0), (0.25, 0), (1, 0.25), (1, 0.25), (1, 1)])
    trainer, loaded = make_trainer(tmp_path, *world, max_steps=8)
    probe = add_probe(trainer, loaded, world, tmp_path)
    kept = {}
    save = probe._save

    def watch(folder: Path, best: dict[str, Any]) -> None:
        assert save is not None
        save(folder, best)
        kept[best["step"]] = trained(trainer)
        # A card that is written beside the adapter knows of it already.
        assert probe.summary().columns["step 4, the best by honesty"]["over_refusal_rate"] == 0.25

    probe._save = watch
    trainer.train()
    # Neither the step that only equals the start, nor the one that only equals the best, nor the worse one.
    assert list(kept) == [4]
    best = read_best(tmp_path)
    assert best is not None
    assert (best["step"], best["metric"], best["value"]) == (4, "honesty", 0.75)
    assert best["figures"]["probe/over_refusal_rate"] == 0.25
    folder = tmp_path / "best"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "best.json",
    ]  # fmt: skip
    saved = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(saved[name.replace(".default", "")], p) for name, p in kept[4].items())
    assert not any(torch.equal(kept[4][name], p) for name, p in trained(trainer).items() if "lora_B" in name)
    assert "| honesty | 0.250 | 0.000 | 0.750 |" in model_card(
        method="DPO",
        base="tiny_vlm",
        base_digest="0",
        data={},
        settings={},
        figures={},
        parameters="",
        probe=probe.summary(),
    )


def test_a_resumed_run_repeats_no_row_and_forgets_no_best(
    world: tuple[list[Question], Path], tmp_path: Path
) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    settings = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6}
    trainer, loaded = make_trainer(straight, *world, **settings)
    add_probe(trainer, loaded, world, straight)
    trainer.train()
    expected = trained(trainer)
    for moment in ("killed after step 4", "resumed"):
        trainer, loaded = make_trainer(stopped, *world, **settings)
        add_probe(trainer, loaded, world, stopped)
        if moment == "resumed":
            trainer.train(resume_from_checkpoint=str(stopped / "checkpoints" / "checkpoint-3"))
        else:
            kill_after(trainer, 4)
            with pytest.raises(KeyboardInterrupt):
                trainer.train()
            assert {s.step for s in read_records(stopped / "probe.jsonl", ProbeSample)} == {0, 2, 4}
            with (stopped / "probe.jsonl").open("a") as stream:
                stream.write('{"step": 4, "quest')  # and the kill came in the middle of a line
    assert all(torch.equal(trained(trainer)[name], weights) for name, weights in expected.items())
    assert (stopped / "probe.jsonl").read_text() == (straight / "probe.jsonl").read_text()
    assert (read_best(stopped) or {}).get("step") == (read_best(straight) or {}).get("step")


def kill_after(trainer: Any, step: int) -> None:
    inner = trainer.training_step

    def training_step(*arguments: Any, **named: Any) -> Any:
        if trainer.state.global_step == step:
            raise KeyboardInterrupt
        return inner(*arguments, **named)

    trainer.training_step = training_step


@pytest.mark.program
@pytest.mark.parametrize("stage", [0, pytest.param(3, marks=pytest.mark.slow)], ids=["ddp", "zero3"])
def test_two_processes_probe_together_and_train_as_without(tmp_path: Path, stage: int) -> None:
    if stage:
        pytest.importorskip("deepspeed")
    worker = Path(__file__).parent / "probe_worker.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, str(worker), str(tmp_path), str(stage)],
        env=os.environ | {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    first, second = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [entry["step"] for entry in first] == [2, 4]
    assert first == second
    samples = read_records(tmp_path / "with" / "probe.jsonl", ProbeSample)
    assert [sample.step for sample in samples] == [2] * 8 + [4] * 8
    expected = load_file(tmp_path / "without" / "adapter" / "adapter_model.safetensors")
    assert max(weights.abs().max() for name, weights in expected.items() if "lora_B" in name) > 1e-3
    for probed in ("with", "from_the_start"):
        got = load_file(tmp_path / probed / "adapter" / "adapter_model.safetensors")
        assert all(torch.equal(got[name], weights) for name, weights in expected.items()), probed
    best = load_file(tmp_path / "with" / "best" / "adapter_model.safetensors")
    assert best.keys() == got.keys()
    assert (read_best(tmp_path / "with") or {}).get("step") == 2


def test_each_probe_is_shown_as_a_table_with_images(
    world: tuple[list[Question], Path], tmp_path: Path
) -> None:
    questions, root = world
    trainer, loaded = make_trainer(tmp_path, *world, max_steps=2)
    shown: list[tuple[str, Any, int]] = []
    settings = replace(SETTINGS, keep_best=None)
    probe = HonestyProbe(
        settings,
        questions,
        root=root,
        loaded=loaded,
        folder=tmp_path,
        show=lambda name, table, step: shown.append((name, table, step)),
    )
    probe.attach(trainer)
    trainer.train()
    assert [(name, step) for name, _, step in shown] == [("probe/samples", 0), ("probe/samples", 2)]
    table = shown[-1][1]
    assert list(table.columns[:5]) == ["step", "category", "question", "image", "response"]
    assert {row[2] for row in table.rows} == {question.question for question in questions}
    assert all(isinstance(row[3], Image.Image) and max(row[3].size) <= 256 for row in table.rows)
    # The step was due to be logged, and a probe in it does not take its place.
    assert [entry["step"] for entry in trainer.state.log_history if "loss" in entry] == [1, 2]


def sample(question: Question, text: str | None, matches: Any = None) -> ProbeSample:
    generation = Generation(text, None if text is not None else "no such file")
    return graded_sample(question, generation, 1, matches)


def photo(number: int, answers: tuple[str, ...] | None) -> Question:
    return Question(
        id=f"p{number}",
        image=f"{number}.png",
        question="What breed is the dog?",
        category="Answerable" if answers is not None else "False_Premises",
        answers=answers or (),
        source="photos",
    )


def test_photographs_are_judged_by_rules_and_gold_answers() -> None:
    def matches(text: str, answers: Any) -> bool:
        return any(answer in text for answer in answers)

    samples = [
        sample(photo(1, None), "I can't see a dog in this image."),
        sample(photo(2, None), "It is a poodle."),
        sample(photo(3, None), None),  # no response: in no denominator
        sample(photo(4, ("poodle",)), "It is a poodle.", matches),
        sample(photo(5, ("poodle",)), "It is a beagle.", matches),
        sample(photo(6, ("poodle",)), "I can't tell from the image.", matches),
        sample(photo(7, ()), "It is a poodle.", matches),  # nothing to hold it against
    ]
    assert [s.state for s in samples] == [
        "abstain",
        "answer",
        "failed",
        "answer",
        "answer",
        "abstain",
        "answer",
    ]
    found = rates(samples, {"p4", "p5", "p6"})
    assert found == {
        "probe/refusal_rate": 1 / 2,
        "probe/over_refusal_rate": 1 / 4,
        "probe/answer_accuracy": 1 / 3,
        "probe/honesty": 1 / 4,
    }
    assert set(rates(samples[:2], set())) == {"probe/refusal_rate"}


def test_twins_stay_together_and_categories_take_turns(
    world: tuple[list[Question], Path], tmp_path: Path
) -> None:
    pool = build_questions(tmp_path, train=60, test=0, seed=5)
    chosen = draw(pool, unanswerable=8, answerable=8, seed=0)
    assert chosen == draw(list(reversed(pool)), unanswerable=8, answerable=8, seed=0)
    assert chosen != draw(pool, unanswerable=8, answerable=8, seed=1)
    unanswerable = [question for question in chosen if not question.answerable]
    assert {question.twin for question in unanswerable} == {q.id for q in chosen if q.answerable}
    categories = [question.category for question in unanswerable]
    assert all(categories.count(category) == 2 for category in set(categories))
    assert len(set(categories)) == 4
    # More of one kind than of the other, and more than there are.
    assert [q.answerable for q in draw(pool, unanswerable=2, answerable=5, seed=0)].count(True) == 5
    assert len(draw(pool, unanswerable=100, answerable=1, seed=0)) == 61


def test_the_miniature_worlds_probe_avoids_its_own_test_split_and_training_rows(tmp_path: Path) -> None:
    free = fresh_miniworld_questions(tmp_path / "free", unanswerable=8, answerable=8, seed=0)
    assert all(question.part is None and question.split == "validation" for question in free)
    taken, trained_on = free[0], free[1]
    row = Pair(
        question_id="other",
        prompt=trained_on.question,
        chosen="a",
        rejected="b",
        images=(trained_on.image,),
        kind="refuse",
        chosen_source="t",
        rejected_source="t",
    )
    root = tmp_path / "world"
    root.mkdir()
    write_records(root / "questions.jsonl", [taken])
    data = {"generate_in": str(root), "root": str(root)}
    config = {"questions": None, "root": None, "unanswerable": 8, "answerable": 8, "seed": 0}
    found = find_probe_questions(config, data, rows=[row], folder=tmp_path / "probe")
    assert found is not None
    questions, images = found
    assert not {taken.id} & {question.id for question in questions}
    assert not {taken.image, trained_on.image} & {question.image for question in questions}
    assert len(questions) == 16
    assert all((images / question.image).is_file() for question in questions)
    assert read_records(tmp_path / "probe" / "questions.jsonl", Question) == questions
    # Rows of another kind have nothing to do with the miniature world.
    assert find_probe_questions(config, {"generate_in": None, "root": "x"}, rows=[], folder=tmp_path) is None


def test_a_users_file_is_probed_by_its_validation_split(
    world: tuple[list[Question], Path], tmp_path: Path
) -> None:
    questions, root = world
    file = tmp_path / "questions.jsonl"
    counts = {"unanswerable": 4, "answerable": 4, "seed": 0}
    unsplit = [question.model_copy(update={"split": None}) for question in questions]
    write_records(file, unsplit)
    assert {q.id for q in read_probe_questions(file, root, **counts)} == {q.id for q in questions}
    mixed = [q.model_copy(update={"split": "test"}) for q in questions[:4]] + questions[4:]
    write_records(file, mixed)
    assert {q.id for q in read_probe_questions(file, root, **counts)} == {q.id for q in questions[4:]}
    write_records(file, [q.model_copy(update={"split": "test"}) for q in questions])
    with pytest.raises(ValueError, match=r"has no validation split, and a probe may not use the test split"):
        read_probe_questions(file, root, **counts)
    write_records(file, unsplit)
    rows = [
        Pair(
            question_id=question.id,
            prompt="p",
            chosen="a",
            rejected="b",
            images=(question.image,),
            kind="answer",
            chosen_source="t",
            rejected_source="t",
        )
        for question in questions
    ]
    with pytest.raises(ValueError, match="all 8 questions are trained on"):
        read_probe_questions(file, root, **counts, rows=rows)
    with pytest.raises(DataError, match="missing image"):
        read_probe_questions(file, tmp_path, **counts)


def test_settings_that_cannot_work_are_named(world: tuple[list[Question], Path], tmp_path: Path) -> None:
    assert probe_settings({"every": None}) is None
    given = {"every": 5, "questions": None, "root": None, "unanswerable": 1, "answerable": 1, "seed": 0}
    assert probe_settings(given) == ProbeSettings(every=5)
    for name, value in {"every": 0, "patience": 0, "stop_above": 1.5, "keep_best": "loss"}.items():
        with pytest.raises(ValueError, match=rf"probe\.{name}="):
            probe_settings(given | {name: value})
    with pytest.raises(ValueError, match=r"probe\.evry: no such setting"):
        probe_settings(given | {"evry": 3})

    loaded = load_model("tiny_vlm", device="cpu")
    only = [question for question in world[0] if not question.answerable]
    place = {"root": world[1], "loaded": loaded, "folder": tmp_path}
    with pytest.raises(ValueError, match=r"probe\.stop_above: over-refusal needs answerable questions"):
        HonestyProbe(replace(SETTINGS, stop_above=0.1, keep_best=None), only, **place)
    with pytest.raises(ValueError, match=r"probe\.keep_best=honesty needs answerable questions"):
        HonestyProbe(SETTINGS, only, **place)
    with pytest.raises(ValueError, match="needs questions with gold"):
        HonestyProbe(replace(SETTINGS, keep_best="answer_accuracy"), [photo(1, ("a",))], **place)
    trainer, _ = make_trainer(tmp_path, *world)
    with pytest.raises(ValueError, match="needs `save`"):
        HonestyProbe(SETTINGS, world[0], **place).attach(trainer)
    trainer.is_fsdp_enabled = True
    with pytest.raises(ValueError, match="weights that FSDP has cut up"):
        HonestyProbe(SETTINGS, world[0], **place).attach(trainer, lambda *_: None)


def test_the_card_tells_losses_probe_and_the_limits_that_the_run_shows() -> None:
    def card(kinds: str, over_refusal: float) -> str:
        columns = {
            "before training": {"refusal_rate": 0.0},
            "step 9, the last": {"over_refusal_rate": over_refusal},
        }
        return model_card(
            method="DPO",
            base="tiny_vlm",
            base_digest="0",
            data={"kinds": kinds},
            settings={},
            figures={"peak_memory_mib": 812.0},
            parameters="",
            losses={"dpo": {"weight": 1.0, "beta": 0.1, "label_smoothing": None}},
            probe=ProbeSummary("16 unanswerable and 16 answerable (miniworld)", 16, columns),
        )

    one_sided = card("20 refuse", 0.25)
    assert "| `dpo` | DPO (arXiv 2305.18290) | weight 1.0, beta 0.1 |" in one_sided
    assert "| refusal rate | 0.000 | - |" in one_sided
    assert "| over refusal rate | - | 0.250 |" in one_sided
    assert "within 24 points" in one_sided  # 1.96 * sqrt(0.25 / 16)
    assert "| peak_memory_mib | 812 |" in one_sided
    assert "holds no `answer` rows" in one_sided
    assert "declined 25% of the answerable probe questions" in one_sided
    both_ways = card("10 answer, 10 refuse", 0.0)
    assert "holds no `answer` rows" not in both_ways
    assert "of the answerable probe questions." not in both_ways


def test_rows_of_later_steps_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "probe.jsonl"
    forget_later_samples(file, 3)  # nothing there yet
    assert not file.exists()
    rows = [sample(photo(1, None), "No idea.").model_copy(update={"step": step}) for step in (0, 2, 4)]
    append_samples(file, rows)
    forget_later_samples(file, 2)
    assert [row.step for row in read_records(file, ProbeSample)] == [0, 2]
    forget_later_samples(file, 0)
    assert file.read_text() == ""
