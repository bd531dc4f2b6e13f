"""What an audit says on the terminal: its report (`audit.json`) as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from align.data.report import console, say


def print_audit(report: Mapping[str, Any], shown: int = 10) -> None:
    """Tokens, checks, what they found (`shown` of each), parameters, and the estimate."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["kinds"].items())
    say(f"audit of {report['file']}: {report['rows']} rows ({kinds or 'none'}), {report['pictures']} images")
    _print_tokens(report)
    _print_checks(report)
    for finding in report["findings"]:
        _print_problems(finding, shown)
    if "parameters" in report:
        _print_parameters(report["parameters"])
    if "memory_bytes" in report:
        _print_estimate(report)
    verdict = (
        "Training on this would break: see what is marked above."
        if report["breaks_training"]
        else "Nothing here would break training."
    )
    say(verdict)


def print_summary(report: Mapping[str, Any], shown: int = 10) -> None:
    """The same in a few lines, with what the checks found; what they did not find is left out."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["kinds"].items())
    row, image = report["tokens"]["row"], report["tokens"]["image"]
    say(
        f"audit: {report['rows']} rows ({kinds}) on {report['pictures']} images; {row['middle']} tokens in "
        f"the middle row, {row['most']} in the longest, up to {image['most']} of them for images"
    )
    for finding in report["findings"]:
        _print_problems(finding, shown)
    if "memory_bytes" in report:
        time, memory = report["time"], report["memory_bytes"]
        say(
            f"audit: about {size(memory['total'])} of memory and {duration(time['epoch_seconds'])} an epoch "
            f"({time['steps']:,} steps) are expected"
        )


def duration(seconds: float) -> str:
    """In the unit that a person would choose."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """Bytes in MiB or GiB."""
    return f"{n_bytes / 2**20:,.0f} MiB" if n_bytes < 2**30 else f"{n_bytes / 2**30:,.1f} GiB"


def _print_tokens(report: Mapping[str, Any]) -> None:
    table = Table(title=f"tokens (limit {report['max_tokens']} a row)", title_justify="left")
    columns = ("least", "middle", "p95", "most", "together")
    table.add_column("of a row")
    for column in columns:
        table.add_column(column, justify="right")
    for name, spread in report["tokens"].items():
        label = "prompt and longest completion" if name == "row" else name
        table.add_row(label, *("-" if spread is None else f"{spread[column]:,}" for column in columns))
    console.print(table)


def _print_checks(report: Mapping[str, Any]) -> None:
    table = Table(title="checks", title_justify="left")
    table.add_column("check")
    table.add_column("found", justify="right")
    table.add_column("")
    for finding in report["findings"]:
        if finding["not_checked"] is not None:
            table.add_row(finding["check"], "-", escape(f"not checked: {finding['not_checked']}"))
        elif not finding["count"]:
            table.add_row(finding["check"], "0", "[green]ok[/green]")
        elif finding["breaks_training"]:
            table.add_row(finding["check"], str(finding["count"]), "[red]breaks training[/red]")
        else:
            table.add_row(finding["check"], str(finding["count"]), "[yellow]warning[/yellow]")
    console.print(table)
    say(f"placeholders checked on {report['image_shapes_checked']} of {report['image_shapes']} image shapes")


def _print_problems(finding: Mapping[str, Any], shown: int) -> None:
    if not finding["count"]:
        return
    say(f"{finding['check']}:")
    for problem in finding["problems"][:shown]:
        line = f":{problem['line']}" if "line" in problem else ""
        field = f"field `{problem['field']}`: " if "field" in problem else ""
        say(f"  {problem['file']}{line}: {field}{problem['message']}")
    if finding["count"] > shown:
        say(f"  ... and {finding['count'] - shown} more in audit.json")


def _print_parameters(parameters: Mapping[str, Mapping[str, int]]) -> None:
    table = Table(title="parameters", title_justify="left")
    for column in ("part", "trainable", "all"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part, row in parameters.items():
        table.add_row(part, f"{row['trainable']:,}", f"{row['total']:,}")
    sums = [sum(row[name] for row in parameters.values()) for name in ("trainable", "total")]
    table.add_row("together", *(f"{n:,}" for n in sums))
    console.print(table)


def _print_estimate(report: Mapping[str, Any]) -> None:
    time, memory = report["time"], dict(report["memory_bytes"])
    total = memory.pop("total")
    table = Table(title="estimate for one process", title_justify="left")
    table.add_column("of")
    table.add_column("", justify="right")
    for name, n_bytes in memory.items():
        table.add_row(name, size(n_bytes))
    table.add_row("peak memory", size(total))
    table.add_row("an epoch", f"{duration(time['epoch_seconds'])}, {time['steps']:,} steps")
    if time["reference_seconds"]:
        table.add_row("reference log-probs, once", duration(time["reference_seconds"]))
    console.print(table)
    say(
        f"at {time['efficiency']:.0%} of {time['flop_rate'] / 1e9:,.0f} GFLOP/s; memory without Python, "
        "libraries and the driver; of workspace and logits the larger counts, they are not there together"
    )
