"""Words that say "I am listening, go on": they do not take the turn."""

import re

# Acknowledgements and continuers of English telephone speech: the backchannel tags of the Switchboard corpus
# (Jurafsky, Shriberg & Biasca 1997, "Switchboard SWBD-DAMSL labeling project"), with the recognizers' spellings.
_CONTINUER = (
    r"(?:u+h+[- ]?hu+h|u+m+[- ]?hu+m+|m+[- ]?hm+|m+h+m+|mm+|hm+|huh|a+h+a*|e+h+[- ]?h[au]+h?|o+h+|uh|um|"
    r"yeah|yep|yup|okay|ok|right|alright|all right|sure|i see|got it|great|good|nice|cool|really|wow)"
)
_BACKCHANNEL = re.compile(rf"\W*{_CONTINUER}(?:\W+{_CONTINUER}){{0,2}}\W*", re.IGNORECASE)


def is_backchannel(text: str) -> bool:
    """Whether the words are nothing but an acknowledgement, such as "uh-huh" or "okay, right"."""
    return _BACKCHANNEL.fullmatch(text) is not None
