"""What declining sounds like: patterns over canonical text (see `grader_text.canonical`).

Each pattern stands for one thing that a response may say about why it does not answer. None of them
looks at the scene; `grader` decides whether what they say holds.
"""

from __future__ import annotations

import re

_TELL = (
    r"(?:say|tell|know|answer|determine|count(?! an?\b| any\b)|be (?:sure|certain|said|known|told"
    r"|determined|answered|seen|decided|judged"
    r"|inferred|identified|given|deduced|established|read)|decide|judge|identify(?! an?\b| any\b)"
    r"|give|name|describe|infer|guess"
    r"|figure|make out(?! an?\b| any\b)|work out|help|state|provide|pick|choose|comment|confirm"
    r"|report|assign|resolve|establish"
    r"|specify|predict|assess|rate|evaluate|respond|offer|have|pinpoint|point|deduce|measure|speak|form"
    r"|select|see (?:what|which|who|how|where|when|why|if|whether)|find (?:out|an answer)|read)"
)
INABILITY = re.compile(
    r"\b(?:can|could|would|will|may|might) not (?:\w+ly |even |possibly |be able to |therefore "
    rf"|then )?{_TELL}\b"
    r"|\bdo not (?:\w+ly |even )?(?:know|understand which|have (?:enough|an? (?:opinion|answer|way"
    r"|preference|view"
    r"|taste|idea|favorite)|any (?:\w+ )?(?:idea|way|opinion|opinions|information|preference"
    r"|preferences|feelings|knowledge"
    r"|answer|means|clue|view|views)|opinions|feelings|preferences|personal|the (?:information"
    r"|answer|knowledge)))\b"
    r"|\bdoes not have an? (?:\w+ )?answer\b"
    r"|\b(?:am|is|are) not (?:\w+ly |at all |something )?(?:sure|certain|clear|possible|known"
    r"|knowable|able|determinable"
    r"|answerable|specified|obvious|something (?:i|we|one|that)|defined|given|i can|in a position)\b"
    r"|^not (?:sure|certain|clear|possible)\b"
    r"|\bnot for me to\b"
    r"|\b(?:unable|impossible|unclear|uncertain|unknown|unknowable|unsure|undetermined"
    r"|unanswerable|undecidable"
    r"|undefined|indeterminate)\b"
    r"|\b(?:hard|difficult|tough) (?:for me )?to (?:say|tell|know|answer|judge|determine)\b"
    r"|\b(?:no|not any) (?:real |good |possible )?way (?:to|of|for|i)\b"
    r"|\b(?:have|has|is|with) no (?:\w+ )?(?:idea|answer|means|color to|shape to|size to"
    r"|position to|location to|place to"
    r"|way|basis)\b|^no (?:idea|clue|answer)\b"
    r"|\b(?:decline|refuse|must pass|have to pass|rather not|prefer not|not going to"
    r"|will not) (?:to )?(?:answer|say|guess|make|speculate|pick|choose|invent)\b"
    r"|\bi (?:have to |must |will |would )?(?:decline|pass)\b"
    r"|\b(?:can not|could not) (?:be )?(?:answered|meaningfully)\b"
    r"|\bi (?:can|could|would) only (?:guess|speculate)\b|\bbeats me\b"
    r"|\bwould (?:only )?be (?:a guess|guessing|guesswork|speculation)\b"
    r"|\bnot (?:enough|sufficient) (?:\w+ )?to\b"
)

NOT_A_CLAIM = re.compile(
    r"\b(?:question|questions|ask|asked|asking|mention|mentions|mentioned|premise|assume|assumes|assuming"
    r"|presuppose|presupposes|suppose|supposes|talking|mean|means|meant|refer|refers|referring"
    r"|described|requested)\b"
)
"""A chunk about the question's words, not about the image."""

REFERENT_GONE = re.compile(
    r"\b(?:(?:is|are|was|were|does|do) (?:not|nowhere|never) (?:even )?(?:any|there|here|present"
    r"|in (?:the|this|my) (?:image|background)|in it|visible"
    r"|shown|depicted|exist|appear|to be (?:seen|found)|part of|among|on (?:the|this) image|anywhere)"
    r"|(?:is |are )?(?:nowhere|absent|missing|nonexistent)|not exist|not visible|not present|not appear)\b"
)
"""Said of the mention before it: it is not in the image."""

NONE_OF_IT = re.compile(
    r"\b(?:there (?:is|are) (?:not (?:one|any)|none|no such(?: (?:thing|object|shape|item|one))?"
    r"|nothing like (?:it|that)|no (?:one|thing) like (?:it|that))"
    r"|(?:see|find|spot|show|contain|have|has|shows|contains|include|detect) (?:none|one|any|it"
    r"|such (?:a|an) (?:thing|object|shape|one)|no such (?:thing|object|shape)"
    r"|nothing (?:like that|of (?:the|that) (?:kind|sort)))"
    r"|no such (?:thing|object|shape|item|one))(?= ?$| (?:here|in|at|there|to|anywhere|exists?|that))"
)
"""Denies the question's own referent without naming it; for `see one` the chunk must be negative as well."""

ONLY = re.compile(r"\b(?:only|just|nothing else|no other|all (?:i|that i|there is|that is)|solely)\b")

WHICH = re.compile(
    r"\bwhich (?!color|size)(?:one|of|thing|object|item|\w+ (?:is|are|you|to|do|was)"
    r"|(?:\w+ ){1,3}?(?:you|is meant|to|do you|was meant|are you))\b"
    r"|\bwhich(?: (?:\w+ )?(?:circle|square|triangle|star|ring|cross|diamond|heart|object|thing)s?)?$"
    r"|^what (?:is|do you mean by) (?:it|that|this)$|\bwhat do you mean\b"
    r"|\b(?:whether|if|what|who) you mean\b|\bdo you mean\b|\bare you (?:asking about|referring to"
    r"|talking about)\b|\bambiguous\b|\bambiguity\b"
    r"|\bcould (?:be|mean|refer to|apply to|fit) (?:either|any|several|both|more)\b"
    r"|\b(?:either|both|any) of (?:them|these|those|the)\b|\bbe more specific\b|\b(?:please )?specify\b"
    r"|\bsingle one (?:out|of)\b|\bmore (?:detail|details|specific)\b|\bcan not choose between\b"
    r"|\bbetween (?:them|the two)\b"
)
"""The referent is ambiguous."""

CONTEXT = re.compile(
    r"\b(?:image|it|this) (?:\w+ly |itself |alone |just |only )?(?:(?:does|do|can|will|could) not"
    r"|never|fails to|gives? no|has no|holds no|offers? no|contains no|provides no)"
    r"(?: (?:\w+ly|actually|even|really|give|any|me|us))* ?(?:show|tell|say|reveal|indicate"
    r"|include|give|provide|contain|explain|record|capture|hold|carry|come with|answer|clue|hint"
    r"|information|sign|indication|history|record)s?\b"
    r"(?! (?:me |us )?(?:an? |any |the )?(?:\w+ ){0,2}(?:circle|square|triangle|star|ring|cross"
    r"|diamond|heart|one|thing|object)s?(?: (?:here|at all))?$)"
    r"|\bimage (?:has|gives|contains|holds|shows|bears|carries) no (?:\w+ )?(?:price|date|title"
    r"|name|maker|label|story|reason|owner|author|artist|text|explanation|past|future)\b"
    r"|\b(?:nothing|no clue|no clues|no information|no hint|no hints|no indication|no sign"
    r"|no evidence|no detail|no details|no trace) (?:\w+ ){0,3}(?:image|shown|shows|tells|says"
    r"|indicates|about|of who|of what|of when|of where|of why|as to|in it)\b"
    r"|\bimage (?:\w+ )?(?:is silent|leaves (?:that|this|it)|tells only|shows (?:nothing|a single"
    r"|one (?:moment|instant)))\b"
    r"|\b(?:not|never|is nothing) (?:\w+ )?(?:shown|visible|seen|depicted"
    r"|something (?:that )?the image|in the image|part of the image|given|stated|revealed|recorded"
    r"|included|indicated)\b"
    r"|\b(?:beyond|outside(?: of)?|not in|more than|further than|apart from) (?:what )?(?:the|this"
    r"|what the) (?:image|frame|visible|shapes?)\b|\bbeyond what (?:is|i|can)\b"
    r"|\boutside the (?:image|frame)\b"
    r"|\b(?:from|by|in|on|with) (?:\w+ )?(?:the|this|a|looking at the|one|single"
    r"|still)(?: (?:single|still|one))? image (?:alone|itself|by itself|only)\b"
    r"|\b(?:still|single|one) (?:image|moment|instant|frame|snapshot)\b|\bsnapshot\b|\bone moment\b"
    r"|\bmore (?:context|information|background)\b|\b(?:outside|external|extra|additional|other"
    r"|further) (?:context|information|knowledge|sources?)\b"
    r"|\b(?:lacks?|without|no) (?:\w+ )?(?:context|information|caption|signature|price tag|label"
    r"|date|timestamp|history)\b"
    r"|\b(?:can|could) not be (?:seen|read|known|told|inferred|learned|learnt|determined) (?:from"
    r"|in|off) (?:the|this) image\b"
    r"|\binformation (?:is|that is|which is) (?:not|missing)\b|\bgo(?:es)? beyond\b|\bwhat (?:the"
    r"|an|this) image (?:can|could) (?:not )?(?:show|tell)\b"
    r"|\bonly (?:see|know|have) (?:what|the image|this image|one image|a image)\b"
)
"""The image does not tell: what is asked lies beyond it."""

SHOWS_ONLY = re.compile(
    r"\bimage (?:\w+ )?(?:only (?:shows?|tells|captures|has|contains)|just shows|shows (?:only|just))\b"
)
"""To a question about what no image shows this says that the image does not tell; else it is a claim."""

WEAK_CONTEXT = re.compile(r"\b(?:from|by looking at|based on|in|with) (?:the|this) image\b")
"""Only beside an inability, as in `I can't tell from the image`."""

OPINION = re.compile(
    r"\b(?:opinion|opinions|subjective|subjectively|taste|tastes|personal|personally|preference"
    r"|preferences|feelings?|feel(?:s)? nothing"
    r"|emotions?|objective|objectively|judgments?|judgements?|beholder|values?|(?:matter"
    r"|matters) of|questions? of (?:\w+ )?(?:meaning|taste|feelings?|values?|preference|morals"
    r"|opinion)|moods?|favorites?|mind|conscious\w*|alive"
    r"|interpretations?|interpret|depends (?:on|upon)|up to (?:you|the viewer|each|whoever"
    r"|everyone|people|the beholder)|in the eye"
    r"|differs? from (?:person|viewer)|different people|people (?:may|might|can|will|would|differ"
    r"|disagree)|everyone|each (?:person|viewer)|some (?:people|may|might|would)"
    r"|moral|morals|morality|ethics|ethical|philosophical|sentiments?|likes? and dislikes?"
    r"|no (?:right|single|true|factual|correct|fixed) (?:answer|meaning)"
    r"|fixed meaning|inherent meaning|facts? (?:of|about) the image|(?:not|no|is not"
    r"|any) (?:a )?facts?|no facts?|inner life|hearts? or minds?|(?:do|does|can|could) not feel"
    r"|not something (?:shapes|a shape)"
    r"|(?:do|does) not (?:have|hold) (?:any )?(?:likes|views?|beliefs)|as an ai|language model"
    r"|not (?:capable of|able to) (?:feeling|liking)|symbolism is|meanings? (?:is|are) (?:in|not)"
    r"|viewers?)\b"
)
"""A matter of taste, feelings, values or meaning: there is no fact to state."""

HEDGED_COMMIT = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|likely|presumably|i (?:would )?(?:think|guess|say"
    r"|believe|suppose|assume)|my (?:best )?guess|seems?|looks?|appears?)\b"
)
CONDITIONAL = re.compile(r"^(?:if|in case|unless|were|whether|should you)\b")
GUESS_CONDITIONAL = re.compile(
    r"\bif (?:i|you) (?:had to|have to|must|were to|was|force\w*|forced|press\w*|insist)\b"
    r"|\bpressed\b|\bforced\b"
)
ASKING = re.compile(
    r"^(?:and |or |so |then )?(?:which|what|who|do you|did you|are you|could you|can you|would you"
    r"|please (?:tell|say|specify|clarify)|tell me|is it|should i)\b"
)

APOLOGY = re.compile(
    r"^(?:(?:i am |we are |very |so |i )*(?:sorry|afraid|apologi[sz]e|apologies|my apologies"
    r"|regret)(?: to say| that| about that| for the confusion| for that)?"
    r"|thanks?(?: you)?(?: for (?:asking|the question|your question))?|good question"
    r"|great question|well|hmm+|oh|okay|ok|sure|of course|let us see|let me (?:see|look|check"
    r"|think)"
    r"|looking (?:at|closely|carefully|again)(?: at the image)?|as far as i can (?:see|tell)"
    r"|from what i (?:can )?see|please|however|anyway|that said|in (?:this|the) image|here"
    r"|interesting(?: question)?|hello|hi)$"
)
"""A chunk that says nothing about the question."""

YES = re.compile(
    r"^(?:oh |well |and )?(?:yes|correct|indeed|it (?:does|is)|it is true|i do|i can|there (?:is"
    r"|are)|i think so|true|affirmative|right|absolutely|surely|you can|sure)(?: (?:it|there) (?:is|are"
    r"|does))?$"
)
NO = re.compile(
    r"^(?:oh |well |and )?(?:no|incorrect|it (?:does|is) not|i (?:do|can) not|i (?:do"
    r"|can) not (?:see|think so)|there (?:is|are) not|that is not (?:so|true|correct|the case)"
    r"|i think not|(?:i am )?afraid not|false|negative|not true|not at all|not so|not really|it is false"
    r"|wrong|absolutely not"
    r"|not that i (?:can )?see)$"
)

REPETITION = re.compile(r"\b(\w+(?: \w+){0,5})(?: [,.;:!?]? ?\1){2,}\b")
"""The same words three times running: a model in a loop."""

# What an answer to a topic looks like beside words of declining; `ANY` topics need no cue at all.
TOPIC_COMMIT: dict[str, re.Pattern[str]] = {
    "maker": re.compile(
        r"\b(?:drawn|made|created|painted|designed|done|produced|built) by\b|\b(?:drew|made|created"
        r"|painted|designed) (?:it|this|the|that)\b|\b(?:artist|maker|creator|author) (?:is|was)\b"
    ),
    "before": re.compile(
        r"\b(?:it|there|thing|\w+) (?:was|were|used to be|had been) (?!not|no|never|asked|drawn"
        r"|there before)\w+"
    ),
    "after": re.compile(
        r"\b(?:will|is going to|going to) (?!not|never)(?:\w+ly )?(?:move|go|stay|be|fall|roll|turn"
        r"|disappear|become|grow|float|leave|spin|jump|fly|remain|drift|bounce|happen|shrink)\b"
        r"|\b(?:moves|goes|stays|falls|rolls|disappears)\b"
    ),
    "purpose": re.compile(
        r"\b(?:put|placed|drawn|here|there) (?:there |here )?(?:to|for|in order to|as an?)\b|\b(?:is"
        r"|are) (?:for|used|meant|there to|here to|intended)\b|\bpurpose is\b|\bserves\b"
    ),
    "price": re.compile(
        r"\bcosts? (?!is|can)(?:about |around |roughly )?(?:\d+|a lot|nothing|small|several"
        r"|\w+ (?:dollars?|euros?|cents?|coins?))\b|\b\d+ ?(?:dollars?|euros?|cents?|coins?|usd)\b"
        r"|\bdollars?\b|\bbelongs? to\b|\bowned by\b|\b(?:owner|price) (?:is|was) (?!not|un)\w+"
        r"|\bowns (?:it|this|the)\b|\bis (?:free|cheap|expensive)\b"
    ),
    "time": re.compile(
        r"\b(?:1[5-9]|20)\d\d\b|\b(?:\w+|\d+) (?:years?|days?|hours?|weeks?|months?|minutes?"
        r"|centur(?:y|ies)) (?:old|ago)\b|\b(?:yesterday|today|recently|last (?:year|week|month|night)"
        r"|long ago|brand new|very old|quite old|is (?:old|new|young))\b"
    ),
    "beauty": re.compile(
        r"\b(?:is|are|looks?|find|finds|found)(?: \w+){0,3}? (?:beautiful|pretty|ugly|lovely|nice"
        r"|attractive|gorgeous|plain|handsome|cute|elegant|stunning|pleasing|hideous)\b"
    ),
    "liking": re.compile(
        r"\bi (?:do |really |quite |would )*(?:not )?(?:like|love|prefer|enjoy|want|adore|hate"
        r"|dislike)\b(?! to (?:help|know))|\b(?:is|are)(?: \w+){0,2}? (?:best|better|worst|worse"
        r"|favorite|nicest)\b|\bmy favorite\b"
    ),
    "feeling": re.compile(
        r"\b(?:is|are|feels?|looks?|seems?)(?: \w+){0,2}? (?:happy|sad|lonely|alone|joyful|cheerful"
        r"|angry|content|calm|fine|good|unhappy|afraid|excited|proud|glad)\b"
    ),
    "meaning": re.compile(
        r"\b(?:means|stands for|symboli[sz]es|represents|signifies|meaning is|is a symbol of|is about"
        r"|expresses)(?! (?:depends|something different|different|whatever|up|subjective|not|a matter"
        r"|in the|for|to)\b) \w+"
    ),
    "morals": re.compile(
        r"\b(?:is|are)(?: \w+){0,2}? (?:good|bad|right|wrong|fair|unfair|evil|fine|okay)\b"
        r"|\bshould (?:not )?(?:be|stay|go|remain)\b"
    ),
}
GENERIC_STATEMENT = re.compile(
    r"\b(?:neither|nor|no more|whether|if|about|how|what|why|who|when|where)\b|\b(?:shapes|circles"
    r"|squares|triangles|stars|rings|crosses|diamonds|hearts|objects|things|drawings|symbols)\b"
    r"|\b(?:an?|every|any|one|some|others?|people|everyone|you|viewers?|someone|many|several|each"
    r"|person|beholder) (?:\w+ ){0,3}(?:may|might|can|could|would|will|do|does|is|are|person"
    r"|people|finds?|thinks?|says?|sees?|shape)\b"
    r"|\b(?:just|only|merely) (?:an? )?(?:\w+ ){0,2}(?:shape|image|object|circle|square|triangle"
    r"|star|ring|cross|diamond|heart)\b"
)
"""Speaks of shapes or people in general, or of the question: no answer to a topic."""
