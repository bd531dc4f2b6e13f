"""What a response says: its claims about the image and its words of declining. The scene is not looked at."""

from __future__ import annotations

from dataclasses import replace

from align.miniworld import grader_cues as cues
from align.miniworld.grader_mentions import NOWHERE, Mention, Place, find_mentions, is_relation, place_in
from align.miniworld.grader_statements import Claim, Reading, merge
from align.miniworld.grader_text import (
    COLOR_WORDS,
    PLACE_WORDS,
    SIZE_WORDS,
    Chunk,
    canonical,
    chunks,
    number_of,
    words,
)
from align.miniworld.questions import Query
from align.miniworld.scenes import BACKGROUNDS

_VERBS = words(
    "is are was were be see sees seen show shows shown has have had contains contain include includes "
    "do does did can could look looks appear appears seem seems mean guess say think know count find "
    "match matches will would may might made drew drawn feel feels means stands costs owns belongs lies "
    "sits stays need depends asks lacks "
)
_NEGATIONS = words("not no never neither nor without lacks lack none nothing cannot")
_RESETS = words("only just instead rather")
_FRESH = words("only just instead rather maybe perhaps probably possibly likely")
_PRONOUNS = words("it they this that its")
_SHOWING = words("shows show showing see sees contains has depicts")
_SEEING = _SHOWING | words("there no not only without none nothing visible contain present")
_NOTHING = frozenset(
    (
        "nothing",
        "none",
        "zero",
        "i see nothing",
        "there is nothing",
        "there is nothing there",
        "nothing at all",
    )
)
_COPULAS = words("is are was were be looks seems appears")


class Reader:
    """Reads one response. Holds what carries over from one chunk to the next."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.target = Mention(shape=query.target.shape, color=query.target.color, definite=True)
        self.reading = Reading()
        self.last_shape = query.target.shape
        self.antecedent: Mention | None = None
        self.subject: Mention | None = None
        self.mode = ""  # of the chunk before: "", "unable", "negative", "open"
        self.conditional_sentence = -1

    def read(self, text: str) -> Reading:
        for chunk in chunks(canonical(text)):
            self._chunk(chunk)
        return self.reading

    def _chunk(self, chunk: Chunk) -> None:
        reading, text, tokens = self.reading, chunk.text, chunk.tokens
        # `Yes, it is.` answers; in a longer sentence such words stand for nothing by themselves.
        if cues.YES.match(text) or cues.NO.match(text):
            reading.yes.add(bool(cues.YES.match(text)) and not cues.NO.match(text))
            self.mode = ""
            return
        if cues.APOLOGY.match(text):
            self.mode = ""
            return
        inherits = chunk.sep in (",", "or") and not _VERBS & set(tokens) and not _FRESH & set(tokens)
        mentions = find_mentions(tokens, self.last_shape)
        unable = bool(cues.INABILITY.search(text)) or (inherits and self.mode == "unable")
        asking = (chunk.question and bool(cues.ASKING.match(text))) or (inherits and self.mode == "open")
        context, opinion = bool(cues.CONTEXT.search(text)), bool(cues.OPINION.search(text))
        if self.query.kind in ("context", "opinion"):
            context |= bool(cues.SHOWS_ONLY.search(text))
        if context and cues.REFERENT_GONE.search(text) and self._gone(chunk, mentions):
            context = False
        reading.context |= context
        reading.opinion |= opinion
        reading.which |= bool(cues.WHICH.search(text))
        if unable:
            reading.inability = True
            reading.weak_context |= bool(cues.WEAK_CONTEXT.search(text))
        if cues.CONDITIONAL.match(text) and not cues.GUESS_CONDITIONAL.search(text):
            reading.conditional = True
            self.conditional_sentence = chunk.sentence
            asking = True
        elif self.conditional_sentence == chunk.sentence and chunk.sep == ",":
            asking = True
        for mention in mentions:
            if mention.shape is not None and not mention.partial:
                self.last_shape = mention.shape
        negative_start = inherits and self.mode == "negative"
        if unable or asking:
            self.mode = "unable" if unable else "open"
            # `I can't tell which of the two circles you mean` claims nothing but their number
            for mention in mentions:
                if mention.definite and mention.number not in (None, 0, 1):
                    self._claim(mention, mention, positive=True)
            return
        reading.statements.append(chunk)
        if cues.NOT_A_CLAIM.search(text) and self.query.kind not in ("context", "opinion"):
            if mentions and cues.REFERENT_GONE.search(text):
                self._claim(mentions[-1], mentions[-1], positive=False)
            self.mode = ""
            return
        if gone := self._gone(chunk, mentions):
            self._claim(gone, gone, positive=False)
            self.mode = ""
            return
        # only what is said to be seen is a claim here: `it was blue before` is not about the image
        if (
            self.query.kind in ("context", "opinion")
            and not (context or opinion)
            and not _SEEING & set(tokens)
        ):
            self.mode = ""
            return
        if context or opinion:
            # `the image only shows a red star` declines and claims at once
            for mention in mentions:
                verb = tokens[: mention.start][-2:]
                if not mention.definite and _SHOWING & set(verb) and "not" not in tokens[: mention.start]:
                    self._listed(tokens, mentions[mentions.index(mention) :])
                    break
            self.mode = ""
            return
        self.mode = "negative" if self._negative_before(tokens, len(tokens), negative_start) else ""
        self._claims(chunk, mentions, negative_start, inherits)

    def _claims(self, chunk: Chunk, mentions: list[Mention], negative_start: bool, inherits: bool) -> None:
        """Collect the claims of an assertive chunk."""
        reading, tokens, text = self.reading, chunk.tokens, chunk.text
        hedged = "or" in tokens and not _NEGATIONS & set(tokens) and chunk.sep != "nor"
        reading.only |= bool(cues.ONLY.search(text))
        generic = cues.NONE_OF_IT.search(text)
        if generic and (
            generic.group().split()[0] in ("there", "no")
            or {"no", "none", "nothing"} & set(generic.group().split())
            or self._negative_before(tokens, len(tokens), negative_start)
        ):
            reading.denies_referent = True
            return
        if not mentions and cues.REFERENT_GONE.search(text):
            reading.denies_referent = True
            return
        spoken = self._backgrounds(tokens, negative_start, mentions)
        if self._relations(tokens, mentions, negative_start):
            return
        taken = {i for m in mentions for i in range(m.start, max(m.end, m.reach))} | spoken
        self._mentions(tokens, mentions, negative_start, hedged)
        self._values(chunk, mentions, taken, negative_start, inherits, hedged)
        self._bare_numbers(tokens, taken)
        if text in _NOTHING:
            reading.denies_referent = True

    def _gone(self, chunk: Chunk, mentions: list[Mention]) -> Mention | None:
        """What is said not to be there: `the star is not shown`, but not `who drew the star is not shown`."""
        match = cues.REFERENT_GONE.search(chunk.text)
        if match is None:
            return None
        head = len(chunk.text[: match.start()].split())
        for mention in mentions:
            if mention.end == head and (
                mention.start == 0 or chunk.tokens[mention.start - 1] in ("that", "and", "also")
            ):
                return mention
        return None

    def _listed(self, tokens: list[str], mentions: list[Mention]) -> None:
        """The noun phrases of `shows a red star, a ring and ...` up to the next negation."""
        for mention in mentions:
            if not self._negative_before(tokens, mention.end - 1, False):
                self._claim(mention, mention, positive=True)
                self._remember(mention)

    def _claim(self, base: Mention, whole: Mention, *, positive: bool, **more: object) -> None:
        self.reading.claims.append(Claim(base, whole, positive, **more))  # type: ignore[arg-type]

    @staticmethod
    def _negative_before(tokens: list[str], i: int, negative: bool) -> bool:
        """Is what stands at `i` within the scope of a negation?"""
        for k, word in enumerate(tokens[:i]):
            before = tokens[k - 1] if k else ""
            if word in _NEGATIONS or (before, word) in (("rather", "than"), ("instead", "of")):
                negative = True
            elif word in _RESETS:
                negative = False
        return negative

    def _mentions(
        self, tokens: list[str], mentions: list[Mention], negative_start: bool, hedged: bool
    ) -> None:
        """Noun phrases: said to be there, or to be what another one is (`the red object is a star`)."""
        for k, mention in enumerate(mentions):
            negative = self._negative_before(tokens, max(mention.end - 1, mention.start), negative_start)
            negative |= mention.number == 0
            if mention.number == 1 and not mention.definite and _COPULAS & set(tokens[mention.end :][:1]):
                # `one circle is red`: one of them, not the only one
                mention.number, mention.partial = None, True
            i = mention.start - 1
            while i >= 0 and tokens[i] in ("not", "probably", "likely", "like", "be", "to", "just", "only"):
                i -= 1
            subject: Mention | None = None
            if i > 0 and tokens[i] in _COPULAS and not mention.definite:
                if k and mentions[k - 1].end == i:
                    subject = mentions[k - 1]
                elif tokens[i - 1] in _PRONOUNS:
                    subject = self.antecedent or self.target
            if subject is None:
                self._claim(mention, mention, positive=not negative, hedged=hedged)
            else:
                whole, impossible = merge(subject, mention)
                self._claim(
                    subject,
                    whole,
                    positive=not negative,
                    predicate=True,
                    attribute="identity",
                    hedged=hedged,
                    impossible=impossible,
                )
            if not negative and not mention.partial:
                self._remember(subject or mention)

    def _remember(self, mention: Mention) -> None:
        """`it` is what was spoken of last, but the question's own referent when that was among them."""
        if self.antecedent is None or not self.antecedent.within(self.query.target):
            self.antecedent = (
                mention if mention.number in (None, 1) and not mention.plural else self.antecedent
            )

    def _values(
        self,
        chunk: Chunk,
        mentions: list[Mention],
        taken: set[int],
        negative_start: bool,
        inherits: bool,
        hedged: bool,
    ) -> None:
        """Colors, sizes and places that are predicated of something, or given by themselves."""
        tokens = chunk.tokens
        place_done = False
        for i, word in enumerate(tokens):
            if i in taken:
                continue
            if word in COLOR_WORDS:
                predicate = Mention(color=word)
                attribute = "color"
            elif word in SIZE_WORDS and self.query.kind not in ("context", "opinion"):
                predicate = Mention(size=word)
                attribute = "size"
            elif word in PLACE_WORDS and not place_done and not is_relation(tokens, i):
                place_done = True
                place = place_in(tokens, i, len(tokens))
                if place is None:
                    predicate, attribute = Mention(place=("several", "several")), "position"
                elif place == NOWHERE:
                    continue
                else:
                    predicate, attribute = Mention(place=place), "position"
            else:
                continue
            if attribute == "position" and inherits and self._complete_place(predicate.place):
                continue
            subject = self._subject_of(i, chunk, mentions, inherits)
            base = subject or self.antecedent or self.target
            whole, impossible = merge(base, predicate)
            negative = self._negative_before(tokens, i, negative_start)
            self._claim(
                base,
                whole,
                positive=not negative,
                predicate=True,
                attribute=attribute,
                hedged=hedged,
                impossible=impossible,
            )
            self.subject = base
            if not negative and attribute == "color":
                self.antecedent = (
                    whole if base is self.antecedent or base.names(self.query.target) else self.antecedent
                )

    def _complete_place(self, place: Place) -> bool:
        """`on the left, at the top`: the second chunk completes the place of the first."""
        last = self.reading.claims[-1] if self.reading.claims else None
        if last is None or last.attribute != "position":
            return False
        row, column = last.whole.place
        if place == ("middle", "center"):
            place = (None if row else "middle", None if column else "center")
        if (row and place[0]) or (column and place[1]):
            return False
        last.whole = replace(last.whole, place=(row or place[0], column or place[1]))
        return True

    def _subject_of(self, i: int, chunk: Chunk, mentions: list[Mention], inherits: bool) -> Mention | None:
        before = [m for m in mentions if m.end <= i]
        if before:
            return before[-1]
        if _PRONOUNS & set(chunk.tokens[:i]):
            return None
        after = [m for m in mentions if m.start > i]
        if after:
            return after[0]
        return self.subject if inherits or chunk.tokens[0] == "not" else None

    def _bare_numbers(self, tokens: list[str], taken: set[int]) -> None:
        for i, word in enumerate(tokens):
            if i in taken or (number := number_of(word)) is None:
                continue
            if word == "one" and (
                tokens[i - 1 : i] in (["which"], ["no"], ["this"], ["that"], ["the"], ["see"])
                and self.query.kind != "count"
            ):
                continue
            self.reading.numbers.append(number)

    def _backgrounds(self, tokens: list[str], negative_start: bool, mentions: list[Mention]) -> set[int]:
        """Claims about the background; returns the tokens that they use up."""
        used: set[int] = set()
        asked = self.query.kind == "background"
        at = tokens.index("background") if "background" in tokens else None
        for i, word in enumerate(tokens):
            if word not in COLOR_WORDS or any(m.start <= i < m.end for m in mentions):
                continue
            on = tokens[i - 1 : i] == ["on"] or tokens[max(i - 2, 0) : i] in (["on", "a"], ["on", "plain"])
            if at is not None:
                mine = i < at or not any(at < m.end <= i for m in mentions)
                if i < at and any(m.end <= i for m in mentions) and _COPULAS & set(tokens[:i]) and at - i > 2:
                    mine = False
            else:
                mine = (on and word in BACKGROUNDS) or (asked and not any(m.end <= i for m in mentions))
            if mine:
                used.add(i)
                self.reading.backgrounds.append(
                    (word, not self._negative_before(tokens, i, negative_start), "or" in tokens)
                )
        return used

    def _relations(self, tokens: list[str], mentions: list[Mention], negative_start: bool) -> bool:
        """`A is left of B`; in answers to relation questions also `it is to the left`."""
        found = False
        for i, word in enumerate(tokens):
            if word in ("above", "below"):
                direction = word
            elif word in ("left", "right") and (
                is_relation(tokens, i) or (self.query.kind == "relation" and tokens[i - 1 : i] == ["the"])
            ):
                direction = f"{word} of"
            elif self.query.kind == "relation" and word in ("higher", "lower"):
                direction = "above" if word == "higher" else "below"
            else:
                continue
            first = [m for m in mentions if m.end <= i]
            second = [m for m in mentions if m.start > i]
            positive = not self._negative_before(tokens, i, negative_start)
            self.reading.relations.append(
                (first[-1] if first else None, direction, second[0] if second else None, positive)
            )
            found = True
        return found
