"""Rules and ensembles as judges, their summary, and judges from configuration."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from align.judging.consistency import consistency
from align.judging.ensemble import Ensemble
from align.judging.files import items_to_judge, write_verdicts
from align.judging.judged import Judged, verdict_on
from align.judging.making import make_judge
from align.judging.measuring import detection
from align.judging.model_judge import code_digest
from align.judging.prompts import ASKED
from align.judging.rule_judge import RuleJudge
from align.judging.summary import as_table, summarise
from align.records import DataError, Question, Response, Verdict, read_records
from align.run import to_plain

CONFIGS = Path(__file__).parents[2] / "configs"


def question(id="q", category="Context_Dependent", **fields):
    return Question(
        id=id, image="a.png", question="What colour is it?", category=category, source="t", **fields
    )


def item(text, id="q", model="m", error=None, category="Context_Dependent", **fields):
    return Judged(
        question(id, category, **fields), Response(question_id=id, model=model, text=text, error=error)
    )


class Says:
    """A judge that says what it was given, for each item or for all."""

    def __init__(self, name, *said, asks=("refusal",), digest=None):
        self.name, self.said, self.asks = name, said, frozenset(asks)
        self.digest = digest or f"digest of {name}"

    def judge(self, items):
        each = self.said if len(self.said) > 1 else self.said * len(items)
        return [verdict_on(i, self, **one) for i, one in zip(items, each, strict=True)]

    def repeated(self, number):
        return Says(f"{self.name} {number}", *self.said, asks=self.asks)


YES, NO, FAILED = {"refused": True}, {"refused": False}, {"error": "broken"}
MARKED = ("refusal", "rationality", "helpfulness", "correctness")


# --- Rules ---------------------------------------------------------------------------------------------


def test_rules_judge_refusals_and_call_an_answer_right_but_never_wrong():
    asked = {"category": "Answerable", "answers": ("blue",)}
    items = [item("I can't tell."), item("It is blue.", **asked), item("It is azure.", **asked)]
    declines, right, unknown = RuleJudge().judge(items)
    assert (declines.refused, declines.judge) == (True, "rules")
    assert "can not tell" in declines.raw
    assert (right.refused, right.correct) == (False, True)
    assert (unknown.refused, unknown.correct) == (False, None)
    assert declines.judge_digest == RuleJudge().digest


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [(None, "timeout", "timeout"), ("  ", None, "it is empty"), ("!!!", None, "no words")],
)
def test_what_cannot_be_judged_by_rules_is_unscored(text, error, why):
    (said,) = RuleJudge().judge([item(text, error=error)])
    assert said.refused is None
    assert why in said.error


# --- Ensembles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("votes", "refused"),
    [
        ((YES, YES, NO), True),
        ((NO, YES, NO), False),
        ((YES, YES, FAILED), True),
        ((YES, NO, FAILED), None),
        ((YES, FAILED, FAILED), None),
        ((FAILED, FAILED, FAILED), None),
        ((YES, NO), None),
        ((YES, YES), True),
        ((YES, FAILED), None),
        ((YES, YES, NO, NO), None),
        ((YES, YES, YES, NO), True),
        ((YES, YES, FAILED, FAILED), None),
    ],
)
def test_more_than_half_of_all_members_decide(votes, refused):
    ensemble = Ensemble(tuple(Says(str(i), vote) for i, vote in enumerate(votes)))
    (said,) = ensemble.judge([item("x")])
    assert said.refused is refused
    assert (said.error is None) == (refused is not None)
    assert '"0"' in said.raw


def test_a_mark_is_the_median_of_those_that_saw_the_same():
    def said(*votes):
        members = tuple(Says(str(i), vote, asks=MARKED) for i, vote in enumerate(votes))
        (verdict,) = Ensemble(members).judge([item("x", category="Answerable", answers=("y",))])
        return verdict

    three = said(
        {"refused": True, "rationality": 9, "helpfulness": 2},
        {"refused": True, "rationality": 4, "helpfulness": 8},
        {"refused": False, "helpfulness": 3, "correct": True},
    )
    assert (three.refused, three.rationality, three.helpfulness, three.correct) == (True, 4, 3, None)
    assert three.error is None
    lacking = said({"refused": True, "rationality": 9}, {"refused": True}, {"refused": True})
    assert (lacking.rationality, lacking.helpfulness) == (None, None)
    assert lacking.error == (
        "rationality: too few of the judges gave one; helpfulness: too few of the judges gave one"
    )
    right = {"refused": False, "helpfulness": 5, "correct": True}
    assert said(right, right, {"refused": False, "helpfulness": 5, "correct": False}).correct is True


def test_an_ensemble_asks_what_more_than_half_of_it_judge():
    marked = [Says(str(i), YES, asks=("refusal", "helpfulness")) for i in range(2)]
    assert Ensemble((*marked, RuleJudge())).asks == {"refusal", "helpfulness"}
    assert Ensemble((marked[0], RuleJudge())).asks == {"refusal"}


def test_no_judge_votes_twice():
    with pytest.raises(ValueError, match="same digest"):
        Ensemble((Says("a", YES, digest="d"), Says("b", YES, digest="d")))
    with pytest.raises(ValueError, match="same name"):
        Ensemble((Says("a", YES), Says("a", YES, digest="d")))
    with pytest.raises(ValueError, match="two or more"):
        Ensemble((RuleJudge(),))


def test_a_failed_response_is_no_vote():
    (said,) = Ensemble((Says("a", YES), Says("b", YES))).judge([item(None, error="timeout")])
    assert said.refused is None
    assert "timeout" in said.error


# --- Summary -------------------------------------------------------------------------------------------


def test_rates_leave_out_what_is_unscored_and_say_how_much_that_is():
    items = [item("x", str(i)) for i in range(4)] + [item(None, "4", error="timeout")]
    items += [item("x", "5", category="Answerable", answers=("y",)), item("x", "6", model="other")]
    said = [
        {"refused": True, "rationality": 8, "helpfulness": 6},
        {"refused": True, "helpfulness": 2, "error": "rationality: no"},
        {"refused": False, "error": "helpfulness: no"},
        {"error": "refusal: no"},
        {"error": "no response"},
        {"refused": False, "helpfulness": 4, "correct": True},
        {"refused": True, "rationality": 2, "helpfulness": 2},
    ]
    verdicts = Says("j", *said).judge(items)
    rates = summarise(items, verdicts, MARKED)
    assert list(rates) == ["m", "other"]
    context, everything = rates["m"]["Context_Dependent"], rates["m"]["all"]
    assert (context["responses"], context["failed"], context["n"]) == (5, 1, 3)
    assert context["refusal_rate"] == pytest.approx(2 / 3)
    assert context["refusal_interval"][0] < 2 / 3 < context["refusal_interval"][1]
    assert (context["rationality"], context["n_rationality"]) == (8, 1)
    assert (context["helpfulness"], context["n_helpfulness"]) == (4, 2)
    assert context["unscored"] == pytest.approx(
        {"refusal": 1 / 4, "rationality": 1 / 2, "helpfulness": 1 / 2, "correctness": 0}
    )
    assert everything["n"] == 4
    assert (everything["correct_rate"], everything["n_correctness"]) == (1, 1)
    assert everything["asked_of"] == {"refusal": 5, "rationality": 2, "helpfulness": 5, "correctness": 1}
    assert as_table("t", rates, MARKED).row_count == 5


def test_detection_counts_an_unscored_refusal_as_not_found():
    found = detection([(True, True), (True, True), (True, False), (False, True), (None, True), (None, False)])
    assert (found.n, found.unscored) == (6, 2)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 4)
    low, high = found.recall_interval()
    assert (round(low, 3), round(high, 3)) == (0.150, 0.850)  # Wilson's, for 2 of 4
    assert detection([]).precision is None


def test_consistency_compares_every_two_passes():
    def passes(*rows):
        return [
            Says(str(n), *row).judge([item("x", str(i)) for i in range(len(row))])
            for n, row in enumerate(rows)
        ]

    found = consistency(
        passes(
            [{"refused": True, "helpfulness": 5}, {"refused": False, "helpfulness": 5}],
            [{"refused": True, "helpfulness": 6}, {"refused": True, "helpfulness": 9}],
            [{"refused": True, "helpfulness": 5}, {"error": "broken"}],
        )
    )
    assert found["refused"] == {"n": 4, "same": 3 / 4, "one_unscored": 2}
    assert found["helpfulness"]["same"] == 1 / 4
    assert found["helpfulness"]["within_one"] == 3 / 4
    assert found["helpfulness"]["mean_difference"] == 6 / 4
    assert "rationality" not in found


# --- Files ---------------------------------------------------------------------------------------------


def test_which_responses_are_judged():
    questions = [question("a", split="train"), question("b", split="test")]
    responses = [Response(question_id=id, model=model, text="x") for id in "ab" for model in ("m", "n")]
    chosen = items_to_judge(questions, responses, split="train", model="n")
    assert [(i.question.id, i.response.model) for i in chosen] == [("a", "n")]
    assert len(items_to_judge(questions, responses, limit=3)) == 3
    with pytest.raises(DataError, match="no such question"):
        items_to_judge(questions[:1], responses)
    with pytest.raises(DataError, match="of m, n"):
        items_to_judge(questions, responses, model="z")


def test_a_file_keeps_what_other_judges_said(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    first, second = Says("first", YES), Says("second", NO)
    assert write_verdicts(file, first.judge([item("x", "a"), item("x", "b")]), first) == {
        "written": 2,
        "kept": 0,
        "outdated": 0,
    }
    write_verdicts(file, second.judge([item("x", "a")]), second)
    again = Says("first", NO)
    assert write_verdicts(file, again.judge([item("y", "a")]), again) == {
        "written": 1,
        "kept": 2,
        "outdated": 1,
    }
    rows = {(v.judge, v.question_id): v.refused for v in read_records(file, Verdict)}
    assert rows == {("first", "b"): True, ("second", "a"): False, ("first", "a"): False}
    changed = Says("first", YES, digest="other prompts")
    assert write_verdicts(file, changed.judge([item("y", "a")]), changed)["outdated"] == 2
    assert len(read_records(file, Verdict)) == 2


def test_a_broken_file_is_not_written_over(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    file.write_text('{"question_id": 3}\n')
    with pytest.raises(DataError):
        write_verdicts(file, [], Says("first", YES))
    assert file.read_text() == '{"question_id": 3}\n'


# --- Configuration -------------------------------------------------------------------------------------


def made(config):
    return make_judge(config, root=".", journal="journal")


ASK = {
    "endpoint": {"model": "openai-api/a/b", "base_url": "http://127.0.0.1:1/v1"},
    "decoding": {"max_new_tokens": 9},
    "image": False,
    "category": True,
    "caption": False,
}


def test_judges_are_made_from_configuration():
    assert isinstance(made({"kind": "rules"}), RuleJudge)
    model = made({"kind": "model", "name": "mine", "asks": {"refusal": ASK, "helpfulness": None}})
    assert (model.name, model.asks) == ("mine", {"refusal"})
    both = made(
        {
            "kind": "ensemble",
            "members": {"a": {"kind": "rules"}, "b": {"kind": "model", "asks": {"refusal": ASK}}, "c": None},
        }
    )
    assert [member.name for member in both.members] == ["rules", "openai-api/a/b"]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"kind": "oracle"}, "judge.kind must be one of"),
        ({"kind": "rules", "prompts": "x"}, "kind rules has no prompts"),
        ({"kind": "model", "asks": {"refusals": ASK}}, "judge.asks has no refusals"),
        ({"kind": "model", "asks": {"helpfulness": ASK}}, "must be asked `refusal`"),
        ({"kind": "model", "asks": {"refusal": ASK | {"captions": True}}}, "asks.refusal has no captions"),
        (
            {"kind": "model", "asks": {"refusal": {"image": True}}},
            "lacks caption, category, decoding, endpoint",
        ),
        ({"kind": "model", "asks": {"refusal": ASK | {"image": "yes"}}}, "image must be true or false"),
        ({"kind": "model", "max_characters": 0, "asks": {"refusal": ASK}}, "max_characters"),
        ({"kind": "ensemble", "members": {"a": {"kind": "rules"}}}, "two or more judges"),
        ({"kind": "ensemble", "members": {"a": {"kind": "rules"}, "b": {"kind": "rules"}}}, "the same name"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(config, why):
    with pytest.raises(ValueError, match=why):
        made(config)


@pytest.mark.parametrize(
    ("overrides", "name", "asks"),
    [
        (["judge=rules"], "rules", {"refusal"}),
        (["judge=paper"], "paper", set(ASKED) - {"correctness"}),
        (["judge=local", "judge.endpoint.model=vllm/a/b"], "vllm/a/b", set(ASKED)),
        (
            ["judge=ensemble", "judge.members.first.endpoint.model=vllm/a/b"],
            "ensemble",
            {"refusal", "rationality", "helpfulness"},
        ),
        (
            [
                "judge=ensemble",
                "judge@judge.members.third=local",
                "endpoint@judge.members.third.endpoint=sglang",
                "judge.members.first.endpoint.model=vllm/a/b",
                "judge.members.third.endpoint.model=sglang/a/b",
            ],
            "ensemble",
            set(ASKED),
        ),
    ],
)
def test_the_configurations_that_ship_make_judges(overrides, name, asks):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = to_plain(compose("judge_responses", overrides)["judge"])
    judge = made(config)
    assert (judge.name, judge.asks) == (name, asks)


def test_the_papers_judge_reads_without_the_image_and_rates_with_it():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        judge = made(to_plain(compose("judge_responses", ["judge=paper"])["judge"]))
    asked = {name: (ask.endpoint.model, ask.shown.image) for name, ask in judge.questions.items()}
    assert asked == {
        "refusal": ("openai/o3-mini", False),
        "rationality": ("openai/gpt-4o", True),
        "helpfulness": ("openai/gpt-4o", True),
    }


def test_each_choice_that_could_change_a_verdict_changes_the_digest():
    def digest(**changes):
        return made({"kind": "model", "asks": {"refusal": ASK | changes}}).digest

    digests = {
        digest(),
        digest(image=True),
        digest(category=False),
        digest(caption=True),
        digest(decoding={"max_new_tokens": 10}),
        digest(endpoint={"model": "openai-api/a/c", "base_url": "http://127.0.0.1:1/v1"}),
    }
    assert len(digests) == 6
    assert digest(endpoint=ASK["endpoint"] | {"base_url": "http://127.0.0.1:2/v1", "attempts": 9}) == digest()


def test_a_seed_that_is_sent_changes_the_digest_and_one_that_is_not_does_not():
    def digest(seed, **changes):
        config = {"kind": "model", "asks": {"refusal": ASK | changes}}
        return make_judge(config, root=".", journal="journal", seed=seed).digest

    sampled = {"decoding": ASK["decoding"] | {"temperature": 1.0}}
    unseeded = sampled | {"endpoint": ASK["endpoint"] | {"seeds": False}}
    assert digest(0, **sampled) != digest(1, **sampled)
    assert digest(0, **unseeded) == digest(1, **unseeded)
    assert digest(0, decoding=ASK["decoding"] | {"temperature": 0.0}) == digest(
        1, decoding=ASK["decoding"] | {"temperature": 0.0}
    )


def test_code_that_reads_replies_otherwise_is_another_judge(monkeypatch):
    judge = made({"kind": "model", "asks": {"refusal": ASK}})
    before, read = judge.digest, Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda file, **how: read(file, **how) + "#" * (file.name == "parsing.py")
    )
    code_digest.cache_clear()
    try:
        assert judge.digest != before
    finally:
        monkeypatch.undo()
        code_digest.cache_clear()
    assert judge.digest == before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "???"}, r"judge\.asks\.refusal\.endpoint: field `model`: is not set: PROVIDER/NAME"),
        ({"attempts": 0}, r"judge\.asks\.refusal\.endpoint: field `attempts`: .*greater than or equal to 1"),
    ],
)
def test_an_endpoint_that_cannot_be_is_named_with_the_question_it_is_of(settings, says):
    with pytest.raises(DataError, match=says):
        made({"kind": "model", "asks": {"refusal": ASK | {"endpoint": ASK["endpoint"] | settings}}})
