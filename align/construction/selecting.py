"""Stages that ask no one: length, near-duplicates, and images that cover all categories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from align.construction.drafts import Rules, faults_of
from align.construction.yields import Dropped, drop
from align.data.mix import shuffled
from align.data.near_copies import near_copies, shingles, similarity
from align.records import Category, Question

Kept = tuple[list[Question], list[Dropped]]

_STOP = frozenset(
    (
        *("a", "an", "the", "this", "that", "these", "those", "it", "its", "his", "her", "their", "there"),
        *("is", "are", "was", "were", "be", "been", "do", "does", "did", "has", "have", "had"),
        *("of", "in", "on", "at", "to", "for", "with", "by", "from", "and", "or"),
        *("what", "which", "who", "whom", "whose", "when", "where", "why", "how"),
        *("will", "would", "can", "could", "should"),
    )
)


def length_stage(questions: Sequence[Question], rules: Rules) -> Kept:
    """Keep questions of 5 to 45 words, by `rules`, that end as one."""
    kept: list[Question] = []
    dropped: list[Dropped] = []
    for question in questions:
        fault = next(faults_of(question.question, rules), None)
        if fault is None:
            kept.append(question)
        else:
            dropped.append(drop("length", question, fault.code, str(fault)))
    return kept, dropped


def duplicates_stage(
    questions: Sequence[Question], *, same_image: float = 0.6, other_image: float = 0.5, seed: int = 0
) -> Kept:
    """Of questions that nearly repeat each other keep one.

    About one image, two questions of the same answerability are duplicates when the Jaccard similarity of
    their content words is at least `same_image`. Over different images, two unanswerable ones are when that
    of their three-word shingles is at least `other_image`: the same question about many images is a template.
    An answerable question may be asked of many images ("What color is the cup?"), with another answer each
    time.

    What is kept is what more models attempted; else what has a twin; else by a seeded draw, so that no
    generator is preferred.
    """
    for name, value in (("same_image", same_image), ("other_image", other_image)):
        if not 0 < value <= 1:
            raise ValueError(
                f"duplicates.{name} is a similarity and must be above 0 and at most 1, not {value}"
            )
    ranked = sorted(questions, key=lambda q: rank(q, seed))
    by_id = {question.id: question for question in ranked}
    copies: dict[str, tuple[str, str, float]] = {}
    groups = _by_image(ranked)
    for (_, answerable), group in groups.items():
        if not answerable:
            copies |= _alike_in(group, same_image)
    left = {q.id: q.question for q in ranked if not q.answerable and q.id not in copies}
    copies |= {
        id: ("alike, other image", other, alike)
        for id, (other, alike) in near_copies(left, other_image).items()
    }
    for (_, answerable), group in groups.items():
        if answerable:
            # A twin goes with its question. It must not push out the twin of the question that stays.
            copies |= _alike_in([q for q in group if q.twin not in copies], same_image)
    dropped = []
    for question in questions:
        if question.id in copies:
            reason, id, alike = copies[question.id]
            why = f"{alike:.0%} alike with {id} about {by_id[id].image}: {by_id[id].question!r}"
            dropped.append(drop("duplicates", question, reason, why))
    return [question for question in questions if question.id not in copies], dropped


def coverage_stage(
    questions: Sequence[Question],
    categories: Sequence[Category],
    *,
    most: int | None = None,
    undecided: Mapping[str, Collection[Category]] | None = None,
    seed: int = 0,
) -> Kept:
    """Keep images that have questions of all the categories, and at most so many of a category.

    Args:
        categories: those that an image must have. One that lacks any goes with all its questions.
        most: questions of one category about one image; the hardest are kept. None: all.
        undecided: for an image, the categories of questions that an earlier stage could not decide: an image
            that lacks only such categories is undecided itself.
    """
    if most is not None and most < 1:
        raise ValueError(f"coverage.most must be 1 or more, or null, not {most}")
    there: dict[str, set[Category]] = defaultdict(set)
    for question in questions:
        there[question.image].add(question.category)
    kept: list[Question] = []
    dropped: list[Dropped] = []
    over = _over(questions, most, seed)
    for question in questions:
        missing = [category for category in categories if category not in there[question.image]]
        if missing:
            open_ones = set((undecided or {}).get(question.image, ()))
            dropped.append(
                drop(
                    "coverage",
                    question,
                    "image lacks a category",
                    f"{question.image} has no question of {', '.join(missing)}",
                    undecided=open_ones.issuperset(missing),
                )
            )
        elif question.id in over:
            dropped.append(
                drop("coverage", question, "enough of its category", f"{question.image} has {most} others")
            )
        else:
            kept.append(question)
    return kept, dropped


def rank(question: Question, seed: int) -> tuple[int, bool, str]:
    """A sort key: what more models attempted first, then what has a twin, then a seeded order."""
    attempted = int((question.metadata.get("hard") or {}).get("attempted", 0))
    return -attempted, question.twin is None, shuffled(seed, question.id)


def content_words(text: str) -> frozenset[str]:
    """A question's words but those that any question has; all of them where nothing else is left."""
    words = shingles(text, 1)
    return words - _STOP or words


def _by_image(questions: Sequence[Question]) -> Mapping[tuple[str, bool], list[Question]]:
    groups: dict[tuple[str, bool], list[Question]] = defaultdict(list)
    for question in questions:
        groups[question.image, question.answerable].append(question)
    return groups


def _alike_in(group: Sequence[Question], threshold: float) -> dict[str, tuple[str, str, float]]:
    """The questions that repeat an earlier one: by id why, the earlier one, and how similar they are."""
    kept: list[tuple[str, frozenset[str]]] = []
    copies: dict[str, tuple[str, str, float]] = {}
    for question in group:
        words = content_words(question.question)
        found = next(
            ((id, alike) for id, theirs in kept if (alike := similarity(words, theirs)) >= threshold), None
        )
        if found is None:
            kept.append((question.id, words))
        else:
            copies[question.id] = ("alike, same image", *found)
    return copies


def _over(questions: Sequence[Question], most: int | None, seed: int) -> set[str]:
    """Ids of the questions beyond `most` of a category about an image. Twins follow their questions."""
    if most is None:
        return set()
    taken: Counter[tuple[str, Category]] = Counter()
    over = set()
    for question in sorted((q for q in questions if not q.answerable), key=lambda q: rank(q, seed)):
        taken[question.image, question.category] += 1
        if taken[question.image, question.category] > most:
            over.add(question.id)
    return over
