"""Figures that others have reported, as rows beside one's own: never re-run, never tested against.

They come from YAML files of the form of reported/mohobench.yaml: the package's own, or the user's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from align.records import DataError, Problem, problems_of

PACKAGED = {"mohobench": Path(__file__).parent / "reported" / "mohobench.yaml"}


class Reported(BaseModel):
    """One row as it was reported: rates in percent, marks 1-10, None where nothing was reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    method: str = "vanilla"
    refusal_rate: float | None = Field(None, ge=0, le=100)
    rationality: float | None = Field(None, ge=1, le=10)
    helpfulness: float | None = Field(None, ge=1, le=10)
    over_refusal_rate: float | None = Field(None, ge=0, le=100)
    mmmu: float | None = Field(None, ge=0, le=100)
    bpi: float | None = None
    parameters: float | None = Field(None, gt=0)

    def figures(self) -> dict[str, float]:
        """By the metrics' own names, rates 0-1."""
        shares = {"refusal_rate": self.refusal_rate, "over_refusal_rate": self.over_refusal_rate}
        shares["mmmu"] = self.mmmu
        found = {name: value / 100 for name, value in shares.items() if value is not None}
        marks = {"rationality": self.rationality, "helpfulness": self.helpfulness, "bpi": self.bpi}
        return found | {name: value for name, value in marks.items() if value is not None}


class SizeCorrelation(BaseModel):
    """A reported correlation of model size with honesty, over `n` models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    r: float = Field(ge=-1, le=1)
    n: int = Field(gt=0)
    about: str


class Reference(BaseModel):
    """A source with its rows, and `about`: why they are not to be ranked among one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1)
    about: str = Field(min_length=1)
    size_correlation: SizeCorrelation | None = None
    rows: tuple[Reported, ...] = Field(min_length=1)


def load_reference(source: str | Path) -> Reference:
    """Read reported figures: those of the package by their name (`mohobench`), or a file's.

    Raises `DataError` for a file that is not there, or not of the form, with each field.
    """
    path = PACKAGED.get(str(source), Path(source))
    if not path.is_file():
        text = f"no such file, and no figures of the package: {', '.join(PACKAGED)}; null for none"
        raise DataError([Problem(file=str(source), field="reference", message=text)])
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError([Problem(file=str(path), message=f"not YAML in UTF-8: {error}")]) from error
    try:
        return Reference.model_validate(content)
    except ValidationError as error:
        raise DataError(problems_of(error, str(path), None)) from error
