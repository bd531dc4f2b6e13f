"""Which images of a folder questions are written about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from align.data.images import MAX_PIXELS, ImageFacts, inspect_images, resolve_image
from align.data.near_duplicates import Fingerprint, groups_of, near_duplicates
from align.data.split import split_questions
from align.records import DataError, Problem, Question

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


@dataclass
class Pictures:
    """`images` are relative to the folder. `copies` gives, for each that is left out, the one it repeats."""

    images: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)
    other_files: int = 0


def find_pictures(
    folder: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    skip_copies: bool = True,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """All whole images under a folder, by their path.

    Files without an image's suffix are counted and not opened; a broken image is a problem.

    Args:
        skip_copies: of pictures that are the same to the eye only the first is taken.
        limit: take only the first so many.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"images={folder} is not a folder")
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not _hidden(path, root)]
    names = [path.relative_to(root).as_posix() for path in files if path.suffix.lower() in SUFFIXES]
    if not names:
        raise ValueError(
            f"images={folder}: no file with one of the suffixes {', '.join(sorted(SUFFIXES))} in it"
        )
    found = Pictures(other_files=len(files) - len(names))
    facts = inspect_images(
        names,
        root,
        max_pixels=max_pixels,
        follow_links=follow_links,
        fingerprints=skip_copies,
        progress=progress,
    )
    whole: dict[str, ImageFacts] = {}
    for name in names:
        fact = facts[name]
        if isinstance(fact, ImageFacts):
            whole[name] = fact
        else:
            found.problems.append(Problem(file=str(root / name), field="image", message=fact))
    if skip_copies:
        found.copies = _copies(whole)
    found.images = [name for name in whole if name not in found.copies][:limit]
    return found


def require_images(questions: Sequence[Question], root: str | Path) -> None:
    """Check that the image of every question is in `root`. Raises `DataError` with those that are not."""
    problems = [
        Problem(file=str(root), field="image", message=f"image {image!r} is not there: is images= right?")
        for image in sorted({question.image for question in questions})
        if not resolve_image(image, root).is_file()
    ]
    if problems:
        raise DataError(problems)


def split_by_image(
    questions: Sequence[Question], root: str | Path, fractions: Mapping[str, float], *, seed: int = 0
) -> list[Question]:
    """Give every question a split, so that no picture, nor one that is the same to the eye, is in two.

    Raises:
        DataError: an image is not there, or is broken.
        ValueError: fractions that do not sum to 1, or too few images for them.
    """
    facts = inspect_images(
        {question.image for question in questions}, root, follow_links=True, fingerprints=True
    )
    whole = {name: fact for name, fact in facts.items() if isinstance(fact, ImageFacts)}
    problems = [
        Problem(file=str(Path(root) / name), field="image", message=fact)
        for name, fact in facts.items()
        if isinstance(fact, str)
    ]
    if problems:
        raise DataError(problems)
    marks = {name: fact.fingerprint for name, fact in whole.items() if fact.fingerprint is not None}
    return split_questions(
        questions,
        fractions,
        seed=seed,
        digests={name: fact.digest for name, fact in whole.items()},
        together=groups_of(near_duplicates(marks)),
    )


def _copies(whole: dict[str, ImageFacts]) -> dict[str, str]:
    marks: dict[str, Fingerprint] = {
        name: f.fingerprint for name, f in whole.items() if f.fingerprint is not None
    }
    pairs = [(near.first, near.second) for near in near_duplicates(marks)]
    first: dict[str, str] = {}
    for name, fact in whole.items():
        if first.setdefault(fact.digest, name) != name:
            pairs.append((first[fact.digest], name))
    return {name: group[0] for group in groups_of(pairs) for name in group[1:]}


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
