"""Any number of benchmarked models in one table, with what the MoHoBench paper reports beside them.

    python evaluate/leaderboard.py runs=runs                              every benchmark below a folder
    python evaluate/leaderboard.py runs='[runs/a, runs/b]' out=runs/board
    python evaluate/leaderboard.py runs='{base: runs/a, dpo: runs/b}' sort=miniworld.dual_accuracy

Runs on other questions, or of another grader or judge, form groups of their own and are not ranked against
each other. Writes leaderboard.json, .csv (one figure a row), .md and .tex, and plots as .png and .svg: size-*
(size against honesty) and honesty-* (honesty against help and general ability).
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig
from rich.console import Console

from align.records import atomic_write, write_json
from align.reporting.leaderboard import ROW_COLUMNS, make_board, tidy_rows
from align.reporting.leaderboard_files import board_json, latex, markdown, write_plots
from align.reporting.leaderboard_runs import find_runs, read_entry
from align.reporting.leaderboard_view import notes_of, terminal_tables
from align.reporting.reference_rows import load_reference
from align.reporting.run_folders import RESULTS
from align.reporting.tables import to_csv
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="leaderboard")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, console = to_plain(cfg), run_folder(), Console()
    found = find_runs(config["runs"])
    sizes = config["parameters"] or {}
    unknown = sorted(set(sizes) - set(found))
    if unknown:
        raise SystemExit(f"parameters: no run is called {', '.join(unknown)}: there are {', '.join(found)}")
    entries = [read_entry(name, place, parameters=sizes.get(name)) for name, place in found.items()]
    reference = load_reference(config["reference"]) if config["reference"] else None
    board = make_board(entries, sort=cfg.sort, columns=config["columns"], reference=reference)
    plots = write_plots(board, folder, honesty=cfg.honesty, against=config["against"])

    write_json(folder / "leaderboard.json", board_json(board, plots))
    for name, text in (
        ("leaderboard.csv", to_csv(ROW_COLUMNS, tidy_rows(board))),
        ("leaderboard.md", markdown(board, plots)),
        ("leaderboard.tex", latex(board)),
    ):
        with atomic_write(folder / name) as stream:
            stream.write(text)
    write_run_json(
        folder,
        config=cfg,
        seeds=0,
        inputs={
            f"{entry.name}: {file.parent.name}": file
            for entry in entries
            for file in sorted({*entry.folder.glob(RESULTS), *entry.folder.glob(f"*/{RESULTS}")})
        },
    )
    for table in terminal_tables(board):
        console.print(table)
    for note in notes_of(board):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    console.print(str(folder), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
