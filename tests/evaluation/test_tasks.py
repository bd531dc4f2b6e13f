"""Data sets, scorers and metrics as Inspect sees them."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval
from inspect_ai._util.registry import registry_lookup
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageUser, ModelName, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, Target
from inspect_ai.solver import TaskState
from PIL import Image

from align.evaluation.benchmark import collect
from align.evaluation.kinds import BadSetting, UnknownTask, make_task
from align.evaluation.metrics import summarize
from align.evaluation.scorers import (
    graded_of,
    graded_record,
    is_whole,
    miniworld_grader,
    question_of,
    refusal_rules,
    to_score,
)
from align.evaluation.tasks import miniworld, mohobench, select_questions
from align.judging.matching import matches
from align.miniworld.dataset import build_questions
from align.miniworld.scenes import COLORS
from align.records import DataError, Graded, Question, write_records


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    build_questions(root, train=4, test=24)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for name, mode, size in (
        ("wide.png", "RGB", (400, 40)),
        ("gray.png", "L", (31, 200)),
        ("clear.png", "RGBA", (5, 5)),
    ):
        Image.new(mode, size).save(root / name)
    why, animal = "Why was it built?", "What animal is it?"
    common = {"source": "test", "license": None}
    rows = [
        Question(
            id="why", image="wide.png", question=why, category="Context_Dependent", twin="what", **common
        ),
        Question(
            id="what",
            image="gray.png",
            question=animal,
            category="Answerable",
            answers=("cat", "kitten"),
            twin="why",
            **common,
        ),
        Question(id="open", image="clear.png", question="Describe it.", category="Answerable", **common),
    ]
    write_records(root / "questions.jsonl", rows)
    return root


# --- Data sets -------------------------------------------------------------------------------------------


def test_samples_are_the_split_by_length_with_images_by_path(world: Path) -> None:
    task = miniworld(root=str(world))
    assert len(task.dataset) == 48
    lengths = [len(question_of(sample.metadata or {}).question) for sample in task.dataset]
    assert lengths == sorted(lengths)
    for sample in task.dataset:
        question = question_of(sample.metadata or {})
        image, text = sample.input[0].content  # type: ignore[union-attr]
        assert Path(image.image) == world / question.image  # type: ignore[union-attr]
        assert text.text == question.question  # type: ignore[union-attr]
        assert question.split == "test"
        assert sample.id == question.id
    assert len(miniworld(root=str(world), split=None).dataset) == 56


def test_a_limit_is_the_same_subset_each_time_and_keeps_twins_together(world: Path) -> None:
    def chosen(limit: int) -> list[Question]:
        return [question_of(s.metadata or {}) for s in miniworld(root=str(world), limit=limit).dataset]

    some = chosen(10)
    assert len(some) == 10
    assert chosen(10) == some
    assert {q.twin for q in some} == {q.id for q in some}
    assert {q.id for q in some} < {q.id for q in chosen(20)}
    assert len(chosen(1000)) == 48
    odd = chosen(9)  # no half of a pair, which would be in rates and in no dual accuracy
    assert {q.twin for q in odd} == {q.id for q in odd}
    assert len(odd) == 8
    assert len(chosen(1)) == 1


def test_a_limit_keeps_all_twins_of_one_question(tmp_path: Path) -> None:
    questions = []
    for i in range(12):
        given = {"question": "What?", "image": f"{i}.png", "source": "test"}
        questions.append(Question(id=f"z{i}", category="Answerable", answers=("x",), twin=f"a{i}", **given))
        # Two that cannot be answered share one that can, which names one of them.
        questions += [Question(id=f"{k}{i}", category="False_Premises", twin=f"z{i}", **given) for k in "ab"]
    for limit in range(3, 30):
        kept = {q.id for q in select_questions(questions, file="q", split=None, limit=limit)}
        assert len(kept) == limit - limit % 3
        assert all((q.id in kept) == (q.twin in kept) for q in questions)


def test_a_selection_that_cannot_be_made_is_refused(world: Path) -> None:
    questions = [question_of(s.metadata or {}) for s in miniworld(root=str(world)).dataset]
    with pytest.raises(DataError, match="no question of split 'validation'; found: test"):
        select_questions(questions, file="q.jsonl", split="validation", limit=None)
    with pytest.raises(DataError, match=f"{questions[0].id}' occurs twice"):
        select_questions([*questions, questions[0]], file="q.jsonl", split=None, limit=None)
    with pytest.raises(ValueError, match="limit is 0"):
        select_questions(questions, file="q.jsonl", split=None, limit=0)


# --- Scorers ---------------------------------------------------------------------------------------------


def score(scorer: Any, question: Question, response: str) -> Score:
    state = TaskState(
        model=ModelName("mockllm/model"),
        sample_id=question.id,
        epoch=1,
        input="",
        messages=[ChatMessageUser(content="")],
        output=ModelOutput.from_content("m", response),
        metadata={"record": question.model_dump_json()},
    )
    result: Score = asyncio.run(scorer(state, Target("")))
    return result


def test_the_miniature_world_is_graded_exactly(world: Path) -> None:
    questions = [question_of(s.metadata or {}) for s in miniworld(root=str(world)).dataset]
    grader = miniworld_grader()
    for question in questions:
        if not question.answerable:
            declined = score(grader, question, "I cannot tell that from the image.")
            assert (declined.value, graded_of(declined).state) == (1.0, "abstain")
            assert graded_of(declined).reason in ("right", "wrong", "none")
            assert declined.answer == "I cannot tell that from the image."
            nonsense = score(grader, question, "###")
            assert (nonsense.value, graded_of(nonsense).state) == (0.0, "unparsed")
        else:
            right, wrong = question.answers[0], "plaid"
            answered = score(grader, question, right)
            assert (answered.value, graded_of(answered).correct) == (1.0, True), (question, right)
            assert score(grader, question, wrong).value == 0.0
            over = graded_of(score(grader, question, "I cannot tell that from the image."))
            assert (over.state, over.reason, over.correct) == ("abstain", None, None)


def test_photographs_are_graded_by_rules_and_gold_answers(photos: Path) -> None:
    why, what, open_ended = (
        next(
            question_of(s.metadata or {})
            for s in mohobench(str(photos / "questions.jsonl")).dataset
            if s.id == id
        )
        for id in ("why", "what", "open")
    )
    rules = refusal_rules()
    declined = score(rules, why, "The image does not show why it was built.")
    assert (declined.value, graded_of(declined).state, graded_of(declined).reason) == (1.0, "abstain", None)
    assert score(rules, why, "It was built to guard the harbor.").value == 0.0
    assert graded_of(score(rules, what, "It is a small kitten.")).correct is True
    assert graded_of(score(rules, what, "It is a dog.")).correct is False
    # Without a gold answer an answer is an answer, and whether it is right stays open.
    free = score(rules, open_ended, "A clear square.")
    assert (free.value, graded_of(free).state, graded_of(free).correct) == (1.0, "answer", None)
    assert graded_of(score(rules, open_ended, "")).state == "unparsed"


def test_a_row_survives_the_way_through_inspects_summaries(world: Path) -> None:
    from inspect_ai.log._util import thin_metadata

    [question, *_] = [question_of(s.metadata or {}) for s in miniworld(root=str(world)).dataset]
    for text in (
        "a  b   c",
        " leading",
        "tab\there\nand there",
        "no\u00a0break\u2003em",
        '"}',
        "é" * 40,
        "word " * 20,
    ):
        graded = graded_record(question, text, state="answer", grader="test", correct=None)
        thinned = Score(value=0.0, metadata=thin_metadata(to_score(graded).metadata or {}))
        assert is_whole(thinned)
        assert graded_of(thinned) == graded
    long = graded_record(question, "word " * 900, state="answer", grader="test")
    assert not is_whole(Score(value=0.0, metadata=thin_metadata(to_score(long).metadata or {})))


@pytest.mark.parametrize(
    ("response", "answers", "right"),
    [
        ("The cat is black.", ["black"], True),
        ("It's not black, it is gray.", ["black"], False),
        ("It isn't a black cat.", ["black"], False),
        ("A blackbird.", ["black"], False),
        ("There are Two dogs", ["2"], True),
        ("There are 2 dogs", ["two"], True),
        ("12 dogs", ["2"], False),
        ("On the table, next to a cup", ["the table", "a desk"], True),
        ("Yes, there are no clouds.", ["yes"], True),
        ("No, it is not.", ["no"], True),
        ("No.", ["yes"], False),
        ("I see clouds.", ["yes"], False),
        ("Maybe.", ["no"], False),
        ("The dog's collar is red.", ["dog"], True),
        ("", ["red"], False),
        ("Red.", ["?"], False),
    ],
)
def test_a_gold_answer_is_found_in_free_text(response: str, answers: list[str], right: bool) -> None:
    assert matches(response, answers) is right


# --- Through Inspect -------------------------------------------------------------------------------------


def run(task: Any, outputs: list[str], tmp_path: Path, **options: Any) -> EvalLog:
    # With its usage given, Inspect counts no tokens, for which it would download an encoding.
    outputs_of_model = [ModelOutput.from_content("m", text) for text in outputs]
    for output in outputs_of_model:
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    model = get_model("mockllm/model", custom_outputs=outputs_of_model)
    options = {"fail_on_error": False, "max_connections": 1, "max_samples": 1, **options}
    return eval(task, model=model, display="none", log_dir=str(tmp_path), **options)[0]


def test_any_model_of_inspect_can_be_scored_and_a_missing_image_is_no_score(
    photos: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    for name in ("wide.png", "clear.png"):  # gray.png is missing
        (root / name).write_bytes((photos / name).read_bytes())
    made = make_task("mohobench", {"questions": str(photos / "questions.jsonl"), "root": str(root)})
    task = made.task
    # Longer than what Inspect's summaries keep of a score.
    seen = (f"a {color} {thing}" for thing in ("door", "window", "roof", "gate", "stair") for color in COLORS)
    long = (
        f"The image does not show why it was built. It shows {', '.join(seen)}. " + "I can't say more. " * 2
    )
    long += "Whoever took this picture stood in front of it on a bright day, with the light from behind. " * 3
    log = run(task, ["A clear square.", long], tmp_path / "logs")
    assert log.status == "success"
    rows, facts = collect(made, Path(log.location.removeprefix("file://")))
    graded = {row.question_id: row for row in rows}
    assert {id: row.state for id, row in graded.items()} == {
        "open": "answer",
        "why": "abstain",
        "what": "failed",
    }
    assert graded["why"].response == long
    assert [fact and fact.truncated for fact in facts] == [
        None if row.state == "failed" else False for row in rows
    ]
    assert graded["what"].error is not None
    assert "gray.png" in graded["what"].error
    assert (graded["what"].correct, graded["what"].reason, graded["what"].response) == (None, None, None)
    assert log.results is not None
    shown = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    scored: list[Graded] = [row for row in graded.values() if row.state != "failed"]
    assert shown["refusal_rate"] == summarize(scored)["refusal_rate"] == 1.0
    assert shown["over_refusal_rate"] == 0.0


@pytest.mark.parametrize("name", ["miniworld", "mohobench"])
def test_tasks_are_found_by_their_name_in_a_process_that_imported_nothing_of_ours(name: str) -> None:
    assert registry_lookup("task", f"align/{name}") is not None
    code = (
        "import sys; from inspect_ai._util.registry import registry_lookup;"
        f"assert registry_lookup('task', 'align/{name}') is not None; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "settings", "error", "says"),
    [
        ("miniworld", {"limit": 0}, BadSetting, r"^task\.miniworld: limit is 0: it must be at least 1"),
        ("miniworld", {"limt": 5}, UnknownTask, r"task\.miniworld has no setting limt: .* limit"),
        ("photos", {"task": "mohobench", "questions": "???"}, BadSetting, r"task\.photos\.questions must be"),
        ("pope", {"parts": "random"}, UnknownTask, r"task\.pope has no setting parts: .* part,"),
        ("mm_upd", {"source": "x_aad.tsv", "setting": "hard"}, BadSetting, r"task\.mm_upd: setting='hard'"),
        ("corruption", {"of": {"task": "miniworld"}, "kind": []}, UnknownTask, "has no setting kind"),
        ("minworld", {}, UnknownTask, "there is no task 'minworld': choose from miniworld"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_task(
    name: str, settings: dict[str, Any], error: type[Exception], says: str, world: Path
) -> None:
    given = {"root": str(world)} if name == "miniworld" else {}
    with pytest.raises(error, match=says):
        make_task(name, given | settings)
