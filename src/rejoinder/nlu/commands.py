"""What callers say in every domain: "repeat that", "cancel", "a person please", "yes". Whole utterances only.

"Cancel" is a command and "cancel my prescription" is not: a command must account for every word that was said, but for
politeness, so that an intent of the domain is never taken over.
"""

import re
from collections.abc import Sequence

_POLITE = (
    "please|thanks|thank you|okay|ok|well|so|oh|hey|hi|hello|sorry|excuse me|just|actually|now|then|and|but|no wait"
)
_CAN_YOU = "(?:(?:can|could|would|will) (?:you|i|we)|i (?:would like|want)(?: you)? to|may i|let (?:me|us)|i need to)"
_IT = "(?:it|that|this|all that|the last (?:part|bit|thing)|what you(?: just)? said|yourself)"
_PERSON = (
    "(?:an? |the |some |your )?(?:real |live |actual |human )?"
    "(?:person|human|human being|agent|operator|representative|someone|somebody|people|staff|assistant|employee|manager"
    "|customer service|customer support|receptionist|advisor)(?: real| else| there| in person)?"
)
_SURE = (
    "yes|yeah|yep|yup|yes yes|sure|sure thing|of course|correct|right|exactly|absolutely|definitely|certainly|okay|ok"
    "|all right|alright|fine|perfect|great|good|please do|go ahead|do it|uh huh|mm hmm|mhm|affirmative|you bet"
)
_BYE = "(?:good ?bye|bye|bye bye)"

_COMMANDS = {
    "repeat": (
        f"(?:{_CAN_YOU} )?(?:repeat|say|go over)(?: {_IT})?(?: one more time| once more)?(?: again)?(?: for me)?",
        "(?:say|tell|come)(?: me)?(?: that| it)? again",
        "(?:come again|again|once more|one more time|pardon|pardon me|i beg your pardon|repeat|sorry what)",
        "what(?: did you(?: just)? say| was that| is that again)(?: again)?",
        "(?:sorry )?i (?:did|could) not (?:hear|catch|get|understand)(?: you| that| what you said)?",
    ),
    "cancel": (
        f"(?:{_CAN_YOU} )?(?:cancel|abort|forget|scrap|drop|stop)"
        "(?: it| that| this| everything| all of (?:it|that)| about it)?",
        "(?:never mind|nevermind|forget (?:about )?(?:it|that))",
        f"(?:{_CAN_YOU} )?start (?:over|again)(?: from the (?:start|beginning))?",
        "i (?:have )?changed my mind|i do not want (?:it|that|this|anything)(?: any ?more)?",
    ),
    "person": (
        f"(?:{_CAN_YOU} )?(?:talk|speak|chat)(?: to| with) {_PERSON}",
        f"(?:{_CAN_YOU} )?(?:get|give|connect|transfer|put|pass|hand)(?: me)?"
        f"(?: over| through)?(?: to| with| on to)? {_PERSON}",
        f"(?:i (?:want|need|would like|would rather have) )?{_PERSON}",
    ),
    "goodbye": (
        f"(?:{_BYE}|see you(?: later)?|have a (?:nice|good|great) (?:day|one|evening|night)|good night)(?: {_BYE})?",
        f"(?:no )?(?:that (?:is|was|will be)|this is) (?:all|it|everything)(?: for (?:now|today|me))?(?: {_BYE})?",
        "(?:i am (?:done|finished|all set)|nothing else|hang up|end (?:the )?call)",
    ),
    "thanks": (
        "(?:thanks|thank you|many thanks|cheers)(?: (?:so|very) much| a lot| for (?:your|the) help| for that| again)?",
        "(?:i )?appreciate it",
    ),
    "help": (
        f"(?:{_CAN_YOU} )?(?:help|help me)(?: out)?",
        "what can (?:you|i) (?:do|say|ask|ask you)(?: here| for me)?|what are my options|what do you do",
        "i need (?:some )?help|how does this work",
    ),
    "yes": (
        f"(?:{_SURE})",
        "(?:(?:yes|yeah|yep|sure|okay) )?(?:that is|that sounds|it is|sounds|looks) "
        "(?:right|correct|fine|good|great|perfect|it|okay)",
        "(?:yes|yeah|yep|sure|okay) "
        "(?:it is|i do|i am|i would|i did|that is|go ahead|do it|do that|please do|that works)",
        "that works(?: for me)?|i think so|why not",
    ),
    "no": (
        "(?:no|nope|nah|no no|no way|not really|not now|not yet|do not|of course not|certainly not|absolutely not)",
        "(?:no )?(?:that is|it is|that was) (?:not (?:right|correct|it|what i (?:said|want|wanted|meant))|wrong)",
        "(?:no )?(?:it is not|i (?:do|am|would|did) not|do not do (?:it|that)|not that|i do not think so)",
        "wrong|incorrect|negative|i would rather not|no thanks|no thank you",
    ),
}
"""Intent of the command -> regular expressions over normalised words."""

_COMPILED = tuple(
    (name, re.compile(f"(?:(?:{_POLITE}) )*(?:{'|'.join(forms)})(?: (?:{_POLITE}))*"))
    for name, forms in _COMMANDS.items()
)
_ELLIPSIS = re.compile("i (?:do|am|would)(?: not)?(?: indeed)?")
"""An answer to a question, and without one the beginning of a sentence."""

_ALL = "(?:that is|that was|that will be|that would be|this is|it is)"
_AFFIRMS = (
    f"(?:no )?{_ALL} (?:all|it|everything)(?: for (?:now|today|me))?",  # "no, that's all": there is nothing to add
    f"{_ALL} (?:great|perfect|lovely|all right|alright|exactly right|how i want it)",
    "(?:(?:that |it )?(?:sounds|looks|seems|works) |all )?(?:very )?(?:good|great|fine|perfect|set)"
    "(?: (?:to|for|by|with) me)?",
    "works(?: for me)?|go for it|go on|make it|do that|(?:order|place|take) it|let us (?:do (?:it|that)|go)",
    "nothing else",
    "i am (?:sure|good|done|happy|all set)|lovely|wonderful|excellent|awesome|cool|nice|fantastic|indeed|totally",
    "confirm(?:ed)?|i confirm|(?:yes )?(?:sir|madam|ma am)|i (?:guess|suppose)(?: so)?|yea|yah|ya|yeh|yap|ja|jep",
)
_REFUSES = (
    "(?:no )?(?:not (?:yet|quite|really|at all)|hold on|wait|stop|hang on)(?: (?:a|one) (?:second|minute|moment|sec))?",
    "(?:one|just a|give me a) (?:second|minute|moment|sec)|never|naw|nay|rather not",
)
_AFFIRM = re.compile(f"(?:(?:{_POLITE}|yes|yeah|yep) )*(?:{'|'.join(_AFFIRMS)})(?: (?:{_POLITE}))*")
_REFUSE = re.compile(f"(?:(?:{_POLITE}|no|oh) )*(?:{'|'.join(_REFUSES)})(?: (?:{_POLITE}))*")
"""What means yes or no only to a question for it: otherwise "that's all" ends a call, and "stop" cancels."""

_HESITANT = "(?:(?:um|uh|oh|well|so|okay|hmm|sorry) )*"
_YES_FIRST = re.compile(
    f"{_HESITANT}(?:yes|yeah|yep|yup|yea|yah|ya|uh-huh|mm-hmm|sure|correct|right|absolutely|exactly|definitely|certainly)"
    "\\b"
)
_NO_FIRST = re.compile(f"{_HESITANT}(?:no|nope|nah|naw|not|wrong|incorrect|wait)\\b")


def command(words: Sequence[str]) -> str | None:
    """The command that `words` (normalised) are, whole, or None.

    One of "repeat", "cancel", "person", "goodbye", "thanks", "help", "yes", "no".
    """
    said = " ".join(words)
    for name, form in _COMPILED:
        if form.fullmatch(said):
            return name
    return None


def confirmation(words: Sequence[str]) -> str | None:
    """ "yes" or "no" when `words` answer a question for confirmation, whatever else they say after it."""
    said = " ".join(words)
    if _AFFIRM.fullmatch(said):
        return "yes"
    if _REFUSE.fullmatch(said):
        return "no"
    known = command(words)
    if known in ("yes", "no"):
        return known
    if _ELLIPSIS.fullmatch(said):
        return "no" if "not" in words else "yes"
    if _NO_FIRST.match(said):
        return "no"
    return "yes" if _YES_FIRST.match(said) else None
