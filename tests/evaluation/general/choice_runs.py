"""Scripted responses to the samples of a benchmark, scored and summarised as a run does it."""

from pathlib import Path

from align.evaluation.general.base import summarize_general

FIXTURES = Path(__file__).parents[2] / "fixtures" / "multiple_choice"


def respond(made, responses):
    """Rows for `{sample id: response}`; every sample must have one. None is a sample that failed."""
    from align.evaluation.general.base import scored_record

    assert {item.id for item in made.items} == set(responses)
    rows = []
    for item in made.items:
        said = responses[item.id]
        if said is None:
            rows.append(scored_record(item, made.benchmark, None, state="failed", error="cut off"))
        else:
            rows.append(made.benchmark.grade(item, said))
    return rows


def values(made, rows, part=None):
    summary = summarize_general(made.benchmark, rows)
    figures = summary["figures"] if part is None else summary["by_part"][part]["figures"]
    return {name: figure["value"] for name, figure in figures.items()}


def states(rows):
    return {row.sample_id: row.state for row in rows}
