"""The results of a run beside those of the run that repeated it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.records import Problem, iter_jsonl
from align.reproducing.recorded import RECORD, REDIRECTED, Recorded
from align.run import content_digest

Status = Literal["equal", "within", "different"]

# What a run takes is another time each run, and what was in a cache then is not in one now.
_VOLATILE = re.compile(
    r"second|runtime|memory|elapsed|_in_journal|attempts|cached|tokens_per|flop_rate"
    r"|^(input|output)_tokens$|^dollars$"
    # Counts that follow from the rows, which are compared one by one.
    r"|^n_(truncated|answers|errors|without_confidence|ungraded)$|^(coverage_at_risk|mean_risk_random|max_coverage)$"
)
_GRADES = ("state", "correct", "reason", "rationality", "helpfulness", "parsed", "score", "official")
# Where programs write figures that are not in their records.
_DOCUMENTS = {
    "compare": ("comparison.json",),
    "leaderboard": ("leaderboard.json",),
    "judge_agreement": ("agreement.json",),
    "audit": ("audit.json",),
}
_KEYS = ("question_id", "sample_id", "condition", "model", "sample_index", "judge", "kind")


@dataclass(frozen=True)
class Figure:
    """One figure then and now. `within`: not equal, and inside the 95 % interval that it had."""

    name: str
    was: Any
    now: Any
    interval: tuple[float, float] | None
    status: Status


@dataclass
class Rows:
    """The rows of a file then and now: how many of them differ in their text, in their grade, or else."""

    name: str
    was: int = 0
    now: int = 0
    equal: int = 0
    texts: int = 0
    grades: int = 0
    others: int = 0
    only_was: int = 0
    only_now: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    note: str | None = None

    @property
    def same(self) -> bool:
        return self.note is None and self.equal == self.was == self.now


@dataclass
class Comparison:
    """Everything that was compared."""

    figures: list[Figure] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    files: dict[str, bool] = field(default_factory=dict)

    @property
    def verdict(self) -> Status | None:
        """What came of it all; None: there was nothing to compare.

        `equal`: every figure, row and file is. `within`: figures have intervals, and each is equal or inside
        its own, over the same questions. Data without intervals is equal or different.
        """
        if not (self.figures or self.rows or self.files):
            return None
        found = {figure.status for figure in self.figures}
        if found <= {"equal"} and all(rows.same for rows in self.rows) and all(self.files.values()):
            return "equal"
        measured = any(figure.interval for figure in self.figures)
        same_questions = not any(rows.only_was or rows.only_now or rows.note for rows in self.rows)
        return "within" if measured and same_questions and found <= {"equal", "within"} else "different"


def compare_results(recorded: Recorded, folder: Path, examples: int = 5) -> Comparison:
    """Compare what a run left with what its repetition left in `folder`."""
    found = Comparison()
    for old in sorted({*recorded.folder.glob("results.json"), *recorded.folder.glob("*/results.json")}):
        new = folder / old.relative_to(recorded.folder)
        name = old.parent.name if old.parent != recorded.folder else ""
        was, now = _load(old), _load(new) if new.is_file() else {}
        found.figures += compare_figures(was, now, f"{name}: " if name else "")
        samples = old.with_name("samples.jsonl")
        found.rows.append(compare_rows(name or "samples", samples, new.with_name("samples.jsonl"), examples))
    for name in _DOCUMENTS.get(recorded.name, ()):
        was, now = (
            _load(place / name) if (place / name).is_file() else {} for place in (recorded.folder, folder)
        )
        found.figures += compare_figures(was, now)
    record = _load(folder / RECORD)
    if recorded.name != "benchmark":  # its record repeats some figures of results.json
        found.figures += compare_figures(recorded.record.get("results") or {}, record.get("results") or {})
    digests, rowed = record.get("inputs") or {}, set()
    for new in sorted(folder.glob("*.jsonl")):
        # What later programs put into the old folder is none of this run's.
        if new.name not in REDIRECTED.get(recorded.name, {}).values() and "journal" not in new.name:
            found.rows.append(compare_rows(new.name, _place_of(recorded, new.name), new, examples))
    for weights in sorted(folder.glob("*.safetensors")):
        old = recorded.folder / weights.name
        found.files[weights.name] = old.is_file() and content_digest(old) == content_digest(weights)
    for name, place in REDIRECTED.get(recorded.name, {}).items():
        old_file, new_file = recorded.outputs.get(name), folder / place
        if old_file is None or old_file.suffix != ".jsonl" or name.startswith("journal"):
            continue
        rows = compare_rows(name, old_file, new_file, examples)
        was_digest = (recorded.record.get("inputs") or {}).get(name, {}).get("sha256")
        if was_digest and old_file.is_file() and content_digest(old_file) != was_digest:
            rows.note = f"{old_file} was written again since that run: its rows may be of a later one"
        found.rows.append(rows)
        rowed.add(name)
    for name, entry in (recorded.record.get("inputs") or {}).items():
        if (recorded.wrote(entry) or "path" not in entry) and name in digests and name not in rowed:
            found.files[name] = _same(recorded, entry, digests[name])
    return found


def _place_of(recorded: Recorded, name: str) -> Path:
    """Where the run had put a file that is in the new run's folder: beside an output, or in its own folder.

    `pairs.left_out.jsonl` was beside `pairs.jsonl`, wherever that was and whatever it was called.
    """
    for key, place in REDIRECTED.get(recorded.name, {}).items():
        stem, output = Path(place).stem, recorded.outputs.get(key)
        if output is not None and place and name.startswith(f"{stem}."):
            return output.with_name(output.stem + name.removeprefix(stem))
    return recorded.folder / name


def _same(recorded: Recorded, was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two recorded digests are of the same; of folders, whether all files but the README are.

    An adapter's README tells what its training took. A folder that was written again since is not that of the
    record, and then its digest decides.
    """
    if was["sha256"] == now["sha256"]:
        return True
    folders = [recorded.cwd / entry["path"] for entry in (was, now) if "path" in entry]
    if len(folders) < 2 or not all(folder.is_dir() for folder in folders):
        return False
    if content_digest(folders[0]) != was["sha256"]:
        return False
    old, new = (
        {
            file.relative_to(folder): content_digest(file)
            for file in folder.rglob("*")
            if file.is_file() and file.name != "README.md"
        }
        for folder in folders
    )
    return old == new


def compare_figures(was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[Figure]:
    """Every number in `was` with the one at its place in `now`, but for those of what a run took."""
    old, new = dict(_numbers(was)), dict(_numbers(now))
    found = []
    for name in dict.fromkeys([*old, *new]):
        value, interval = old.get(name, (None, None))
        other, _ = new.get(name, (None, None))
        status: Status = "different"
        if value == other:
            status = "equal"
        elif value is not None and other is not None and interval and interval[0] <= other <= interval[1]:
            status = "within"
        found.append(Figure(f"{prefix}{name}", value, other, interval, status))
    return found


def _numbers(value: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Numbers by their path, each with its interval where there is one."""
    if "value" in value and "interval" in value:
        yield name, (value["value"], value["interval"])
        if value.get("n") is not None:
            yield f"{name}.n", (value["n"], None)
        return
    intervals = value.get("intervals")
    intervals = intervals if isinstance(intervals, Mapping) else {}
    for key, item in value.items():
        path = f"{name}.{key}" if name else str(key)
        if key == "intervals" or _VOLATILE.search(str(key)):
            continue
        if isinstance(item, list):
            item = dict(enumerate(item))
        if isinstance(item, Mapping):
            yield from _numbers(item, path)
        elif key in intervals or (isinstance(item, int | float) and not isinstance(item, bool)):
            yield path, (item, intervals.get(key))


def compare_rows(name: str, old: Path, new: Path, examples: int = 5) -> Rows:
    """Rows of two JSON Lines files by what names them; `examples` shows the first that differ."""
    found = Rows(name)
    missing = [str(file) for file in (old, new) if not file.is_file()]
    if missing:
        found.note = f"not there: {', '.join(missing)}"
        return found
    was, now = _rows(old), _rows(new)
    found.was, found.now = len(was), len(now)
    for key, row in was.items():
        other = now.get(key)
        if other is None:
            found.only_was += 1
            continue
        kinds = [each for each in dict.fromkeys([*row, *other]) if _differs(row.get(each), other.get(each))]
        if not kinds:
            found.equal += 1
            continue
        text = [each for each in kinds if each in ("response", "text", "completion", "chosen", "rejected")]
        grade = [each for each in kinds if each in _GRADES or each == "refused"]
        found.texts += bool(text)
        found.grades += bool(grade)
        found.others += not (text or grade)
        if len(found.examples) < examples:
            shown = [*text, *grade] or kinds
            pair = {each: [row.get(each), other.get(each)] for each in shown}
            found.examples.append(
                {"row": " ".join(str(part) for part in key[:-1] if part is not None)} | pair
            )
    found.only_now = sum(key not in was for key in now)
    return found


def _rows(file: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by what names them, and by how many of that name came before: their order does not matter."""
    seen: Counter[tuple[Any, ...]] = Counter()
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, row in iter_jsonl(file):
        if isinstance(row, Problem):
            rows[("line", number)] = {"line": str(row)}
            continue
        key = tuple(row.get(each) for each in _KEYS) if set(_KEYS) & set(row) else (row.get("id"),)
        rows[(*key, seen[key])] = row
        seen[key] += 1
    return rows


def _differs(a: Any, b: Any) -> bool:
    """Log-probabilities differ in their last digits from one batch to another."""
    if isinstance(a, float) and isinstance(b, float):
        return not math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4)
    return bool(a != b)


def _load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def count_statuses(figures: Sequence[Figure]) -> dict[Status, int]:
    counts = Counter(figure.status for figure in figures)
    return {status: counts[status] for status in ("equal", "within", "different")}
