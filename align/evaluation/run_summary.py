"""The figures of one honesty run: what `results.json` says without another run beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from align.evaluation.bpi import bpi_by_category, bpi_of_rows
from align.evaluation.metrics import summarize_groups
from align.evaluation.reliability import effective_reliability
from align.evaluation.risk_coverage import View, risk_coverage
from align.records import Graded


def summarize_run(graded: Sequence[Graded]) -> dict[str, Any]:
    """`metrics.summarize_groups`, and beside its figures, with 95 % intervals in `intervals`:

    - `bpi` (`bpi.bpi_of_rows`), of all and of each unanswerable category; None without a judge's marks.
    - `phi_1`, `phi_10`, `phi_100` (`reliability.effective_reliability`) of all.
    - `risk_coverage`: by view what `risk_coverage.risk_coverage` gives but for the curve; None without
      confidences.

    What is measured against a base (prudence, tests) stands in a comparison.
    """
    summary = summarize_groups(graded)
    found = [(summary, bpi_of_rows(graded))]
    found += [
        (summary["by_category"][category], index) for category, index in bpi_by_category(graded).items()
    ]
    for group, index in found:
        group |= {"bpi": index["bpi"], "n_bpi": index["n"]}
        group["intervals"]["bpi"] = index["interval"]
    reliability = effective_reliability(graded)
    for one in reliability["phi"]:
        name = f"phi_{one['c']:g}"
        summary |= {name: one["phi"], f"n_{name}": reliability["n"]}
        summary["intervals"][name] = one["interval"]
    return summary | {"risk_coverage": {view: _of_view(graded, view) for view in get_args(View)}}


def _of_view(graded: Sequence[Graded], view: View) -> dict[str, Any] | None:
    found = risk_coverage(graded, view=view)
    if found is None:
        return None
    figures = {name: value for name, value in found.items() if name not in ("curve", *_INTERVALS)}
    return figures | {"intervals": {figure: found[name] for name, figure in _INTERVALS.items()}}


_INTERVALS = {"area_interval": "area", "mean_risk_interval": "mean_risk"}
