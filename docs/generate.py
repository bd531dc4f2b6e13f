"""Write docs/configuration.md from configs/: every program's settings, and every group's choices.

    python docs/generate.py             after a change of a configuration
    python docs/generate.py --check     status 1 if the page is not what the configurations say

The descriptions are the comments that stand in the configurations, beside or above a setting.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from align.cli.programs import GROUPS, Program, all_programs

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
PAGE = ROOT / "docs" / "configuration.md"
ACCELERATE = ("accelerate", "deepspeed")  # read by accelerate, not by Hydra
LISTED = ("experiment",)  # whose choices set what other groups explain

INTRO = """# Configuration

Every program's settings, their defaults, and what they mean. Written by `python docs/generate.py` from the
comments in `configs/`; do not edit it by hand.

- `name=value` sets a setting, `group=choice` takes another file of a group, `+name=value` adds what a group
  leaves open (any argument of `TrainingArguments` under `trainer`, of `LoraConfig` under `lora`), `~name`
  takes something out.
- `null` is nothing, `???` must be given. `${...}` stands for another setting.
- `--help` shows the same for one program, `--cfg job` what a command would run with.
- `--config-dir FOLDER` adds configurations of your own to the groups.
"""


@dataclass(frozen=True)
class Setting:
    """A setting of a file: its path with dots, its default as written, the comment that stands with it."""

    path: str
    default: str
    text: str


def main() -> None:
    page = render()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} is not what configs/ says: run python docs/generate.py")


def render() -> str:
    """The whole page."""
    parts = [INTRO]
    for folder, title in GROUPS.items():
        parts.append(f"\n## Programs that {title}\n")
        parts += [program_section(program) for program in all_programs() if program.group == folder]
    parts.append("\n## Groups\n")
    for group in sorted(path for path in CONFIGS.iterdir() if path.is_dir() and path.name not in ACCELERATE):
        parts.append(group_section(group))
    parts.append("\n## For accelerate\n`accelerate launch --config_file configs/accelerate/NAME.yaml`.\n")
    rows = [(file.stem, first_comment(file)) for file in sorted((CONFIGS / "accelerate").glob("*.yaml"))]
    parts.append(table(("file", "for"), [(f"`{name}`", text) for name, text in rows]))
    return "".join(parts)


def program_section(program: Program) -> str:
    name = program.config_name()
    if name is None:
        return ""
    file = CONFIGS / f"{name}.yaml"
    groups = defaults_of(file)
    said = f"\n### {program.name}\n{program.summary()}\n"
    if groups:
        rows = [
            (f"`{group}`", f"`{default}`", f"[{group_of(group)}](#{slug(group_of(group))})")
            for group, default in groups
        ]
        said += "\n" + table(("group", "default", "choices"), rows)
    return said + "\n" + settings_table(settings_of(file))


def group_section(group: Path) -> str:
    said = f"\n### {group.name}\n"
    files = sorted(group.rglob("*.yaml"))
    choices = {file: f"{group.name}={file.relative_to(group).with_suffix('').as_posix()}" for file in files}
    alike = _alike([settings_of(file) for file in files])
    if alike or group.name in LISTED:
        rows = [(f"`{choice}`", first_comment(file)) for file, choice in choices.items()]
        said += "\n" + table(("choice", ""), rows)
        return said + ("\n" + _side_by_side(group.name, files) if alike else "")
    for file, choice in choices.items():
        said += f"\n**`{choice}`** {first_comment(file)}\n"
        found = settings_of(file)
        if file.read_text(encoding="utf-8").startswith("# @package task."):
            found = [Setting(f"task.{file.stem}.{s.path}", s.default, s.text) for s in found]
        elif not file.read_text(encoding="utf-8").startswith("# @package _global_"):
            found = [Setting(f"{group.name}.{s.path}", s.default, s.text) for s in found]
        said += "\n" + settings_table(found)
    return said


def _alike(choices: list[list[Setting]]) -> bool:
    """Whether the choices of a group have mostly the same settings."""
    names = [{setting.path for setting in settings} for settings in choices]
    common, every = set.intersection(*names), set.union(*names)
    return 1 < len(choices) <= 4 and 2 * len(common) > len(every)


def _side_by_side(group: str, files: list[Path]) -> str:
    """One table of the settings of several choices, with the default of each."""
    columns = {file.stem: {s.path: s for s in settings_of(file)} for file in files}
    rows = []
    for path in dict.fromkeys(path for column in columns.values() for path in column):
        here = [column.get(path) for column in columns.values()]
        texts = dict.fromkeys(setting.text for setting in here if setting and setting.text)
        defaults = [f"`{setting.default}`" if setting else "" for setting in here]
        rows.append((f"`{group}.{path}`", *defaults, " / ".join(texts)))
    return table(("setting", *(f"`{name}`" for name in columns), ""), rows)


def settings_table(settings: list[Setting]) -> str:
    return table(("setting", "default", ""), [(f"`{s.path}`", f"`{s.default}`", s.text) for s in settings])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """A table's cell: no bar ends it, and what looks like HTML outside of code is shown."""
    code_or_not = re.split(r"(`[^`]*`)", text.replace("|", "\\|"))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in code_or_not)


def defaults_of(file: Path) -> list[tuple[str, str]]:
    """The groups of a configuration, with the choice that it takes of each."""
    found = []
    for entry in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("defaults", []):
        if isinstance(entry, dict):
            [(name, choice)] = entry.items()
            if not name.startswith("override "):
                shown = (
                    f"[{', '.join(choice)}]" if isinstance(choice, list) else str(choice or "null").lower()
                )
                found.append((name.removeprefix("optional ").lstrip("/"), shown))
    return found


def group_of(name: str) -> str:
    """The folder of a group: `endpoint@judge.endpoint` is of `endpoint`."""
    return name.partition("@")[0]


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def settings_of(file: Path) -> list[Setting]:
    """The settings of a configuration in their order, without Hydra's own."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text)
    return [] if root is None else list(_settings(root, lines, ""))


def _settings(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Setting]:
    for key, value in node.value:
        name = str(key.value)
        if not prefix and name in ("defaults", "hydra"):
            continue
        line = key.start_mark.line
        path = f"{prefix}{name}"
        comment = _comment_of(lines, line)
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            inner = list(_settings(value, lines, f"{path}."))
            if len(inner) > 20:  # data rather than settings
                yield Setting(path, ", ".join(str(key.value) for key, _ in value.value), comment)
                continue
            if comment:
                yield Setting(path, "", comment)
            yield from inner
        else:
            yield Setting(path, _written(lines, value), comment)


def _written(lines: list[str], value: yaml.Node) -> str:
    """The default as it stands in the file; of a list of several lines, its items."""
    start, end = value.start_mark, value.end_mark
    if isinstance(value, yaml.SequenceNode) and not value.flow_style:
        return f"({len(value.value)} items)"
    if start.line == end.line:
        return lines[start.line][start.column : end.column].strip()
    parts = [
        lines[start.line][start.column :],
        *lines[start.line + 1 : end.line],
        lines[end.line][: end.column],
    ]
    return " ".join(part.strip() for part in parts).strip()


def _comment_of(lines: list[str], line: int) -> str:
    """The comment beside a setting, or else the lines of comment directly above it."""
    beside = re.search(r"(?:^|\s)#\s+(.*)$", _outside_quotes(lines[line]))
    if beside:
        return lines[line][beside.start(1) :].strip()
    above: list[str] = []
    for earlier in reversed(lines[:line]):
        stripped = earlier.strip()
        if not stripped.startswith("# ") or stripped.startswith("# @package"):
            break
        above.insert(0, stripped.removeprefix("# "))
    # A comment at the top of a file is the file's.
    return "" if len(above) == line or not above else " ".join(above)


def _outside_quotes(line: str) -> str:
    """The line with what is in quotes masked, each character in its place."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", lambda match: "x" * len(match[0]), line) if "#" in line else line


def first_comment(file: Path) -> str:
    """The comment at the top of a file."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        if not line.startswith(("# accelerate launch", "#     ")):
            found.append(line.lstrip("# ").strip())
    return " ".join(found)


if __name__ == "__main__":
    main()
