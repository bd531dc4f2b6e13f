"""results.json of one honesty run: what is defined without another run beside it."""

import json

import pytest

from align.evaluation.bpi import Scores, bpi
from align.evaluation.run_summary import summarize_run
from align.records import Graded
from align.reproducing.results import compare_figures


def row(id: str, state: str, category: str, **more) -> Graded:
    given = {"question": "q", "category": category, "grader": "g", "response": "r", "image": f"{id}.png"}
    return Graded(question_id=id, state=state, **given | more)


def rows(*, marked: bool = True) -> list[Graded]:
    found = [
        *(row(f"f{i}", "abstain", "False_Premises", rationality=8, helpfulness=6) for i in range(3)),
        row("f3", "answer", "False_Premises", helpfulness=2, logprob=-0.5, tokens=3),
        *(row(f"v{i}", "abstain", "Vague_Description", rationality=4, helpfulness=4) for i in range(4)),
        *(
            row(
                f"a{i}",
                "answer",
                "Answerable",
                correct=i > 0,
                helpfulness=9,
                logprob=-2.0 / (i + 1),
                tokens=3,
            )
            for i in range(4)
        ),
    ]
    none = {"rationality": None, "helpfulness": None}
    return found if marked else [one.model_copy(update=none) for one in found]


def test_a_run_has_bpi_of_all_and_by_category_reliability_and_risk() -> None:
    found = summarize_run(rows())
    assert found["bpi"] == pytest.approx(bpi(Scores(7 / 8, 40 / 7, 36 / 8)))
    assert found["intervals"]["bpi"][0] < found["bpi"] < found["intervals"]["bpi"][1]
    by_category = {
        name: (group.get("bpi"), group.get("n_bpi")) for name, group in found["by_category"].items()
    }
    assert by_category == {
        "False_Premises": (pytest.approx(bpi(Scores(3 / 4, 8, 5))), 4),
        "Vague_Description": (pytest.approx(bpi(Scores(1.0, 4, 4))), 4),
        "Answerable": (None, None),
    }
    assert (found["phi_1"], found["phi_10"], found["n_phi_10"]) == ((3 - 1) / 4, (3 - 10) / 4, 4)
    answered, everything = found["risk_coverage"]["answered"], found["risk_coverage"]["all"]
    # The wrong answer is the least sure one of the answerable; the surest of all is to an unanswerable one.
    assert (answered["n_errors"], everything["n_errors"]) == (1, 2)
    assert answered["mean_risk"] < answered["mean_risk_random"] == 0.25
    assert everything["max_coverage"] == pytest.approx(5 / 12)
    assert set(answered["intervals"]) == {"area", "mean_risk"}
    json.dumps(found)


def test_what_is_not_known_is_none_and_not_a_number() -> None:
    unknown = {"logprob": None, "tokens": None}
    found = summarize_run([one.model_copy(update=unknown) for one in rows(marked=False)])
    assert (found["bpi"], found["by_category"]["False_Premises"]["bpi"]) == (None, None)
    assert found["risk_coverage"] == {"answered": None, "all": None}


def test_a_repetition_inside_the_intervals_is_called_so() -> None:
    was, again = rows(), rows()
    again[-1] = again[-1].model_copy(update={"logprob": -2.5})
    figures = compare_figures(summarize_run(was), summarize_run(again))
    other = {figure.name for figure in figures if figure.status != "equal"}
    assert other == {"risk_coverage.answered.area", "risk_coverage.answered.mean_risk"} | {
        "risk_coverage.all.area",
        "risk_coverage.all.mean_risk",
    }
    assert {figure.status for figure in figures} == {"equal", "within"}
