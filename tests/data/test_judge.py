"""What builders take a response for, by the verdicts of a judge."""

import pytest

from align.data.judge import from_verdicts
from align.records import DataError, Question, Response, Verdict, digest_of_text

Q = Question(id="q", image="a.png", question="Why?", category="Context_Dependent", source="t")


def response(text="He lost.", model="m", sample_index=0, model_digest="d", error=None):
    return Response(
        question_id="q",
        model=model,
        text=text,
        sample_index=sample_index,
        model_digest=model_digest,
        error=error,
    )


def verdict(text="He lost.", refused=True, **fields):
    fields = {
        "question_id": "q",
        "model": "m",
        "model_digest": "d",
        "judge": "j",
        "text_digest": None if text is None else digest_of_text(text),
        "error": "broken" if refused is None else None,
    } | fields
    return Verdict(refused=refused, **fields)


def test_a_text_is_what_its_verdict_says():
    said = from_verdicts([verdict(refused=True)], [response()])
    assert said.refused(Q, " He lost. ") is True  # the rules would say the opposite
    assert said.judge == "j"
    answers = from_verdicts([verdict(refused=False, correct=False)], [response()])
    assert (answers.refused(Q, "He lost."), answers.correct(Q, "He lost.")) == (False, False)


def test_a_text_without_a_verdict_is_undecided():
    responses = [response(), response("I can't tell.", sample_index=1), response("Rain.", sample_index=2)]
    verdicts = [verdict(refused=True), verdict("Rain.", None, sample_index=2)]
    said = from_verdicts(verdicts, responses)
    assert said.refused(Q, "I can't tell.") is None  # the rules would say that it declines
    assert said.refused(Q, "He lost.") is True
    assert said.refused(Q, "Rain.") is None
    assert said.counts == {
        "with_verdict": 2,
        "without_verdict": 1,
        "failed": 1,
        "stale": 0,
        "contradicted": 0,
    }


@pytest.mark.parametrize(
    "other",
    [
        verdict("He won."),
        verdict(model_digest="another"),
        verdict(model="n"),
        verdict(sample_index=3),
        verdict(question_id="r"),
    ],
    ids=["text", "model digest", "model", "sample", "question"],
)
def test_a_verdict_on_another_response_is_not_taken(other):
    said = from_verdicts([other], [response()])
    assert said.refused(Q, "He lost.") is None
    assert said.counts["with_verdict"] == 0
    assert said.counts["stale"] == (
        other.question_id == "q" and other.model == "m" and not other.sample_index
    )


def test_a_verdict_without_digests_is_found_by_its_place():
    plain = verdict(None, refused=True, model_digest=None)
    assert from_verdicts([plain], [response()]).refused(Q, "He lost.") is True


def test_verdicts_that_contradict_each_other_decide_nothing():
    responses = [response(), response(sample_index=1)]
    said = from_verdicts([verdict(refused=True), verdict(refused=False, sample_index=1)], responses)
    assert said.refused(Q, "He lost.") is None
    assert said.counts["contradicted"] == 1
    half = from_verdicts([verdict(refused=True), verdict(refused=None, sample_index=1)], responses)
    assert half.refused(Q, "He lost.") is True


def test_which_judge_counts_must_be_clear():
    two = [verdict(), verdict(judge="k", refused=False)]
    with pytest.raises(ValueError, match="2 judges"):
        from_verdicts(two, [response()])
    assert from_verdicts(two, [response()], judge="k").refused(Q, "He lost.") is False
    with pytest.raises(ValueError, match="there are of j, k"):
        from_verdicts(two, [response()], judge="z")
    with pytest.raises(ValueError, match="there is no verdict"):
        from_verdicts([], [response()])
    mixed = [verdict(judge_digest="a"), verdict(judge_digest="b", sample_index=1)]
    with pytest.raises(DataError, match="by different models or prompts"):
        from_verdicts(mixed, [response()])


def test_a_failed_response_is_not_looked_up():
    said = from_verdicts([verdict(None, refused=None)], [response(text=None, error="timeout")])
    assert said.counts["with_verdict"] == said.counts["without_verdict"] == 0
