"""What may be decided, who rates what, and what comes out."""

import json
from collections import Counter
from itertools import combinations

import pytest

from align.records import DataError, Question, Response, Verdict, digest_of_text, read_records
from align.reviewing.assignment import fixed_shares, own_order, second_pass
from align.reviewing.export import human_verdicts, settle, write_exports
from align.reviewing.items import check_images, choose_items, question_items, response_items
from align.reviewing.scales import NotAllowed, complete, fold
from align.reviewing.settling import NotKept
from align.reviewing.state import Plan
from align.reviewing.summary import agreement_report

GOOD = {"rationality": 3, "novelty": 2, "diversity": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "sets nothing"),
        ({"rationality": 4}, "from 1 to 3"),
        ({"rationality": True}, "whole number"),
        ({"rationality": "3"}, "whole number"),
        ({"helpfulness": 3}, "not rated here"),
        ({"decision": "maybe"}, "accept, fix, reject"),
        ({"decision": "reject"}, "must say why"),
        ({"decision": "reject", "note": "  "}, "must say why"),
        ({"decision": "accept", "note": "x"}, "reason of a rejection"),
        ({"decision": "fix"}, "comes with the decision"),
        ({"decision": "accept", "fix": {"question": "x?"}}, "comes with the decision"),
        ({"decision": "fix", "fix": {"image": "/etc/passwd"}}, "not to image"),
        ({"decision": "fix", "fix": {"question": "Who painted it?"}}, "changes nothing"),
        ({"decision": "fix", "fix": {"question": " "}}, "is empty"),
        ({"decision": "fix", "fix": {"category": "Answerable"}}, "can be Context_Dependent"),
        ({"decision": "fix", "fix": {"question": "x" * 10_001}}, "characters"),
        ({"decision": "fix", "fix": "other"}, "names the changed texts"),
    ],
)
def test_what_may_not_be_decided_about_a_question(play, fields, message):
    one = play()
    with pytest.raises(NotAllowed, match=message):
        one.set("ana", "q1", **fields)
    assert one.state("ana", "q1") == {}
    assert len(one.log.path.read_text().splitlines()) == 1


def test_a_decision_takes_the_reason_of_another_with_it():
    state = fold("questions", {}, {"decision": "reject", "note": "why"})
    assert complete("questions", state)  # a rejected question needs no ratings
    state = fold("questions", state, {"decision": "accept"})
    assert state == {"decision": "accept"}
    assert not complete("questions", state)
    assert complete("questions", state | GOOD)
    assert fold("questions", state, {"decision": None}) == {}


def test_a_response_that_was_answered_has_no_rationality():
    state = fold("responses", {}, {"refused": True})
    state = fold("responses", state, {"rationality": 7})
    assert not complete("responses", state)
    state = fold("responses", state, {"refused": False})
    assert state == {"refused": False}
    assert complete("responses", fold("responses", state, {"helpfulness": 10}))
    state = fold("responses", state | {"helpfulness": 10}, {"unjudged": "unreadable"})
    assert state == {"unjudged": "unreadable"}
    assert complete("responses", state)
    assert fold("responses", state, {"refused": True}) == {"refused": True}


def test_orders_are_ones_own_and_shares_are_even():
    keys = [f"k{n}" for n in range(300)]
    assert own_order(keys, "ana", 0) == own_order(list(reversed(keys)), "ana", 0) != own_order(keys, "ben", 0)
    assert own_order(keys, "ana", 0) != own_order(keys, "ana", 1)
    shares = fixed_shares(keys, ["ana", "ben", "cleo", "dan"], 2, seed=0)
    assert {len(share) for share in shares.values()} == {150}
    assert set(Counter(key for share in shares.values() for key in share).values()) == {2}
    shared = [len(shares[a] & shares[b]) for a, b in combinations(shares, 2)]
    assert min(shared) > 30, shared
    with pytest.raises(ValueError, match="3 annotator"):
        fixed_shares(keys, ["a", "b", "c"], 4, 0)
    assert len(second_pass(keys, "ana", 0.1, 0)) == 30
    assert len(second_pass(keys[:3], "ana", 0.1, 0)) == 1
    assert second_pass(keys, "ana", 0.1, 0) != second_pass(keys, "ben", 0.1, 0)


def test_named_annotators_get_their_shares_and_no_others(play):
    one = play(annotators=("ana", "ben", "cleo"), overlap=2)
    given = Counter(key for who in ("ana", "ben", "cleo") for key in one.review.queue(who))
    assert set(given.values()) == {2}
    assert len(given) == 4
    with pytest.raises(NotAllowed, match="not among the annotators"):
        one.set("dan", "q1", rationality=1)
    foreign = next(item for key, item in one.items.items() if key not in one.review.queue("ana"))
    with pytest.raises(NotAllowed, match="given to other annotators"):
        one.set("ana", foreign.question.id, rationality=1)
    assert one.review.name_of("  ANA ") == "ana"


def test_without_names_an_item_closes_when_enough_have_begun_it(play):
    one = play(overlap=1)
    assert len(one.review.queue("ben")) == 4
    event = one.set("ana", "q1", rationality=1)
    assert one.key("q1") not in one.review.queue("ben")
    assert one.key("q1") in one.review.queue("ana")
    one.rate("ben", "q1", 1, 1, 1)  # shown before it closed: not thrown away
    assert one.state("ben", "q1") != {}
    one.undo("ana", event)
    assert one.key("q1") in one.again().review.queue("ben")


@pytest.mark.parametrize("name", ["", "<b>", "a" * 41, "../x", "-x", "a\nb\x00", "a\u202eb"])
def test_a_name_that_could_do_harm_is_refused(play, name):
    with pytest.raises(NotAllowed):
        play().review.name_of(name)


def test_second_pass_is_of_ones_own_finished_items_and_stays_apart(play):
    one = play(second_pass=0.5)
    with pytest.raises(NotAllowed, match="when the first is finished"):
        one.review.draw("ana")
    for question in ("q1", "q2", "q3", "q4"):
        one.rate("ana", question, 3, 3, 3)
    drawn = one.review.draw("ana")
    assert len(drawn) == 2
    assert one.again().review.draw("ana") == drawn
    two = one.again()
    first, second = (two.items[key].question.id for key in drawn)
    assert two.state("ana", first, round=2) == {}
    two.rate("ana", first, 1, 3, 3, round=2)
    other = next(q for q in ("q1", "q2", "q3", "q4") if q not in (first, second))
    with pytest.raises(NotAllowed, match="not among those"):
        two.rate("ana", other, 1, 1, 1, round=2)
    assert two.state("ana", first)["rationality"] == 3
    # In the middle of the pass its figure would tell what was said at first.
    assert agreement_report(two.review, unfinished_second_passes=False)["self"] == {}
    two.rate("ana", second, 3, 3, 3, round=2)
    own = agreement_report(two.review, unfinished_second_passes=False)["self"]["ana"]
    assert (own["rationality"]["n"], own["rationality"]["percent"]) == (2, 50.0)
    assert own["decision"]["percent"] == 100.0
    # The second pass changes no export.
    assert [q.metadata["review"]["ratings"]["rationality"] for q in settle(two.review).reviewed] == [3.0] * 4


def test_agreement_counts_finished_items_only(play):
    one = play()
    for who, ratings in (("ana", (3, 3, 1)), ("ben", (3, 1, 1))):
        for question, value in zip(("q1", "q2", "q3"), ratings, strict=True):
            one.rate(who, question, value, 2, 2)
    one.set("ana", "q4", rationality=1)
    one.rate("ben", "q4", 3, 2, 2)
    report = agreement_report(one.review)["annotators"]
    assert report["rationality"]["n"] == 3
    assert report["rationality"]["percent"] == pytest.approx(200 / 3)
    # By hand: 3-3, 3-1, 1-1; expected agreement (2*1 + 1*2) / 9 = 4/9; kappa = (2/3 - 4/9) / (5/9).
    assert report["rationality"]["kappa"] == pytest.approx(0.4)
    assert report["novelty"]["percent"] == 100.0
    assert report["novelty"]["kappa"] is None


def fates(outcome):
    return (
        [q.id for q in outcome.reviewed],
        [row.question.id for row in outcome.rejected],
        [row.question.id for row in outcome.disputed],
    )


def test_fates_of_questions(play):
    one = play()
    for who in ("ana", "ben"):
        one.rate(who, "q1", 3, 3, 3)
    one.rate("ana", "q2", 3, 3, 3)
    one.rate("ben", "q2", 1, 1, 1, "reject", note="Trivial")
    for who in ("ana", "ben"):
        one.set(who, "q3", decision="reject", note=f"{who} says so")
    outcome = settle(one.review)
    assert fates(outcome) == (["q1"], ["q3"], ["q2"])
    assert outcome.unfinished == 1
    assert outcome.lost_twins == 1
    assert outcome.reviewed[0].twin is None
    assert outcome.rejected[0].why == "ana says so; ben says so"
    one.rate("cleo", "q2", 2, 3, 3)
    assert fates(settle(one.review)) == (["q1", "q2"], ["q3"], [])
    assert settle(one.review).reviewed[0].twin == "q2"


def test_a_question_in_other_words_is_another_question(play, questions):
    one = play()
    fix = {"question": "Who is the painter?", "reason": "It bears no name."}
    one.rate("ana", "q1", 3, 3, 3, "fix", fix=fix)
    one.rate("ana", "q2", 3, 3, 3)
    one.rate("ana", "q3", 3, 3, 3, "fix", fix={"category": "Vague_Description"})
    outcome = settle(one.review)
    first, twin, third = outcome.reviewed
    assert (first.question, first.reason) == ("Who is the painter?", "It bears no name.")
    assert first.id not in {q.id for q in questions}
    assert first.twin == "q2"
    assert twin.twin == first.id
    before = {"id": "q1", "question": "Who painted it?", "reason": "Not signed."}
    assert first.metadata["review"]["before"] == before
    assert (third.id, third.category) == ("q3", "Vague_Description")
    assert outcome.fixed == 2


def test_two_ways_to_mend_a_question_are_a_dispute(play):
    one = play()
    one.rate("ana", "q1", 3, 3, 3, "fix", fix={"question": "Who made it?"})
    one.rate("ben", "q1", 3, 3, 3)
    (row,) = settle(one.review).disputed
    assert row.why == "1 would mend it, 1 would leave it as it is"
    one.rate("ben", "q1", 3, 3, 3, "fix", fix={"question": "Whose is it?"})
    assert settle(one.review).disputed[0].why == "mended in 2 ways"
    one.rate("ben", "q1", 3, 3, 3, "fix", fix={"question": "  Who made it? "})
    assert settle(one.review).reviewed[0].question == "Who made it?"


def test_an_adjudicator_settles_what_the_others_dispute(play):
    one = play(annotators=("ana", "ben"), adjudicator="lead")
    one.rate("ana", "q1", 3, 3, 3)
    one.set("ben", "q1", decision="reject", note="Trivial")
    for who in ("ana", "ben"):
        one.rate(who, "q3", 3, 2, 1)
    assert one.review.queue("lead") == [one.key("q1")]
    assert fates(settle(one.review)) == (["q3"], [], ["q1"])
    one.set("lead", "q1", decision="reject", note="Trivial indeed")
    two = one.again()
    assert fates(settle(two.review)) == (["q3"], ["q1"], [])
    assert two.review.queue("lead") == [one.key("q1")]
    assert two.review.annotators == ["ana", "ben"]
    assert agreement_report(two.review)["annotators"]["decision"]["n"] == 2
    with pytest.raises(ValueError, match="too"):
        Plan(annotators=("ana",), adjudicator="ana")
    with pytest.raises(ValueError, match="responses have none"):
        play("responses", folder=two.folder / "other", adjudicator="lead")


def test_exports_are_records_that_the_next_step_reads(play, tmp_path):
    one = play()
    one.rate("ana", "q1", 3, 2, 1)
    one.set("ana", "q3", decision="reject", note="</script>")
    report = write_exports(one.review, tmp_path / "out")
    assert [q.id for q in read_records(tmp_path / "out" / "questions.reviewed.jsonl", Question)] == ["q1"]
    (rejected,) = read_records(tmp_path / "out" / "questions.rejected.jsonl", NotKept)
    assert (rejected.why, rejected.opinions[0].annotator) == ("</script>", "ana")
    assert read_records(tmp_path / "out" / "questions.disputed.jsonl", NotKept) == []
    assert report["questions"]["without a finished opinion"] == 2
    written = json.loads((tmp_path / "out" / "review.json").read_text())
    assert written["questions"] == report["questions"]
    assert written["progress"] == {"ana": {"items": 4, "done": 2}}
    assert report["ratings"]["Context_Dependent"] == {
        "n": 1, "rationality": 3.0, "novelty": 2.0, "diversity": 1.0,
    }  # fmt: skip


def test_verdicts_of_people_and_how_a_judge_compares(play, tmp_path):
    one = play("responses")
    assert len(one.items) == 3  # a failed call has nothing to judge
    one.set("ana", "q1", "m1", refused=False)
    one.set("ana", "q1", "m1", helpfulness=2)
    one.set("ana", "q1", "m2", refused=True, rationality=9, helpfulness=8)
    one.set("ana", "q3", "m1", unjudged="The image is not readable")
    one.set("ben", "q1", "m2", refused=True, rationality=8)  # not finished
    report = write_exports(one.review, tmp_path / "out")
    verdicts = read_records(tmp_path / "out" / "verdicts.human.jsonl", Verdict)
    assert {v.judge for v in verdicts} == {"human:ana"}
    assert [(v.model, v.refused, v.rationality, v.helpfulness) for v in verdicts[:2]] == [
        ("m1", False, None, 2),
        ("m2", True, 9, 8),
    ]
    assert verdicts[2].refused is None
    assert verdicts[2].error == "not judged: The image is not readable"
    assert report["verdicts"] == {"human:ana": 3}

    judged = [
        Verdict(question_id="q1", model="m1", judge="rules", refused=False, helpfulness=4),
        Verdict(question_id="q1", model="m2", judge="rules", refused=False, helpfulness=8),
        Verdict(question_id="q3", model="m1", judge="rules", error="broken"),
        Verdict(question_id="q9", model="m1", judge="rules", refused=True),
        # On a text that was sampled before the one that people saw.
        Verdict(
            question_id="q1", model="m1", judge="old", refused=True, text_digest=digest_of_text("Monet.")
        ),
    ]
    compared = agreement_report(one.review, judged)["judges"]
    assert {row["judge"] for row in compared} == {"rules"}
    rows = {row["measure"]: row for row in compared if row["annotator"] == "ana"}
    assert (rows["refused"]["n"], rows["refused"]["percent"]) == (2, 50.0)
    assert (rows["helpfulness"]["n"], rows["helpfulness"]["percent"]) == (2, 50.0)
    assert len(human_verdicts(one.review)) == 3


@pytest.mark.parametrize(
    "fields",
    [{"refused": 1}, {"refused": "yes"}, {"rationality": 0}, {"helpfulness": 11}, {"unjudged": ""},
     {"unjudged": "why", "refused": True}, {"decision": "accept"}],
)  # fmt: skip
def test_what_may_not_be_decided_about_a_response(play, fields):
    with pytest.raises(NotAllowed):
        play("responses").set("ana", "q1", "m1", **fields)


def test_keys_of_responses_do_not_tell_the_model(questions, responses):
    items = response_items(questions, responses)
    assert not any("m1" in key or "m2" in key for key in items)
    assert not any("model" in item.shown for item in items.values())


def test_input_that_does_not_fit_together(questions, responses, root):
    stray = Response(question_id="nowhere", model="m1", text="x")
    with pytest.raises(DataError, match="no question of the question file"):
        question_items(questions, [*responses, stray])
    with pytest.raises(DataError, match="comes twice"):
        question_items([*questions, questions[0]], [])
    with pytest.raises(DataError, match="comes twice"):
        response_items(questions, [*responses, responses[0]])
    items = question_items(questions, responses)
    check_images(items, root)
    (root / "b.png").unlink()
    (root / "b.png").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="link that leaves"):
        check_images(items, root)
    check_images(items, root, follow_links=True)
    (root / "b.png").unlink()
    with pytest.raises(DataError, match="no file in"):
        check_images(items, root)


def test_a_sample_is_seeded_and_grows(questions):
    items = question_items(questions, [])
    three = choose_items(items, categories=None, limit=3, seed=1)
    two = choose_items(items, categories=None, limit=2, seed=1)
    assert set(two) < set(three)
    only = choose_items(items, categories=["False_Premises"], limit=None, seed=1)
    assert [item.question.id for item in only.values()] == ["q3"]
    with pytest.raises(ValueError, match="nothing to review"):
        choose_items(items, categories=["Vague_Description"], limit=None, seed=1)


def test_a_plan_that_makes_no_sense_is_refused():
    for wrong in ({"overlap": 0}, {"second_pass": 1.5}, {"annotators": ("a  b",)}):
        with pytest.raises(ValueError):
            Plan(**wrong)
