"""Fetch data sets from their public homes, or from a mirror.

    python data_prep/download.py get=[mohobench]                          into data/raw/mohobench
    python data_prep/download.py get=[pope,haloquest] mirror=/mnt/mirror  from a folder, or a URL, of yours

What was cut off goes on where it was; what is there is not fetched again. Each data set has a manifest.json
with digests, written when it is complete. Ends with status 1 if a data set is not complete.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.download import MANIFEST, download
from align.data.download_progress import byte_bar
from align.data.origins import parse_origin
from align.data.report import print_problems, say
from align.records import DataError
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="download")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config = to_plain(cfg)
    unknown = sorted(set(config["get"]) - set(config["origins"]))
    if unknown:
        raise ValueError(
            f"get has no origin for {', '.join(unknown)}: there are {', '.join(config['origins'])}"
        )
    origins = [parse_origin(name, config["origins"][name]) for name in config["get"]]
    for origin in origins:
        say(f"{origin.name}: {origin.title}. License: {origin.license}")
        if origin.restricted:
            say(f"  WARNING: {origin.restricted}")

    left = 0
    for origin in origins:
        try:
            with byte_bar(origin.name) as progress:
                result = download(
                    origin,
                    cfg.out,
                    mirror=cfg.mirror,
                    verify=cfg.verify,
                    progress=progress,
                    workers=cfg.workers,
                    timeout=cfg.timeout,
                    attempts=cfg.attempts,
                    wait=cfg.wait,
                )
        except (DataError, ConnectionError) as error:
            left += 1
            say(f"{origin.name}: not complete. {error}")
            continue
        print_problems(result.problems)
        left += not result.complete
        state = (
            "was there already" if result.reused else f"{len(result.fetched) - len(result.problems)} files"
        )
        where = result.folder / MANIFEST if result.complete else f"{result.folder}, NOT complete"
        say(f"{origin.name}: {state}; {where}")
    manifests = {name: Path(cfg.out) / name / MANIFEST for name in config["get"]}
    inputs = {name: path for name, path in manifests.items() if path.is_file()}
    write_run_json(run_folder(), config=cfg, seeds=0, inputs=inputs)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
