"""What the documentation's pages hold: links and headings, blocks of code with their marks, commands.

A block of commands is run by `test_commands.py`, unless an HTML comment before it says what else:

    <!-- not run: needs a GPU -->                            the reason begins with one of `REASONS`
    <!-- not run "judge=paper": needs a key -->              only the commands that hold the quoted text
    <!-- run by tests/test_photo_sample.py -->               another test file runs these programs
    <!-- file: my_losses.py -->                              the block is a file, which the next commands find
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
REASONS = (
    "needs a GPU",
    "needs a key",
    "needs a download",
    "needs a server",  # one of the user's own
    "needs another machine",
    "needs other software",
    "needs people",
    "takes minutes",
    "takes hours",
    "a form",  # the names in it stand for the user's own
)
SHELLS = ("sh", "bash", "shell", "console")
_MARK = re.compile(r"<!--\s*(not run|run by|file)\s*(?:\"(.*?)\")?:?\s*(.*?)\s*-->", re.DOTALL)


def all_pages() -> list[Path]:
    """Everything that users read, in the order in which they would."""
    first = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
    docs = [p for p in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in p.parts]
    others = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"]
    others += [*sorted((ROOT / "samples").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    return list(dict.fromkeys([*first, *docs, *others]))


@cache
def tokens_of(page: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")))


# --- Links ------------------------------------------------------------------------------------------------


def links_of(page: Path) -> list[str]:
    """Targets of links and images."""
    found = []
    for token in _inline(page):
        for name in ("href", "src"):
            if name in token.attrs:
                found.append(str(token.attrs[name]))
    return found


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    tokens, seen, found = tokens_of(page), Counter[str](), set()
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            shown = [c for c in tokens[at + 1].children or () if c.type in ("text", "code_inline")]
            words = "".join(child.content for child in shown)
            slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return frozenset(found)


def _inline(page: Path) -> Iterator[Token]:
    for token in tokens_of(page):
        yield from token.children or ()


# --- Blocks and commands ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """`kind` is "not run", "run by" or "file"; `only` the text that a command must hold for it."""

    kind: str
    only: str | None
    text: str


@dataclass(frozen=True)
class Block:
    """A fenced block of code. `line` is that of its first line in the page."""

    page: Path
    line: int
    language: str
    text: str
    marks: tuple[Mark, ...]

    @property
    def file(self) -> str | None:
        """The name of the file that the block is."""
        return next((mark.text for mark in self.marks if mark.kind == "file"), None)


@dataclass(frozen=True)
class Command:
    """A line of a shell block, without its comment, its continuation lines joined."""

    page: Path
    line: int
    text: str
    mark: Mark | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def blocks_of(page: Path) -> list[Block]:
    """The page's fenced blocks, each with the marks that stand directly before it."""
    found, marks = [], []
    for token in tokens_of(page):
        if token.type == "html_block":
            marks += [Mark(*match.groups()) for match in _MARK.finditer(token.content)]
        elif token.type == "fence":
            line = (token.map or [0, 0])[0] + 2
            language = token.info.strip().partition(" ")[0]
            found.append(Block(page, line, language, token.content, tuple(marks)))
            marks = []
        elif marks and token.type not in ("list_item_open", "bullet_list_open"):
            raise ValueError(f"{page}: {marks[0]} does not stand before a block of code")
    return found


def commands_of(block: Block) -> list[Command]:
    """The commands of a shell block, each with the mark that is its."""
    if block.language not in SHELLS or block.file:
        return []
    found, lines, start = [], [], block.line
    for number, line in enumerate(block.text.splitlines(), block.line):
        start = start if lines else number
        lines.append(line)
        if line.endswith("\\"):
            continue
        text = without_comment("\n".join(lines).replace("\\\n", " "))
        if text:
            found.append(Command(block.page, start, re.sub(r"\s+", " ", text), _mark_of(text, block.marks)))
        lines = []
    return found


def without_comment(text: str) -> str:
    """A shell line up to its comment."""
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and (at == 0 or text[at - 1].isspace()):
            return text[:at].strip()
    return text.strip()


def _mark_of(text: str, marks: tuple[Mark, ...]) -> Mark | None:
    """Of the marks that fit, the one that says most exactly which commands it is for."""
    fitting = [mark for mark in marks if mark.only is None or mark.only in text]
    return max(fitting, key=lambda mark: len(mark.only or ""), default=None)


def inline_commands(page: Path) -> list[str]:
    """Commands that stand in a sentence as `code`."""
    starts = ("python ", "accelerate launch ", "mohoalign ", "make ")
    return [t.content for t in _inline(page) if t.type == "code_inline" and t.content.startswith(starts)]


def simple_commands(text: str) -> list[list[str]]:
    """The words of each command of a shell line: what `&&`, `||`, `;`, `|` and `&` stand between."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    reader.whitespace_split = True
    reader.commenters = ""
    commands: list[list[str]] = [[]]
    for word in reader:
        if set(word) <= set(";&|"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]
