"""What an offline W&B run holds, read back from its file as `wandb sync` would read it."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class OfflineRun:
    """`history`: rows in order; `config` and `summary`: the last values, by top-level key; `artifacts`:
    (`made` or `used`, W&B's record); `run`: the record of its name, group, job type and id."""

    folder: Path
    run: object = None
    history: list = field(default_factory=list)
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    artifacts: list = field(default_factory=list)
    files: list = field(default_factory=list)
    arguments: list = field(default_factory=list)
    exit_code: int | None = None

    def logged(self):
        return {name for row in self.history for name in row}

    def tables(self, name):
        """Tables under that name, in the order in which they were logged."""
        paths = [row[name]["path"] for row in self.history if name in row]
        return [json.loads((self.folder / "files" / path).read_text()) for path in paths]


def read_run(folder, *, finished=True):
    """The only offline run of a `wandb` folder's parent. W&B writes its end a moment after it said so."""
    [run] = read_runs(folder, finished=finished)
    return run


def read_runs(folder, *, finished=True):
    """All offline runs, the oldest first."""
    files = sorted(Path(folder).glob("wandb/offline-run-*/*.wandb"))
    end = time.monotonic() + 120
    while True:
        runs = [_read(file) for file in files]
        if not finished or all(run.exit_code is not None for run in runs):
            return runs
        assert time.monotonic() < end, f"a run in {folder} has no end"
        time.sleep(0.05)


def _read(file):
    from wandb.proto import wandb_internal_pb2

    found = OfflineRun(file.parent)
    for data in _records(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            _update(found.config, record.run.config.update)
        elif kind == "config":
            _update(found.config, record.config.update)
        elif kind == "summary":
            _update(found.summary, record.summary.update)
        elif kind == "history":
            row = {}
            for item in record.history.item:
                # A table's parts come one by one.
                keys = list(item.nested_key) or [item.key]
                part = row
                for key in keys[:-1]:
                    part = part.setdefault(key, {})
                part[keys[-1]] = json.loads(item.value_json)
            found.history.append(row)
        elif kind == "artifact":
            how = "used" if record.artifact.use_after_commit else "made"
            found.artifacts.append((how, record.artifact))
        elif kind == "files":
            found.files += [one.path for one in record.files.files]
        elif kind == "environment":
            found.arguments += list(record.environment.args)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def _update(values, items):
    for item in items:
        keys = list(item.nested_key) or [item.key]
        part = values
        for key in keys[:-1]:
            part = part.setdefault(key, {})
        part[keys[-1]] = json.loads(item.value_json)


def _records(log):
    """LevelDB's log format, blocks of 32 KiB, behind a header of 7 bytes; stops at what is not there yet."""
    at, parts = 7, []
    while at < len(log):
        room = 32768 - at % 32768
        if room < 7:  # no header fits: the rest of the block is padding
            at += room
            continue
        length, kind = int.from_bytes(log[at + 4 : at + 6], "little"), log[at + 6]
        if at + 7 + length > len(log):
            return  # cut off: the rest is being written, or the run was killed
        parts.append(log[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []
