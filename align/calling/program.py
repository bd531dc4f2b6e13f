"""What programs that ask a model have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from align.calling.run import CallReport
from align.calling.shards import Shard
from align.data.report import say


def end_program(report: CallReport) -> None:
    """If not all calls were made: say why and how to go on, and end with status 1 (130 after Ctrl-C)."""
    if report.stopped is not None:
        print(report.stopped, file=sys.stderr)
        sys.exit(130 if report.interrupted else 1)


def say_failed(failed: float, listed: str | Path) -> None:
    """Say how many calls got no usable answer, which file tells of what they leave open, and how to go on."""
    if failed:
        say(f"{int(failed)} call(s) failed: see {listed}; the same command tries them again")


def say_shard(shard: Shard, questions: int) -> None:
    """Say how large a shard is, and that its bounds are a part of those that were given."""
    say(
        f"shard {shard}: {questions} question(s); an endpoint's budget and requests a minute are divided by "
        f"{shard.of}, since shards do not know of each other"
    )


def refuse_overrides(names: Sequence[str], why: str) -> None:
    """Raise `ValueError` if this Hydra program's command line sets one of `names`, or what is below it."""
    from hydra.core.hydra_config import HydraConfig

    for override in HydraConfig.get().overrides.task:
        name = override.lstrip("+~").partition("=")[0]
        if any(name == one or name.startswith(f"{one}.") for one in names):
            raise ValueError(f"{override} does nothing here: {why}")
