"""The pairs that one question can give: its chosen side, and each rejected side that the policy allows."""

from __future__ import annotations

import random
from dataclasses import dataclass

from align.data.chosen import Chosen, ChosenSides
from align.data.compose import refusal_for
from align.data.mix import Mix, rng_for
from align.data.policies import COMPOSED_DRAWS, Policy, at_random, gap, nearest
from align.data.responses import Said, SortedResponses
from align.records import Category, Pair, PairKind, Question

NO_WEIGHT = "its category has the weight 0"
SAME = "the rejected side says what the chosen side says"


@dataclass(frozen=True)
class Candidate:
    """A pair that could be taken, with the ledger's keys of the rows that it was made from."""

    pair: Pair
    response: str | None = None
    answer: str | None = None
    retain: str | None = None

    @property
    def question_id(self) -> str:
        return self.pair.question_id

    @property
    def kind(self) -> PairKind:
        return self.pair.kind

    @property
    def category(self) -> Category | None:
        return self.pair.category

    @property
    def chosen(self) -> str:
        return self.pair.chosen

    @property
    def rejected(self) -> str:
        return self.pair.rejected


class CandidateMaker:
    """Makes the candidates of one question after another.

    `said_the_same` gathers the ledger's keys of responses that say what the chosen side says.
    """

    def __init__(
        self, said: SortedResponses, sides: ChosenSides, policy: Policy, mix: Mix, seed: int
    ) -> None:
        self.said, self.sides, self.policy, self.mix, self.seed = said, sides, policy, mix, seed
        self.said_the_same: set[str] = set()

    def candidates(self, question: Question, twin: Question | None) -> tuple[list[Candidate], str | None]:
        """The pairs that the question can give, or why it gives none."""
        kind = "answer" if question.answerable else "refuse"
        if not self.mix.ratio.get(kind):
            return [], f"the ratio wants no {kind} rows"
        if question.answerable:
            made = self._answer(question, twin)
            return made, None if made else SAME
        if not self.mix.categories.get(question.category):
            return [], NO_WEIGHT
        if self.sides.missing(question):
            return [], "no honest answer in answers"
        if not self.said.inventions.of(question.id):
            return [], self._why_nothing_to_reject(question)
        made = self._refuse(question)
        return made, None if made else SAME

    def _why_nothing_to_reject(self, question: Question) -> str:
        if question.id not in self.said.seen:
            return "no response"
        if question.id in self.said.declined:
            return "the model refuses it already"
        if question.id in self.said.dishonest:
            return f"no dishonest response of a model that rejected={self.policy.rejected} takes"
        return "every response failed, was empty or undecided"

    def _refuse(self, question: Question) -> list[Candidate]:
        rng = rng_for(self.seed, "refuse", question.id)
        own, other = self.said.inventions.sides(question.id)
        limit = self.mix.per_question
        chosen: list[Chosen]
        if self.policy.length == "any":
            rejected = at_random(own, other, limit, rng)
            chosen = [self.sides.write(question, rng, index) for index in range(len(rejected))]
        else:
            chosen, rejected = [], []
            for index in range(min(limit, len(own) + len(other))):
                chosen.append(self.sides.write(question, rng, index))
                used = {said.text for said in rejected}
                # By turns, as at random: own, other, own, ...; when one is used up, the rest of the other.
                turn = (own, other) if index % 2 == 0 else (other, own)
                free = next(left for side in turn if (left := [s for s in side if s.text not in used]))
                rejected.append(nearest(free, lambda said: said.text, chosen[-1].text, question.id))
        made = zip(chosen, rejected, strict=True)
        return [c for good, bad in made if (c := self._candidate(question, good, bad)) is not None]

    def _answer(self, question: Question, twin: Question | None) -> list[Candidate]:
        rng = rng_for(self.seed, "answer", question.id)
        good = self.sides.write(question, rng)
        # The model's own refusals first: what it really says is what should become less likely.
        refusals = list(self.said.refusals.of(question.id))
        if self.policy.length == "closest":
            own_words = {said.text: gap(said.text, good.text) for said in refusals}
            refusals.sort(key=lambda said: own_words[said.text])
        while len(refusals) < self.mix.per_question:
            refusals.append(self._composed(question, twin, good, rng))
        wrong = self.said.wrong.of(question.id)
        made: dict[str, Candidate] = {}
        for index in range(self.mix.per_question):
            use_wrong = bool(wrong) and rng.random() < self.policy.own_wrong
            bad = rng.choice(wrong) if use_wrong else refusals[index]
            several = self.sides.available(question) > 1
            candidate = self._candidate(
                question, self.sides.write(question, rng, index) if several else good, bad
            )
            if candidate is not None:
                made.setdefault(bad.text, candidate)
        return list(made.values())

    def _composed(self, question: Question, twin: Question | None, good: Chosen, rng: random.Random) -> Said:
        draws = COMPOSED_DRAWS if self.policy.length == "closest" else 1
        texts = [Said(*refusal_for(question, rng, like=twin)) for _ in range(draws)]
        return nearest(texts, lambda said: said.text, good.text, question.id)

    def _candidate(self, question: Question, good: Chosen, bad: Said) -> Candidate | None:
        """The pair, or None when both sides say the same: then there is nothing to prefer."""
        if good.text.strip() == bad.text.strip():
            if bad.key is not None:
                self.said_the_same.add(bad.key)
            return None
        pair = Pair(
            question_id=question.id,
            prompt=question.question,
            chosen=good.text,
            rejected=bad.text,
            images=(question.image,),
            kind="answer" if question.answerable else "refuse",
            category=question.category,
            chosen_source=good.source,
            rejected_source=bad.source,
        )
        return Candidate(pair, response=bad.key, answer=good.key)
