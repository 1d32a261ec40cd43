"""Sizes read from text: what `str(size)` prints, and what a user may write for it.

Invariant: whatever the text, parsing ends soon, in a size within the limits of `dims` or in a `ValueError`.
"""

from __future__ import annotations

import re

from graphc.ir.dims import DEPTH_LIMIT, DIGIT_LIMIT, Size, floordiv, maximum, minimum, symbol

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][\w.']*)|(//|[-+*(),%]))")

_CALLS = {"max": maximum, "min": minimum}


def parse_size(text: str) -> Size:
    """The size that `str(size)` printed.

    >>> parse_size("(h+2)//3-1")
    Dim('((h+2)//3)-1')
    >>> parse_size(str(parse_size("(h-2)//3+1"))) == parse_size("(h-2)//3+1")
    True

    Raises:
        ValueError: it is no size, or one that is too large to work with.
    """
    shown = repr(text if len(text) < 80 else text[:80] + "...")
    text = text.rstrip()
    tokens: list[str] = []
    position = nesting = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise ValueError(f"not a size: {shown}")
        tokens.append(match.group(match.lastindex or 0))
        position = match.end()
        nesting += (tokens[-1] == "(") - (tokens[-1] == ")")
        if nesting > DEPTH_LIMIT:
            raise ValueError(f"a size nests deeper than {DEPTH_LIMIT}: {shown}")
    size, rest = _parse_sum(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"not a size: {shown}")
    if isinstance(size, int) and abs(size) >= 10**DIGIT_LIMIT:
        raise ValueError(f"a number of more than {DIGIT_LIMIT} digits: {shown}")
    return size


def _parse_sum(tokens: list[str], at: int) -> tuple[Size, int]:
    negative = at < len(tokens) and tokens[at] == "-"
    total, at = _parse_product(tokens, at + negative)
    if negative:
        total = total * -1
    while at < len(tokens) and tokens[at] in "+-":
        term, after = _parse_product(tokens, at + 1)
        total = total + (term if tokens[at] == "+" else term * -1)
        at = after
    return total, at


def _parse_product(tokens: list[str], at: int) -> tuple[Size, int]:
    result, at = _parse_atom(tokens, at)
    while at < len(tokens) and tokens[at] in ("*", "//", "%"):
        factor, after = _parse_atom(tokens, at + 1)
        operator = tokens[at]
        quotient = floordiv(result, factor)
        result = result * factor if operator == "*" else quotient if operator == "//" else result - quotient * factor
        at = after
    return result, at


def _parse_atom(tokens: list[str], at: int) -> tuple[Size, int]:
    if at >= len(tokens):
        raise ValueError("a size ends too early")
    token = tokens[at]
    if token.isdigit():
        return int(token), at + 1
    if token in _CALLS:
        first, at = _parse_sum(tokens, _expect(tokens, at + 1, "("))
        second, at = _parse_sum(tokens, _expect(tokens, at, ","))
        return _CALLS[token](first, second), _expect(tokens, at, ")")
    if token == "(":
        inner, at = _parse_sum(tokens, at + 1)
        return inner, _expect(tokens, at, ")")
    return symbol(token), at + 1


def _expect(tokens: list[str], at: int, token: str) -> int:
    if at >= len(tokens) or tokens[at] != token:
        raise ValueError(f"a size lacks {token!r}")
    return at + 1
