"""Names of classes: which spellings are the same organ."""

from __future__ import annotations

import re

_SYNONYMS = {
    # The challenge script's abbreviations, and other data sets' names of the same organs.
    "rk": "right kidney",
    "lk": "left kidney",
    "ivc": "inferior vena cava",
    "postcava": "inferior vena cava",
    "rag": "right adrenal gland",
    "lag": "left adrenal gland",
    "gall bladder": "gallbladder",
    "oesophagus": "esophagus",
}


def key_of(name: str) -> str:
    """The same text for spellings of the same class: 'Right Kidney', 'kidney_right' and 'RK' are one organ."""
    words = " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))
    return " ".join(sorted(_SYNONYMS.get(words, words).split()))
