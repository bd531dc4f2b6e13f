"""The teacher behind the calls engine: what it is sent, what a cut-off run costs, and what is never data."""

import hashlib
import json
import random
import re
from collections import Counter

import pytest
from PIL import Image
from stand_in import Fault, images_of, system_of, text_of

from align.calling.call import Decode, Unusable
from align.calling.endpoint import Endpoint
from align.data.honesty import SPECIFICATION, Ask
from align.data.openings import opening
from align.data.writers import Remembered, Teacher, accept, make_teacher
from align.data.writing import Bounds, write_answers
from align.judging.judged import judge_texts
from align.judging.rule_judge import RuleJudge
from align.records import DataError, Question

WORDS = (
    "cup", "lamp", "sign", "bird", "boat", "tree", "door", "coat", "rope", "ball", "bench", "fence", "horse",
    "cloud", "stone", "chair", "train", "clock", "shelf", "plate", "wheel", "brush", "glove", "ladder",
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    return tmp_path


def question(number):
    return Question(
        id=f"q{number}",
        image="a.png",
        question=f"Who left thing {number} there?",
        category="Context_Dependent",
        source="test",
        reason=f"Nobody is seen with thing {number}.",
        caption="A red square.",
    )


def written(request, alike=4):
    """A refusal whose words are drawn by the prompt, so that the same prompt gives the same text."""
    draw = random.Random(hashlib.sha256(json.dumps(request["messages"]).encode()).hexdigest())
    words = draw.sample(WORDS, 12)
    start = (
        "That can't be known, and" if draw.random() * 16 < alike else f"Apart from {words[0]} and {words[1]}"
    )
    return f"{start} nobody can tell: {' '.join(words[2:])} are all that is shown."


def teacher(server, root, **changes):
    endpoint = Endpoint(
        model="openai-api/stand-in/teacher",
        base_url=server.base_url,
        **{"max_connections": 2, "backoff": 0.01, "seeds": False} | changes,
    )
    return Teacher(endpoint, Decode(200, 1.0, 0.95), root, root / "calls" / "teacher.jsonl")


BOUNDS = Bounds(round_size=8, opening_share=0.1, attempts=3)


def write(writer, questions, **named):
    remembered = Remembered(writer.journal.parent / "rounds.json", "one job")
    judge = judge_texts(RuleJudge(), writer.source)
    return write_answers(questions, writer, judge, BOUNDS, avoided=remembered, **named)


def test_the_teacher_sees_image_question_reason_and_specification(stand_in, root):
    server = stand_in(lambda request, n: "Who left it can't be told from a red square.")
    writer = teacher(server, root)
    result = writer.write([Ask(question(1), avoid=("i can't tell that",))])
    assert result.texts == {"q1": "Who left it can't be told from a red square."}
    (body,) = server.bodies
    told = text_of(body)
    for part in (
        "Who left thing 1 there?",
        "Nobody is seen with thing 1.",
        "A red square.",
        "i can't tell that",
    ):
        assert part in told
    assert system_of(body) == SPECIFICATION.replace("{most_words}", "80")
    assert images_of(body) == [(root / "a.png").read_bytes()]
    assert writer.source == "openai-api/stand-in/teacher"
    assert (writer.used["calls"], writer.used["calls_in_journal"], writer.used["dollars"]) == (1, 0, None)
    assert writer.used["input_tokens"] > 0


def test_faults_of_the_endpoint_are_tried_again_and_what_fails_for_good_is_left_out(stand_in, root):
    faults = [
        Fault.status(429),
        Fault.status(500),
        Fault.half_json(),
        Fault.empty(),
        Fault.wrong_encoding(),
        Fault.disconnect(),
        "I'm sorry, but I can't assist with that request.",
        "<think>still thinking",
    ]
    number = re.compile(r"Who left thing (\d+) there")

    def answer(request, n):
        which = int(number.search(text_of(request))[1])
        if which < len(faults) and n == 0:
            return faults[which]
        return "I can't help with this image." if which == 9 else written(request, alike=0)

    writer = teacher(stand_in(answer), root)
    writing = write(writer, [question(n) for n in range(10)])
    assert [a.question_id for a in writing.answers] == [f"q{n}" for n in range(9)]
    assert {a.attempts for a in writing.answers} == {1}, (
        "the engine's attempts are none of the teacher's texts"
    )
    (row,) = writing.left_out
    assert (row.question_id, row.fault) == ("q9", "call failed")
    assert "declined to write" in row.why


def test_a_run_that_was_cut_off_asks_nothing_twice_and_ends_the_same(stand_in, root, tmp_path_factory):
    questions = [question(n) for n in range(30)]
    whole = stand_in(lambda request, n: written(request))
    undisturbed = write(teacher(whole, root), questions)
    assert undisturbed.faults["opening"] > 0, "the test needs rewriting to happen"
    assert len(undisturbed.answers) >= 24

    other = tmp_path_factory.mktemp("cut")
    Image.open(root / "a.png").save(other / "a.png")
    server = stand_in(lambda request, n: written(request))
    cuts = 0
    for limit in (3, 8, 13, 20, 27, 33):
        writer, made = teacher(server, other), 0

        def cut(done, total, limit=limit):
            nonlocal made
            made += 1
            if made > limit:
                raise InterruptedError

        writer.progress = cut
        try:
            write(writer, questions)
        except InterruptedError:
            cuts += 1
    assert cuts >= 4
    resumed = write(teacher(server, other), questions)
    assert resumed.answers == undisturbed.answers
    assert resumed.left_out == undisturbed.left_out
    # Only what was on its way when a run was cut off may be asked again: two connections.
    prompts = Counter(json.dumps(body["messages"]) for body in server.bodies)
    assert set(prompts) == {json.dumps(body["messages"]) for body in whole.bodies}
    assert sum(prompts.values()) - len(prompts) <= 2 * cuts


def test_a_call_that_failed_costs_no_other_call_when_it_succeeds_at_last(stand_in, root):
    down = {"q3", "q11"}
    number = re.compile(r"Who left thing (\d+) there")

    def answer(request, n):
        asked = f"q{number.search(text_of(request))[1]}"
        return Fault.status(500) if asked in down else written(request)

    server = stand_in(answer)
    first = write(teacher(server, root, attempts=1), [question(n) for n in range(30)])
    assert {row.question_id for row in first.left_out if row.fault == "call failed"} == {"q3", "q11"}
    before = len(server.requests)
    down.clear()
    second = write(teacher(server, root, attempts=1), [question(n) for n in range(30)])
    assert not [row for row in second.left_out if row.fault == "call failed"]
    again = [number.search(text_of(body))[1] for body in server.bodies[before:]]
    assert {"3", "11"} <= set(again)
    # Beside them at most those whose place they took.
    assert len(again) <= 6


def test_a_budget_stops_the_run_and_what_is_there_is_kept(stand_in, root):
    server = stand_in(lambda request, n: written(request, alike=0))
    writer = teacher(server, root, budget={"calls": 10})
    writing = write(writer, [question(n) for n in range(30)])
    assert len(server.requests) == 10
    assert len(writing.answers) >= 7
    assert "budget" in writing.stopped
    assert Counter(row.fault for row in writing.left_out)["not asked"] >= 20


def test_an_estimate_makes_no_call_and_writes_nothing(stand_in, root, capsys):
    server = stand_in(lambda request, n: written(request))
    writer = teacher(server, root, price={"input": 2.0, "output": 8.0})
    writer.print_estimate([question(n) for n in range(30)])
    said = capsys.readouterr().out
    assert "30 call(s) to openai-api/stand-in/teacher" in said
    assert "$" in said
    assert server.requests == []
    assert not writer.journal.exists()


def test_a_text_that_is_no_attempt_is_unusable():
    with pytest.raises(Unusable, match="empty"):
        accept(None, " ")
    accept(None, "I can't tell who left it there.")


def test_settings_that_can_not_work_are_refused_before_the_first_call(root):
    endpoint = {"model": "openai-api/x/y", "base_url": "http://127.0.0.1:9/v1"}
    decoding = {"max_new_tokens": 10}
    with pytest.raises(DataError, match=r"missing.png.*is root= right"):
        make_teacher(
            endpoint, decoding, [question(1).model_copy(update={"image": "missing.png"})], root, root / "j"
        )
    (root / "empty.txt").write_text(" \n")
    with pytest.raises(ValueError, match="is empty"):
        make_teacher(endpoint, decoding, [question(1)], root, root / "j", specification=root / "empty.txt")
    (root / "own.txt").write_text("Be honest in under {most_words} words.")
    own = make_teacher(endpoint, decoding, [question(1)], root, root / "j", specification=root / "own.txt")
    assert own.call(Ask(question(1))).system == "Be honest in under 80 words."


def test_openings_stay_within_their_bound_with_a_teacher_that_repeats_itself(stand_in, root):
    server = stand_in(lambda request, n: written(request, alike=10))
    writing = write(teacher(server, root), [question(n) for n in range(40)])
    counts = Counter(opening(a.text) for a in writing.answers)
    assert max(counts.values()) <= max(1, len(writing.answers) // 10)
    assert len(writing.answers) + len(writing.left_out) == 40
