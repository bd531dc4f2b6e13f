"""Run a recorded run again, and say what differs: inputs, packages, code, hardware, and then the results.

    python evaluate/reproduce.py record=runs/base/run.json dry_run=true       what differs, without running
    python evaluate/reproduce.py record=runs/base/run.json out=runs/again

The program runs with the recorded configuration, in a process of its own, with no cache or journal of the old
run, in out/run. Changed inputs stop it before that, unless allow_changed=true. Writes reproduction.json. Exit
status 0: everything is equal, or every figure is inside the interval that it had; 1: not so, or not run.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from align.records import write_json
from align.reproducing.differences import check_environment, check_inputs
from align.reproducing.recorded import CannotRepeat, command_of, new_config, read_recorded, write_config
from align.reproducing.report import after_lines, as_json, before_lines, figures_table
from align.reproducing.results import compare_results
from align.run import run_folder, to_plain
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="reproduce")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, console = to_plain(cfg), run_folder().resolve(), Console()

    def say(*lines: str) -> None:
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    again, settings = folder / "run", folder / "recorded.yaml"
    try:
        recorded = read_recorded(cfg.record)
        if again.exists():
            raise CannotRepeat(f"{again} is there already: choose another out=")
        new = new_config(recorded, again)
        command = command_of(recorded, settings, config["overrides"])
        inputs, environment = check_inputs(recorded), check_environment(recorded)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error
    say(
        f"{recorded.file}: {recorded.name}.py, started {recorded.record.get('started', 'at an unknown time')}"
    )
    say(*before_lines(inputs, environment))
    if cfg.dry_run:
        say("dry_run=true: nothing was run")
        return
    if inputs.differ and not cfg.allow_changed:
        raise SystemExit("the inputs are not those of the record: allow_changed=true runs it all the same")

    write_config(new, recorded, settings)
    say(f"running, in {recorded.cwd}: {shlex.join(command)}")
    ended = subprocess.run(command, cwd=recorded.cwd, check=False)
    if not (again / "run.json").is_file():
        raise SystemExit(f"the program ended with status {ended.returncode} and left no record: see above")
    comparison = compare_results(recorded, Path(again), examples=cfg.examples)
    report = {"record": str(recorded.file), "command": command, "status": ended.returncode}
    write_json(folder / "reproduction.json", report | as_json(inputs, environment, comparison))
    table = figures_table(comparison.figures)
    if table is not None:
        console.print(table)
    say(*after_lines(comparison), str(folder / "reproduction.json"))
    if comparison.verdict not in ("equal", "within"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
