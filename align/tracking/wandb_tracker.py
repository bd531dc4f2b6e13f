"""A run in Weights & Biases, online or as files that `wandb sync` uploads later."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from align.run import shown_overrides
from align.tracking.artifacts import Artifact
from align.tracking.credentials import resolve_mode
from align.tracking.tracker import RunFacts, Table, is_picture

STEP = "train/global_step"
"""The axis of training curves, under the name that transformers gave it."""

_BY_REFERENCE = 2**20  # bytes: larger files are named and not uploaded, unless tracking.upload says so
_FLUSH_SECONDS = 1.0  # W&B's own 15 would lose so much of an offline run that is killed

_VARIABLES = {
    "dir": "WANDB_DIR",
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "name": "WANDB_NAME",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "tags": "WANDB_TAGS",
    "id": "WANDB_RUN_ID",
}
"""What the user's environment decides, as in W&B itself."""


class WandbTracker:
    """One W&B run. `run` is W&B's own object, for what only W&B can show."""

    def __init__(self) -> None:
        self.run: Any = None
        self.wandb: Any = None
        self._upload: tuple[str, ...] = ()

    def start(self, facts: RunFacts) -> str:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self.wandb, self._upload = wandb, facts.settings.upload
        mode, why = resolve_mode(facts.settings.mode), ""
        try:
            self.run = self._init(facts, mode)
        except Exception as error:
            if mode != "online":
                raise
            # Its service would keep the id of the run that could not begin.
            wandb.teardown()
            mode, why = "offline", f", since W&B cannot be reached ({_first_line(error)})"
            self.run = self._init(facts, mode)
        self.config(facts.config)  # of a run that is taken up again, too
        self.run.define_metric(STEP)
        for names in ("train/*", "eval/*", "probe/*"):
            self.run.define_metric(names, step_metric=STEP)
        if mode != "offline":
            return f"W&B: {mode}" + (f", {self.run.url}" if mode == "online" else "")
        kept = Path(os.environ.get("WANDB_DIR") or facts.folder) / "wandb"
        return f"W&B: offline{why}, kept in {kept} (upload with `wandb sync {kept}/offline-run-*`)"

    def _init(self, facts: RunFacts, mode: str) -> Any:
        wanted: dict[str, Any] = {
            "dir": str(facts.folder),
            "project": facts.settings.project,
            "entity": facts.settings.entity,
            "name": facts.name,
            "group": facts.group,
            "job_type": facts.job_type,
            "tags": list(facts.settings.tags) or None,
            "id": facts.id,
        }
        # Said again, since W&B reads the environment once in a process, and an argument would win over it.
        chosen: dict[str, Any] = {
            key: os.environ[name] for key, name in _VARIABLES.items() if os.environ.get(name)
        }
        if "tags" in chosen:
            chosen["tags"] = chosen["tags"].split(",")
        with _secrets_hidden():
            return self.wandb.init(
                resume="allow", settings=self._settings(), **{**wanted, **chosen, "mode": mode}
            )

    def _settings(self) -> Any:
        """What makes an offline run last: W&B's experimental setting, if this version has it."""
        name = "x_transaction_log_flush_interval"
        settings = self.wandb.Settings
        return settings(**({name: _FLUSH_SECONDS} if name in settings.model_fields else {}))

    def config(self, values: Mapping[str, Any]) -> None:
        self.run.config.update(dict(values), allow_val_change=True)

    def figures(self, values: Mapping[str, float], step: int) -> None:
        self.run.log({**values, STEP: step})

    def summary(self, values: Mapping[str, float]) -> None:
        self.run.summary.update(dict(values))

    def table(self, name: str, table: Table, step: int | None = None) -> None:
        shown = self.wandb.Table(columns=list(table.columns))
        for row in table.rows:
            shown.add_data(*(self.wandb.Image(cell) if is_picture(cell) else cell for cell in row))
        self.run.log({name: shown, **({} if step is None else {STEP: step})})

    def page(self, name: str, file: Path) -> None:
        self.run.log({name: self.wandb.Html(file.read_text(encoding="utf-8"), inject=False)})

    def file(self, file: Path) -> None:
        self.run.save(str(file.resolve()), base_path=str(file.resolve().parent), policy="now")

    def uses(self, artifact: Artifact) -> None:
        made = self._artifact(artifact, upload=0)  # what is read is whoever made it's to upload
        if not self.run.offline:
            self.run.use_artifact(made, aliases=[artifact.alias])
            return
        # `use_artifact` refuses to work offline. This is the call behind it; the record that it writes makes
        # the artifact when the run is uploaded, or finds the version of the same content, and then uses it.
        self.run._log_artifact(
            made, aliases=["latest", artifact.alias], is_user_created=True, use_after_commit=True
        )

    def made(self, artifact: Artifact) -> None:
        most = math.inf if artifact.type in self._upload else _BY_REFERENCE
        self.run.log_artifact(self._artifact(artifact, upload=most), aliases=["latest", artifact.alias])

    def _artifact(self, artifact: Artifact, *, upload: float) -> Any:
        """W&B's artifact; files up to `upload` bytes go into it, others are named with their digest.

        Its own digest is the same either way.
        """
        made = self.wandb.Artifact(
            artifact.name, artifact.type, description=artifact.description, metadata=dict(artifact.metadata)
        )
        for name, text in artifact.stated.items():
            with made.new_file(name) as stream:
                stream.write(text)
        for name, file in artifact.files.items():
            if file.stat().st_size <= upload:
                made.add_file(str(file), name=name)
            else:
                made.add_reference(file.resolve().as_uri(), name=name, checksum=True)
        return made

    def finish(self, failed: bool) -> None:
        self.run.finish(exit_code=1 if failed else 0)

    def give_up(self) -> None:
        if self.wandb is not None:
            with suppress(Exception):
                self.wandb.teardown()


@contextmanager
def _secrets_hidden() -> Iterator[None]:
    """The command line without its secrets, for as long as W&B looks at it: it keeps it with the run."""
    kept = sys.argv
    sys.argv = [kept[0], *shown_overrides(kept[1:])] if kept else kept
    try:
        yield
    finally:
        sys.argv = kept


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
