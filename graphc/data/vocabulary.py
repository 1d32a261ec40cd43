"""Text as numbers: one for each character, or for each word.

Invariant: the vocabulary is a list of tokens, kept with the model; nothing is hashed, so no two tokens share a
number, and every number has its token.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc
from graphc.data.entries import one_of, option, scalars
from graphc.data.transformer import Transformer, registered

_LEVELS = one_of("character", "word")
_WORD = re.compile(r"\w+|[^\w\s]")


def _limit(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{value!r} is neither None nor a number from 1 on")
    return value


def _tokens(value: Any) -> list[str]:
    tokens = scalars(value)
    if not all(isinstance(token, str) for token in tokens) or len(set(tokens)) < len(tokens):
        raise ValueError("it is no list of different strings")
    return tokens


@registered
class Vocabulary(Transformer):
    """The characters or words of texts, numbered: the most frequent `limit` of them, from 1 on in sorted order.

    0 stands for what is not among them.

    Attributes:
        tokens: the characters or words, learned; the number of `tokens[i]` is i + 1.

    >>> import graphc as gc
    >>> vocabulary = gc.data.Vocabulary().fit("abracadabra")
    >>> vocabulary.transform("cab!"), len(vocabulary)
    (array([3, 1, 2, 0]), 6)
    >>> vocabulary.inverse_transform([2, 1, 4])
    'bad'
    """

    fields: ClassVar = {"level": _LEVELS, "limit": _limit, "tokens": _tokens}
    learned = ("tokens",)
    tokens: list[str]

    def __init__(self, level: str = "character", limit: int | None = None) -> None:
        """Number characters, or words (runs of letters and digits, and single marks between them)."""
        self.level = option("Vocabulary", "level", _LEVELS, level)
        self.limit = option("Vocabulary", "limit", _limit, limit)

    def fit(self, x: Any) -> Self:
        """Learn the tokens of a text, or of a list of texts."""
        counts: Counter[str] = Counter()
        for text in [x] if isinstance(x, str) else x:
            counts.update(self._split(text))
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        self.tokens = sorted(ranked[: self.limit])
        return self

    def transform(self, x: Any) -> np.ndarray:
        """The numbers of a text's tokens: int64, (tokens,)."""
        self._require_fitted()
        numbers = {token: number for number, token in enumerate(self.tokens, 1)}
        return np.array([numbers.get(token, 0) for token in self._split(x)], np.int64)

    def inverse_transform(self, x: Any) -> str:
        """The text of numbers; `?` for 0. Between words stands one blank.

        Raises:
            ArgumentError: a number has no token.
        """
        self._require_fitted()
        known = ["?", *self.tokens]
        numbers = np.asarray(x)
        if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or not ((numbers >= 0) & (numbers < len(known))).all():
            raise gc.ArgumentError(f"Vocabulary: expected a row of whole numbers from 0 to {len(known) - 1}")
        return ("" if self.level == "character" else " ").join(known[number] for number in numbers.tolist())

    def __len__(self) -> int:
        """How many numbers there are: one more than tokens."""
        self._require_fitted()
        return len(self.tokens) + 1

    def _split(self, text: Any) -> list[str]:
        if not isinstance(text, str):
            raise gc.ArgumentError(f"Vocabulary: expected a text, not {type(text).__name__}")
        return list(text) if self.level == "character" else _WORD.findall(text)
