"""Training rows in the forms of other trainers: TRL, LLaMA-Factory, ms-swift.

Each is a pure rewriting of pairs or of supervised rows, in their order; images stay files.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from align.data.images import resolve_image
from align.records import DataError, Pair, Problem, SFTRow, atomic_write, write_json

FORMS = ("datasets", "llama_factory", "ms_swift")
# LLaMA-Factory and ms-swift put media where these stand, wherever that is, and count them.
_PLACEHOLDERS = ("<image>", "<video>", "<audio>")

Rows = Sequence[Pair] | Sequence[SFTRow]


def export(rows: Rows, forms: Sequence[str], output: Path, root: str | Path) -> dict[str, Path]:
    """Write rows in other forms beside `output`, and return what was written by form.

    Args:
        rows: at least one.
        forms: of `FORMS`. `datasets`: the folder `<output>.datasets`; `llama_factory`: the folder
            `<output>.llama_factory`; `ms_swift`: `<output>.ms_swift.jsonl`.
        output: the file of rows that this was made from, which gives the names.
        root: the folder that images are relative to.

    Raises:
        ValueError: an unknown form.
        DataError: no rows, an image that is not there (datasets, ms_swift), or a text that holds a
            placeholder such as `<image>` (llama_factory, ms_swift).
    """
    require_forms(forms)
    if forms and not rows:
        raise DataError([Problem(file=str(output), message="no rows to export")])
    written: dict[str, Path] = {}
    if "datasets" in forms:
        written["datasets"] = save_dataset(rows, root, output.with_suffix(".datasets"))
    if "llama_factory" in forms:
        written["llama_factory"] = to_llama_factory(rows, output.with_suffix(".llama_factory"), output.stem)
    if "ms_swift" in forms:
        written["ms_swift"] = to_ms_swift(rows, output.with_suffix(".ms_swift.jsonl"), root)
    return written


def require_forms(forms: Sequence[str]) -> None:
    """Raise `ValueError` if one isn't of `FORMS`."""
    unknown = sorted(set(forms) - set(FORMS))
    if unknown:
        raise ValueError(f"export has no {', '.join(unknown)}: choose from {', '.join(FORMS)}")


def save_dataset(rows: Rows, root: str | Path, folder: Path) -> Path:
    """A folder for `datasets.load_from_disk`, whose rows TRL's DPOTrainer or SFTTrainer take as they are.

    Columns: `prompt`, `chosen` and `rejected` (or `completion`) as messages; `images`, decoded when a row is
    read; and for people `image_paths` (relative to the root), `question_id`, `kind`, `category` and who wrote
    each side. The table holds the images' absolute paths, no pixels: `Dataset.save_to_disk` would store the
    files' bytes, so its folder is written here in the same layout.
    """
    from datasets import List, Value
    from datasets.arrow_writer import ArrowWriter

    from align.data.loading import preference_dataset, sft_dataset

    pairs = [row for row in rows if isinstance(row, Pair)]
    supervised = [row for row in rows if isinstance(row, SFTRow)]
    dataset = preference_dataset(pairs, root) if pairs else sft_dataset(supervised, root)
    dataset = dataset.add_column(
        "image_paths", [list(row.images) for row in rows], feature=List(Value("string"))
    )
    for name in ("chosen_source", "rejected_source") if pairs else ("completion_source",):
        dataset = dataset.add_column(name, [getattr(row, name) for row in rows], feature=Value("string"))

    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        shard = "data-00000-of-00001.arrow"
        writer = ArrowWriter(features=dataset.features, path=str(new / shard), embed_local_files=False)
        for table in dataset.with_format("arrow").iter(1000):
            writer.write_table(table)
        writer.finalize()
        writer.close()
        state = {
            "_data_files": [{"filename": shard}],
            "_fingerprint": dataset._fingerprint,
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        write_json(new / "state.json", state)
        write_json(new / "dataset_info.json", asdict(dataset.info))
        new.chmod(0o755)
        _replace_folder(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder


def to_llama_factory(rows: Rows, folder: Path, name: str) -> Path:
    """`<name>.json` in LLaMA-Factory's ShareGPT form, and the `dataset_info.json` that describes it.

    Train with `dataset_dir: <folder>`, `dataset: <name>`, `media_dir: <root of the images>`. The form is
    described at https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md: `ranking` data has the
    question in `conversations` and a turn in each of `chosen` and `rejected`; `<image>` stands in the text
    for each entry of `images`.
    """
    _refuse_placeholders(rows, "LLaMA-Factory")
    ranking = bool(rows) and isinstance(rows[0], Pair)
    columns = {"messages": "conversations", "images": "images"}
    entry: dict[str, Any] = {"file_name": f"{name}.json", "formatting": "sharegpt", "columns": columns}
    if ranking:
        entry |= {"ranking": True, "columns": columns | {"chosen": "chosen", "rejected": "rejected"}}
    with atomic_write(folder / f"{name}.json") as stream:
        # One row a line, so that a large file can be looked at.
        lines = (json.dumps(_sharegpt(row), ensure_ascii=False) for row in rows)
        stream.write("[\n" + ",\n".join(lines) + "\n]\n")
    write_json(folder / "dataset_info.json", {name: entry})
    return folder


def to_ms_swift(rows: Rows, path: Path, root: str | Path) -> Path:
    """ms-swift's standard form: `messages`, `images`, and `rejected_response` for a pair.

    Train with `--dataset <path>`. The form is described at
    https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html, which advises absolute paths for
    images: they are, and have to be made anew when the images move.
    """
    _refuse_placeholders(rows, "ms-swift")
    problems = [
        Problem(
            file=str(root), field="images", row_id=row.question_id, message=f"image {image!r} is not there"
        )
        for row in rows
        for image in row.images
        if not resolve_image(image, root).is_file()
    ]
    if problems:
        raise DataError(problems)
    with atomic_write(path) as stream:
        for row in rows:
            line = {
                "messages": [
                    {"role": "user", "content": _with_placeholders(row)},
                    {"role": "assistant", "content": row.chosen if isinstance(row, Pair) else row.completion},
                ],
                "images": [str(resolve_image(image, root)) for image in row.images],
            }
            if isinstance(row, Pair):
                line["rejected_response"] = row.rejected
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def _sharegpt(row: Pair | SFTRow) -> dict[str, Any]:
    turns = [{"from": "human", "value": _with_placeholders(row)}]
    images = list(row.images)
    if isinstance(row, SFTRow):
        return {"conversations": [*turns, {"from": "gpt", "value": row.completion}], "images": images}
    return {
        "conversations": turns,
        "chosen": {"from": "gpt", "value": row.chosen},
        "rejected": {"from": "gpt", "value": row.rejected},
        "images": images,
    }


def _with_placeholders(row: Pair | SFTRow) -> str:
    return "<image>" * len(row.images) + row.prompt


def _refuse_placeholders(rows: Rows, trainer: str) -> None:
    problems = [
        Problem(
            file="rows",
            field=name,
            row_id=row.question_id,
            message=f"the text holds {mark}, where {trainer} would put media: reword it, or don't export",
        )
        for row in rows
        for name in (("prompt", "chosen", "rejected") if isinstance(row, Pair) else ("prompt", "completion"))
        for mark in _PLACEHOLDERS
        if mark in getattr(row, name)
    ]
    if problems:
        raise DataError(problems)


def _replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of an old one; a kill in between leaves the old one under `.old`."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
