"""Make the project's workspace in Weights & Biases: the panels that matter, over the figures that runs log.

    python recipes/dashboard.py                       sent if somebody is logged in, else only written down
    python recipes/dashboard.py group=NAME            only the runs of one sweep
    python recipes/dashboard.py --help                tasks, figures and axes

Writes workspace.json, the specification that W&B is sent, to the run folder. docs/tracking.md has the rest.
"""

import hydra
from omegaconf import DictConfig

from align.records import write_json
from align.run import run_folder, to_plain
from align.tracking.dashboard import View, resolve, send, specification, workspace
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="dashboard")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, file = to_plain(cfg), run_folder() / "workspace.json"
    online = resolve(cfg.mode)
    names = ("honesty", "general", "settings", "group_by")
    view = View(
        project=cfg.project,
        name=cfg.name,
        entity=cfg.entity,
        group=cfg.group,
        **{name: tuple(config[name]) for name in names},
    )
    made = workspace(view)
    write_json(file, specification(made))
    print(f"written: {file}")
    if online:
        print(f"workspace: {send(made)}")
    else:
        print("not sent: log in with `wandb login`, and the same command with mode=online sends it")


if __name__ == "__main__":
    main()
