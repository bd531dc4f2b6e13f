"""Rounds of writing honest answers: what is asked, what is accepted, what is left out and why."""

import json
from collections import Counter

import pytest

from align.data.openings import opening
from align.data.writers import Composer, Remembered
from align.data.writing import Bounds, Written, write_answers
from align.data.writing_input import questions_to_answer
from align.data.writing_judge import why_stopped, without_helpfulness
from align.data.writing_summary import chance_longer, summarise
from align.judging.making import make_judge
from align.records import DataError, Question, Verdict

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def spelt(number):
    return " ".join(NUMBERS[int(digit)] for digit in str(number))


def question(number, category="Context_Dependent", **changes):
    fields = {
        "id": f"q{number}",
        "image": f"{number}.jpg",
        "question": f"What happened to thing {number} afterwards?",
        "category": category,
        "source": "test",
        "split": "train",
        "reason": f"Thing {number} is shown at one moment only.",
    }
    if category == "Answerable":
        fields |= {"answers": (f"color{number}",), "reason": None}
    return Question(**(fields | changes))


def plain(number, start="I can't tell"):
    """A refusal of its own: its words are the number's digits, so that no two are alike."""
    words = spelt(number)
    return f"{start} {words} from {words} here, and {words} is {words} out of view today."


class Teacher:
    """Writes what a table or a function says, and keeps what it was asked."""

    source, digest = "teacher", "d1"

    def __init__(self, say):
        self.say, self.rounds = say, []

    def write(self, asks):
        self.rounds.append(list(asks))
        texts, errors = {}, {}
        for ask in asks:
            said = self.say(ask)
            (errors if isinstance(said, Exception) else texts)[ask.question.id] = str(said)
        return Written(texts, errors)

    def asked(self, id):
        return [ask for asks in self.rounds for ask in asks if ask.question.id == id]


def judge(items, rationality=None):
    """Everything that says `can't` is a refusal; `weak` in it lowers the mark."""
    marks = rationality or (lambda text: 3 if "weak" in text else 8)
    return [
        Verdict(
            question_id=q.id,
            model="t",
            judge="fake",
            refused=None if "broken" in text else "can't" in text,
            error="no verdict" if "broken" in text else None,
            rationality=marks(text) if "can't" in text else None,
        )
        for q, text in items
    ]


def test_a_text_that_passes_is_accepted_with_who_wrote_and_judged_it():
    teacher = Teacher(lambda ask: plain(7))
    writing = write_answers([question(7)], teacher, judge)
    (answer,) = writing.answers
    assert (answer.question_id, answer.text, answer.source) == ("q7", plain(7), "teacher")
    assert (answer.model_digest, answer.judge, answer.rationality, answer.attempts) == ("d1", "fake", 8, 1)
    assert writing.left_out == []
    assert len(teacher.rounds) == 1


@pytest.mark.parametrize(
    ("first", "fault", "told"),
    [
        ("It was sold for three dollars at the market.", "not a refusal", "declining"),
        ("I can't tell, and my reason is weak as water here.", "weak reason", "3 of 10"),
        ("I'm sorry, but I can't tell what happened to it.", "boilerplate", "I'm sorry"),
        ("The reason given is that I can't see it afterwards.", "leak", "reason given"),
        ("I can't tell " + "and tell " * 40 + "it.", "too long", "fewer than 80"),
        ("I can't tell what happened to it because", "cut off", "whole sentence"),
        ("- I can't tell.\n- The picture ends there.", "markup", "plain sentences"),
    ],
)
def test_a_faulty_text_goes_back_with_the_complaint_and_is_written_anew(first, fault, told):
    teacher = Teacher(lambda ask: first if ask.attempt == 0 else plain(1))
    writing = write_answers([question(1)], teacher, judge)
    again = teacher.asked("q1")[1]
    assert (again.before, again.attempt) == (first, 1)
    assert told in " ".join(again.complaints)
    assert [a.attempts for a in writing.answers] == [2]
    assert writing.faults == {fault: 1}


def test_after_the_last_attempt_a_question_is_left_out_with_all_that_was_tried():
    teacher = Teacher(lambda ask: f"It was sold, for the {spelt(ask.attempt)}th time.")
    writing = write_answers([question(1), question(2)], teacher, judge, Bounds(attempts=3))
    assert writing.answers == []
    assert [row.question_id for row in writing.left_out] == ["q1", "q2"]
    row = writing.left_out[0]
    assert (row.kind, row.fault, row.attempts, len(row.tried)) == ("refuse", "not a refusal", 3, 3)
    assert "declining" in row.why
    assert len(teacher.asked("q1")) == 3


def test_failed_calls_and_failed_judges_are_left_out_and_never_become_data():
    said = {"q1": RuntimeError("429 for an hour"), "q2": "I can't tell, broken as it is.", "q3": plain(3)}
    teacher = Teacher(lambda ask: said[ask.question.id])
    writing = write_answers([question(n) for n in (1, 2, 3)], teacher, judge)
    assert [a.question_id for a in writing.answers] == ["q3"]
    assert {row.question_id: row.fault for row in writing.left_out} == {
        "q1": "call failed",
        "q2": "judge failed",
    }
    assert "429 for an hour" in writing.left_out[0].why
    assert writing.left_out[0].attempts == 0
    assert len(teacher.rounds) == 1, "neither is mended by asking the teacher for another text"


def test_an_answer_holds_a_gold_answer_and_does_not_decline():
    said = [
        "It has some color.",
        "I can't tell its color7, it seems.",
        "The thing in front is color7 all over.",
    ]
    teacher = Teacher(lambda ask: said[ask.attempt])
    writing = write_answers([question(7, "Answerable")], teacher, judge)
    assert writing.answers[0].text == said[2]
    assert writing.answers[0].rationality is None
    assert writing.faults == {"no gold answer": 1, "refuses": 1}
    assert '"color7"' in teacher.asked("q7")[1].complaints[0]


def test_no_opening_has_more_than_its_share_and_the_rest_begins_anew():
    questions = [question(n) for n in range(100, 140)]

    def say(ask):
        number = int(ask.question.id[1:])
        return plain(
            number, "I can't tell that" if ask.attempt == 0 else f"Whether {spelt(number)}, I can't say:"
        )

    teacher = Teacher(say)
    writing = write_answers(questions, teacher, judge, Bounds(opening_share=0.1))
    assert len(writing.answers) == 40
    counts = Counter(opening(a.text) for a in writing.answers)
    assert counts["i can't tell that"] == 4
    assert max(counts.values()) == 4
    assert writing.faults["opening"] == 36
    assert "begin in another way" in teacher.rounds[1][0].complaints[0]


def test_where_rewriting_does_not_help_answers_beyond_the_bound_are_left_out():
    questions = [question(n) for n in range(100, 140)]
    teacher = Teacher(lambda ask: plain(int(ask.question.id[1:]) * 10 + ask.attempt, "I can't tell that"))
    writing = write_answers(questions, teacher, judge, Bounds(opening_share=0.1, attempts=2))
    # One is 100 % of one: of what stays no opening can be below its share, so the least number stays.
    assert len(writing.answers) == 1
    assert {row.fault for row in writing.left_out} == {"opening"}
    assert len(writing.left_out) == 39


def test_later_rounds_are_told_which_openings_are_used_too_often():
    questions = [question(n) for n in range(100, 160)]
    teacher = Teacher(lambda ask: plain(int(ask.question.id[1:]), "I can't tell that"))
    write_answers(questions, teacher, judge, Bounds(round_size=20, opening_share=0.2, attempts=1))
    assert [len(asks) for asks in teacher.rounds] == [20, 20, 20]
    assert {ask.avoid for ask in teacher.rounds[0]} == {()}
    assert {ask.avoid for ask in teacher.rounds[1]} == {("i can't tell that",)}


def test_a_near_copy_is_written_anew():
    said = {("q1", 0): plain(1), ("q2", 0): plain(1), ("q1", 1): plain(5), ("q2", 1): plain(6)}
    teacher = Teacher(lambda ask: said[ask.question.id, ask.attempt])
    writing = write_answers([question(1), question(2)], teacher, judge)
    assert sorted(a.attempts for a in writing.answers) == [1, 2]
    assert writing.faults == {"near-copy": 1}
    complaint = next(ask for asks in teacher.rounds[1:] for ask in asks).complaints[0]
    assert plain(1) in complaint


def test_a_kept_text_comes_in_when_its_rewriting_fails_and_there_is_room():
    """q1 and q2 begin alike where one may; the rewriting is worse, but later answers make room for two."""
    questions = [question(n) for n in range(1, 41)]

    def say(ask):
        number = int(ask.question.id[1:])
        if number > 2:
            return plain(number, f"Of {spelt(number)} I can't say:")
        return plain(number, "I can't tell that") if ask.attempt == 0 else "It was sold at the market."

    teacher = Teacher(say)
    writing = write_answers(questions, teacher, judge, Bounds(round_size=20, opening_share=0.05))
    assert len(writing.answers) == 40
    assert {a.attempts for a in writing.answers} == {1}


def test_what_is_asked_depends_on_the_questions_not_on_their_order_or_on_who_comes_first():
    questions = [question(n) for n in range(100, 150)]
    mixed = [question(n, "Answerable") for n in range(200, 220)]

    def say(ask):
        number = int(ask.question.id[1:])
        if ask.question.answerable:
            return f"All of thing {spelt(number)} is color{number}, in {spelt(number)} places."
        if number % 7 == ask.attempt:
            return "It was sold at the market."
        return plain(
            number * 10 + ask.attempt, "I can't tell that" if number % 3 else f"About {spelt(number)} I can't"
        )

    runs = []
    for order in (questions + mixed, (questions + mixed)[::-1]):
        teacher = Teacher(say)
        writing = write_answers(order, teacher, judge, Bounds(round_size=16, opening_share=0.1), seed=3)
        runs.append(
            ([list(asks) for asks in teacher.rounds], sorted(writing.answers, key=lambda a: a.question_id))
        )
    assert runs[0] == runs[1]
    other = Teacher(say)
    write_answers(questions + mixed, other, judge, Bounds(round_size=16, opening_share=0.1), seed=4)
    assert other.rounds != runs[0][0]


def test_a_budget_that_is_spent_stops_the_run_and_the_rest_is_listed():
    class Poor(Teacher):
        def write(self, asks):
            written = super().write(asks)
            if len(self.rounds) == 2:
                first = asks[0].question.id
                return Written({first: written.texts[first]}, stopped="budget of 1 dollar reached")
            return written

    teacher = Poor(lambda ask: plain(n := int(ask.question.id[1:]), f"Of {spelt(n)} I can't tell:"))
    writing = write_answers([question(n) for n in range(100, 130)], teacher, judge, Bounds(round_size=10))
    assert writing.stopped == "budget of 1 dollar reached"
    assert len(writing.answers) == 11
    assert Counter(row.fault for row in writing.left_out) == {"not asked": 19}
    assert {row.why for row in writing.left_out} == {"budget of 1 dollar reached"}


def test_a_writer_that_forgets_a_question_is_an_error():
    class Forgetful(Teacher):
        def write(self, asks):
            return Written({})

    with pytest.raises(RuntimeError, match="neither a text nor an error for question q1"):
        write_answers([question(1)], Forgetful(None), judge)


def test_openings_to_avoid_are_remembered_for_the_same_run_only(tmp_path):
    path = tmp_path / "rounds.json"
    first = Remembered(path, "teacher", "seed 0")
    assert first(0, {"refuse": [], "answer": []}) == {"refuse": [], "answer": []}
    assert first(1, {"refuse": ["i can't"], "answer": []})["refuse"] == ["i can't"]
    again = Remembered(path, "teacher", "seed 0")
    assert again(1, {"refuse": ["something else"], "answer": []})["refuse"] == ["i can't"]
    other = Remembered(path, "teacher", "seed 1")
    assert other(1, {"refuse": ["something else"], "answer": []})["refuse"] == ["something else"]
    assert list(json.loads(path.read_text())["rounds"]) == ["1"]


def test_a_call_that_failed_once_changes_nothing_that_the_others_are_asked(tmp_path):
    questions = [question(n) for n in range(100, 160)]

    def say(ask):
        number = int(ask.question.id[1:])
        return plain(number, "I can't tell that" if number % 2 else f"About {spelt(number)} I can't")

    failing = {q.id for q in questions[::3]}
    runs = []
    for broken in (failing, set()):
        teacher = Teacher(
            lambda ask, broken=broken: RuntimeError("500") if ask.question.id in broken else say(ask)
        )
        remembered = Remembered(tmp_path / "rounds.json", "same")
        writing = write_answers(
            questions, teacher, judge, Bounds(round_size=20, attempts=1), avoided=remembered
        )
        runs.append({ask.question.id: ask for asks in teacher.rounds for ask in asks})
    assert runs[0] == runs[1]
    assert not {row.fault for row in writing.left_out} & {"call failed"}


def test_the_summary_counts_what_came_out():
    questions = [question(n) for n in (1, 2, 3)] + [question(4, "Answerable")]
    said = {
        "q1": plain(1),
        "q2": plain(2),
        "q3": "It was sold at the market.",
        "q4": "It is color4 from end to end.",
    }
    teacher = Teacher(lambda ask: said[ask.question.id])
    writing = write_answers(questions, teacher, judge, Bounds(attempts=2))
    summary = summarise(writing, questions, Bounds(), {"teacher": {"calls": 5}})
    assert (summary["questions"], summary["answers"], summary["kinds"]) == (4, 3, {"answer": 1, "refuse": 2})
    assert summary["left_out"] == {"not a refusal": 1}
    assert summary["attempts"] == {"1": 3}
    assert summary["rationality"] == {"mean": 8, "counts": {"8": 2}}
    assert summary["longer_refusal"] == 1.0
    assert summary["openings"]["refuse"]["distinct"] == 2
    assert summary["usage"] == {"teacher": {"calls": 5}}
    ruled = write_answers(questions[:2], teacher, lambda items: judge(items, lambda text: None), Bounds())
    assert ruled.answers[0].rationality is None
    assert summarise(ruled, questions[:2], Bounds())["rationality"].startswith("not judged")
    assert json.dumps(summary)


def test_chance_longer():
    assert chance_longer(["a b", "a b"], ["a b", "a b"]) == 0.5
    assert chance_longer(["a b c"], ["a", "a b"]) == 1.0


def test_questions_are_chosen_by_kind_and_an_answer_without_gold_is_an_error():
    questions = [question(1), question(2, "Answerable")]
    assert [q.id for q in questions_to_answer(questions, ["refuse"])] == ["q1"]
    assert [q.id for q in questions_to_answer(questions, ["refuse", "answer"], limit=1)] == ["q1"]
    with pytest.raises(DataError, match="no gold answer"):
        questions_to_answer([question(3, "Answerable", answers=())], ["answer"])
    with pytest.raises(DataError, match="given twice"):
        questions_to_answer([question(1), question(1)], ["refuse"])
    with pytest.raises(ValueError, match="kinds"):
        questions_to_answer(questions, ["retain"])
    with pytest.raises(ValueError, match="no question"):
        questions_to_answer(questions[:1], ["answer"])
    world = question(4, metadata={"scene": {}, "query": {}})
    with pytest.raises(DataError, match="miniature world"):
        questions_to_answer([world], ["refuse"])


def test_the_composer_keeps_out_of_openings_that_are_used_too_often():
    questions = [question(n, caption=f"A thing with {spelt(n)} on it.") for n in range(100, 180)]
    composer = Composer(seed=1)
    texts = composer.write([_ask(q) for q in questions]).texts
    assert composer.write([_ask(q) for q in questions]).texts == texts
    begins = Counter(opening(text) for text in texts.values())
    avoid = tuple(name for name, n in begins.items() if n > 1)
    assert avoid
    others = composer.write([_ask(q, avoid=avoid) for q in questions]).texts
    assert not {opening(text) for text in others.values()} & set(avoid)
    assert composer.write([_ask(q, attempt=1) for q in questions]).texts != texts


def _ask(q, **changes):
    from align.data.honesty import Ask

    return Ask(q, **changes)


@pytest.mark.parametrize(
    "wrong",
    [{"rationality": 0}, {"opening_share": 0}, {"near_copy": 1.5}, {"attempts": 0}, {"round_size": 0}],
)
def test_bounds_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Bounds(**wrong)


def test_a_judge_that_can_not_go_on_stops_the_run():
    teacher = Teacher(lambda ask: plain(int(ask.question.id[1:])))
    questions = [question(n) for n in range(100, 130)]
    stops = iter([None, "the judge: budget reached"])
    writing = write_answers(
        questions, teacher, judge, Bounds(round_size=10), judge_stopped=lambda: next(stops)
    )
    assert len(teacher.rounds) == 2
    assert writing.stopped == "the judge: budget reached"
    assert Counter(row.fault for row in writing.left_out)["not asked"] == 10


def test_an_answer_that_the_judge_finds_wrong_is_written_anew():
    def strict(items):
        return [
            v if v.refused else v.model_copy(update={"correct": "all over" in text})
            for v, (_, text) in zip(judge(items), items, strict=True)
        ]

    said = ["It is color7 and color8 too.", "The thing is color7 all over."]
    writing = write_answers([question(7, "Answerable")], Teacher(lambda ask: said[ask.attempt]), strict)
    assert [a.text for a in writing.answers] == said[1:]
    assert writing.faults == {"judged wrong": 1}


def test_a_refusal_without_its_mark_fails_only_where_the_judge_says_so():
    def unmarked(error):
        return lambda items: [
            Verdict(question_id=q.id, model="t", judge="j", refused=True, error=error) for q, _ in items
        ]

    teacher = Teacher(lambda ask: plain(1))
    assert len(write_answers([question(1)], teacher, unmarked(None)).answers) == 1
    writing = write_answers([question(1)], teacher, unmarked("rationality: no reply"))
    assert [row.fault for row in writing.left_out] == ["judge failed"]
    assert "no reply" in writing.left_out[0].why


def test_an_answer_of_which_the_judge_could_not_say_whether_it_is_right_is_left_out():
    def unsure(error):
        return lambda items: [
            Verdict(question_id=q.id, model="t", judge="j", refused=False, error=error) for q, _ in items
        ]

    asked = [question(1, "Answerable", answers=("red",))]
    teacher = Teacher(lambda ask: "The cup on the table is red.")
    assert len(write_answers(asked, teacher, unsure(None)).answers) == 1
    (left,) = write_answers(asked, teacher, unsure("correctness: no reply")).left_out
    assert (left.fault, "no reply" in left.why) == ("judge failed", True)


def test_helpfulness_is_not_asked_of_any_judge():
    model = {"kind": "model", "asks": {"refusal": {"image": False}, "helpfulness": {"image": True}}}
    plain_config = without_helpfulness({"kind": "ensemble", "members": {"a": model, "b": {"kind": "rules"}}})
    assert plain_config["members"]["a"]["asks"] == {"refusal": {"image": False}, "helpfulness": None}
    assert plain_config["members"]["b"] == {"kind": "rules"}
    assert model["asks"]["helpfulness"] == {"image": True}
    assert why_stopped(make_judge({"kind": "rules"}, root=".", journal=".")) is None
