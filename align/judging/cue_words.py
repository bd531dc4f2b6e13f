"""Words that patterns of refusals are made of: normalised, lower case, `cannot` written `can not`."""

from __future__ import annotations

IMAGE = (
    r"(?:the |this |a |an |one |that )?(?:\w+ )?(?:image|picture|photo|photograph|scene|frame|snapshot|shot"
    r"|pic|foto)"
)
ASKED = (
    r"(?:tell|say|know|determine|answer|judge|identify|confirm|verify|speculate|be (?:sure|certain"
    r"|known|told|determined|answered|identified|inferred|seen|judged|said|read|named)|make out"
    r"|see (?:what|who|whether|if|why|how|when|where)|guess|infer|predict|name|assess|decide|help"
    r"|comment|provide|offer|give|read|establish|recogni[sz]e|figure out|state|interpret|evaluate"
    r"|respond|speak to|conclude)"
)
SPEAKER = r"(?:i|we|one|nobody|no one|anyone|it|this|that|they|you)"
ADVERBS = r"(?:\w+ly |also |just |even |still |therefore |really )*"

WORDLESS = (
    r"(?:n a|na|unknown|unclear|unsure|undetermined|undeterminable|unanswerable|indeterminate"
    r"|indeterminable"
    r"|unknowable|unidentifiable|illegible|unreadable|inconclusive|dunno|idk|beats me|pass|no comment"
    r"|(?:not|un) ?(?:applicable|visible|shown|given|available|specified|determinable|discernible|legible"
    r"|possible|known|clear|sure|depicted|provided|stated|mentioned|answerable|able|enough \w+)"
    r"|(?:no|not a) (?:idea|clue|answer|info|information|data|way)|none (?:can be given|given|visible))"
)
OPENING = (
    r"(?:(?:well|hmm?|sorry|sory|uh|um|ugh|oh|haha|ha|hey|honestly|unfortunately|regrettably|answer|no|so"
    r"|i am"
    r"|sadly|and|but|yeah|nope|it is|wait|actually|my apologies) )*"
)
UNABLE = (
    r"(?:can not|could not|am not able to|are not able to|am unable to|are unable to|not able to"
    r"|am not in a position to"
    r"|am in no position to|am not going to|am not qualified to|must decline|must refrain|have to decline"
    r"|will pass"
    r"|will not)"
)
SAY = r"(?:say|tell|know|judge|determine|see|make (?:it )?out|count|read|decide|answer|name|give)"
POOR = r"(?:blurr?(?:y|ed)|dark|small|far(?: away)?|distant|dim|faint|tiny|unclear|grainy|bright)"
HOLD = r"(?:find|see|say|think|like|prefer|feel|believe|argue|hold|value|may|might|will|would)"
DONE = (
    r"(?:known|told|determined|answered|identified|inferred|seen|judged|said|read|named|confirmed"
    r"|established"
    r"|decided|verified|predicted|deduced|ascertained|discerned|assessed|resolved|given|provided|offered"
    r"|made out"
    r"|recogni[sz]ed|concluded|measured|worked out|settled|scored|counted|compared|guessed|explained"
    r"|heard|found"
    r"|described|derived|gathered|estimated)"
)
