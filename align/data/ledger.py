"""What became of every input row: it is in the output, or it is left out for a reason that is written down.

A builder opens each input with the keys of its rows, gives the rows that it drops a reason while it works,
and settles the account at the end with the rows that the output holds. A row that was neither used nor given
a reason was dropped in silence, and that is an error of the builder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from align.records import Record


class LeftOut(Record):
    """One input row that did not become output. `input` is the setting that named its file."""

    input: str
    row: str
    reason: str


class Ledger:
    """The account of one run of a builder."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, str | None]] = {}

    def open(self, name: str, ids: Iterable[str]) -> list[str]:
        """Register the rows of an input. Returns a key for each: its id, and `id#2` for the id's second row.

        Keys that are registered already stay as they are, so two steps may open the same questions.
        """
        rows = self._rows.setdefault(name, {})
        seen: Counter[str] = Counter()
        keys = []
        for id_ in ids:
            seen[id_] += 1
            keys.append(id_ if seen[id_] == 1 else f"{id_}#{seen[id_]}")
            rows.setdefault(keys[-1], None)
        return keys

    def leave_out(self, name: str, key: str, reason: str) -> None:
        """Say why a row will not become output. The first reason stays."""
        if self._rows[name][key] is None:
            self._rows[name][key] = reason

    def reasons(self, name: str) -> dict[str, str]:
        """The rows of an input that are left out, with the reason."""
        return {key: reason for key, reason in self._rows.get(name, {}).items() if reason is not None}

    def settle(self, name: str, used: Iterable[str]) -> None:
        """Compare an input with the keys that the output used.

        Raises `RuntimeError` for a row that is neither used nor left out, or both.
        """
        rows, taken = self._rows.get(name, {}), set(used)
        lost = [key for key, reason in rows.items() if reason is None and key not in taken]
        both = [key for key in taken if rows[key] is not None]
        if lost or both:
            raise RuntimeError(
                f"the account of {name} does not balance: {len(lost)} rows without a reason "
                f"({', '.join(lost[:3])}), {len(both)} used and left out ({', '.join(both[:3])})"
            )

    def counts(self) -> dict[str, dict[str, int]]:
        """For each input how many rows were given and used, and how many left out for each reason."""
        return {
            name: {"given": len(rows), "used": sum(reason is None for reason in rows.values())}
            | dict(Counter(reason for reason in sorted(filter(None, rows.values()))))
            for name, rows in self._rows.items()
        }

    def left_out(self) -> Sequence[LeftOut]:
        """Every row that is left out, with its reason."""
        return [
            LeftOut(input=name, row=key, reason=reason)
            for name, rows in self._rows.items()
            for key, reason in rows.items()
            if reason is not None
        ]
