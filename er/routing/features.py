"""The terms of a text, as C-BTM counts them (Gururangan et al. 2023).

scikit-learn's default words, lower-cased; words that begin with a digit and English stop words are
left out.
"""

import re

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

WORD = re.compile(r"\b\w\w+\b")


def terms(text: str) -> list[str]:
    """The terms of a text, in order, repeated as often as they occur."""
    return [
        word
        for word in WORD.findall(text.lower())
        if not word[0].isdigit() and word not in ENGLISH_STOP_WORDS
    ]
