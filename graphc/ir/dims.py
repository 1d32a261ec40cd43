"""Symbolic sizes: `Dim`, an integer expression of named symbols in one canonical form.

A size is an `int` or a `Dim`. A `Dim` is a polynomial with integer coefficients over *atoms*; an atom is a
symbol (`batch`) or a call (`n//2`, `max(n,1)`) whose arguments are sizes again. Symbols stand for array
extents, so they are never negative.

Invariant: equal expressions have equal `terms`, so `==` and `hash` are structural and cheap, and an
expression without symbols is always a plain `int`. Calls nest at most `DEPTH_LIMIT` deep and an expression has
at most `ATOM_LIMIT` atoms, so what recurses over them ends soon, whatever text they were read from.
"""

from __future__ import annotations

import functools
import itertools
import numbers
import re
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Union

from graphc.errors import ShapeError

DEPTH_LIMIT = 40
ATOM_LIMIT = 1000
DIGIT_LIMIT = 1000  # Python refuses to print integers of more than 4300

Size = Union[int, "Dim"]


class Call(NamedTuple):
    """`floordiv`, `max` or `min` of sizes that do not simplify further."""

    name: str
    args: tuple[Size, ...]

    def __str__(self) -> str:
        if self.name == "floordiv":
            return "//".join(_atomic(a) for a in self.args)
        return f"{self.name}({','.join(map(str, self.args))})"


Atom = str | Call
Monomial = tuple[Atom, ...]


def _atomic(size: Size) -> str:
    text = str(size)
    return text if re.fullmatch(r"[\w.']+|(max|min)\([^()]*\)", text) else f"({text})"


class Dim:
    """An integer expression of named symbols, such as `2*n+1` or `(h-2)//2`.

    Attributes:
        terms: monomials with their coefficients, in the order in which they print.
        depth: how deep calls nest, counting this size.
        atoms: how many symbols and calls it is made of, with those inside calls.

    Raises:
        ShapeError: it is larger than `DEPTH_LIMIT`, `ATOM_LIMIT` or `DIGIT_LIMIT` allow.

    >>> n = symbol("n")
    >>> (n + 1) * 2 - n
    Dim('n+2')
    >>> (4 * n + 2) // 2
    Dim('2*n+1')
    >>> n - n
    0
    """

    __slots__ = ("_hash", "_text", "atoms", "depth", "terms")
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        atoms = [atom for monomial, _ in terms for atom in monomial]
        inner = [a for atom in atoms if isinstance(atom, Call) for a in atom.args if isinstance(a, Dim)]
        self.depth: int = 1 + max((size.depth for size in inner), default=0)
        self.atoms: int = len(atoms) + sum(size.atoms for size in inner)
        if self.depth > DEPTH_LIMIT or self.atoms > ATOM_LIMIT:
            raise ShapeError(f"a size has grown to {self.atoms} parts, {self.depth} deep: that is too large")
        if any(abs(coefficient) >= 10**DIGIT_LIMIT for _, coefficient in terms):
            raise ShapeError(f"a size has a factor of more than {DIGIT_LIMIT} digits")
        self.terms = terms
        self._hash = hash(terms)
        self._text: str | None = None  # made when first asked for: terms are put in order by it

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Dim) and self.terms == other.terms)

    # What is no size (a tensor, say) gets its own turn through its reflected operators.

    def __add__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        return _sum(_terms(self), _terms(other))

    __radd__ = __add__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        return self + other * -1

    def __rsub__(self, other: Size) -> Size:
        return self * -1 + other

    def __mul__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        products: list[tuple[Monomial, int]] = []
        for (a, p), (b, q) in itertools.product(_terms(self), _terms(other)):
            products.append((tuple(sorted(a + b, key=str)), p * q))
        return _sum(products)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        return floordiv(self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        return floordiv(other, self)

    def __mod__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        return self - floordiv(self, other) * other

    def __rmod__(self, other: Size) -> Size:
        if not isinstance(other, _SIZES):
            return NotImplemented
        return other - floordiv(other, self) * self

    def __bool__(self) -> bool:
        raise TypeError(f"the size {self} is symbolic: it has no value before the call")

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._as_text()
        return self._text

    def _as_text(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            factors = [str(a) if isinstance(a, str) or a.name != "floordiv" else f"({a})" for a in monomial]
            if len(self.terms) == 1 and len(monomial) == 1 and coefficient == 1:
                factors = [str(monomial[0])]
            magnitude = abs(coefficient)
            if magnitude != 1 or not factors:
                factors.insert(0, str(magnitude))
            parts.append(("-" if coefficient < 0 else "+") + "*".join(factors))
        return "".join(parts).removeprefix("+")

    def __repr__(self) -> str:
        return f"Dim({str(self)!r})"


_SIZES = (int, Dim, numbers.Integral)


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(size, Dim):
        return size.terms
    return (((), int(size)),) if size else ()


def _sum(*groups: tuple[tuple[Monomial, int], ...] | list[tuple[Monomial, int]]) -> Size:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in itertools.chain(*groups):
        total[monomial] = total.get(monomial, 0) + coefficient
    # Higher degree first, the constant last: 2*n*m+n+1.
    kept = sorted(
        ((m, c) for m, c in total.items() if c), key=lambda term: (-len(term[0]), [str(a) for a in term[0]])
    )
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == ():
        return kept[0][1]
    return Dim(tuple(kept))


def symbol(name: str) -> Dim:
    """The size named `name`; the same name is the same size everywhere.

    >>> symbol("batch") == symbol("batch")
    True
    """
    if not re.fullmatch(r"[A-Za-z_][\w.']*", name) or name in ("max", "min"):
        raise ValueError(f"{name[:80]!r} is not a name for a dimension: use letters, digits and underscores")
    return Dim((((name,), 1),))


def bare_symbol(size: Size) -> str | None:
    """The symbol's name where `size` is just one symbol, else None."""
    if isinstance(size, Dim) and len(size.terms) == 1:
        (monomial, coefficient) = size.terms[0]
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], str):
            return monomial[0]
    return None


_fresh_lock = threading.Lock()
_fresh_names: dict[str, int] = {}


def fresh_symbol(base: str) -> Dim:
    """A symbol that no other call returns; its name starts with `base`, then a prime and a number."""
    with _fresh_lock:
        count = _fresh_names[base] = _fresh_names.get(base, 0) + 1
    return symbol(f"{base}'{count}")


def floordiv(a: Size, b: Size) -> Size:
    """`a // b`, with the part of `a` that `b` divides taken out of the floor.

    >>> n = symbol("n")
    >>> floordiv(2 * n + 5, 2), floordiv(floordiv(n + 1, 2) + 1, 3)
    (Dim('n+2'), Dim('(n+3)//6'))
    """
    a, b = (s if isinstance(s, Dim) else int(s) for s in (a, b))  # NumPy's integers are sizes too
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b else 0
    if b == 1 or a == 0:
        return a
    if a == b:
        return 1
    whole, rest = _divide_terms(a, b)
    if rest == 0:
        return whole
    if isinstance(b, int) and isinstance(rest, int):
        return whole + rest // b
    if isinstance(b, int) and b > 0 and isinstance(rest, Dim):
        # (p//q + r)//b is (p + r*q)//(q*b): slices of slices stay as short as one slice.
        (monomial, factor), *others = rest.terms
        inner = monomial[0] if len(monomial) == 1 else None
        if isinstance(inner, Call) and inner.name == "floordiv" and factor == 1 and all(m == () for m, _ in others):
            first, second = inner.args
            if isinstance(second, int) and second > 0:
                return whole + floordiv(first + (rest - Dim(((monomial, 1),))) * second, second * b)
    return whole + Dim((((Call("floordiv", (rest, b)),), 1),))


def _divide_terms(a: Size, b: Size) -> tuple[Size, Size]:
    """Split `a` into `whole * b + rest`, term by term; `b` is one term, else nothing divides.

    Of a number, what remains lies between 0 and `b`, so that `(n+3)//2` and `(n+1)//2+1` are one size.
    """
    divisor = _terms(b)
    if len(divisor) != 1:
        return 0, a
    (atoms, factor) = divisor[0]
    whole: list[tuple[Monomial, int]] = []
    rest: list[tuple[Monomial, int]] = []
    for monomial, coefficient in _terms(a):
        left = list(monomial)
        divides = coefficient % factor == 0
        for atom in atoms:
            if atom in left:
                left.remove(atom)
            else:
                divides = False
        if monomial == () and not atoms:
            whole.append(((), coefficient // factor))
            rest.append(((), coefficient % factor))
        elif divides:
            whole.append((tuple(left), coefficient // factor))
        else:
            rest.append((monomial, coefficient))
    return _sum(whole), _sum(rest)


_CASE_LIMIT = 6  # calls in one size that are taken apart; the work doubles with each
_CASE_ATOMS = 40  # and with those inside them, so that no size takes long to judge


@functools.lru_cache(maxsize=4096)  # the same few sizes are asked about at every tensor
def never_negative(size: Size) -> bool:
    """Whether `size` is known to be >= 0 for every value of its symbols (False: not known).

    >>> never_negative(symbol("n") * 2 + 1), never_negative(symbol("n") - 1)
    (True, False)
    >>> never_negative(symbol("n") - minimum(symbol("n"), 3))
    True
    """
    if isinstance(size, int):
        return size >= 0
    if all(c >= 0 and all(_atom_never_negative(a) for a in m) for m, c in size.terms):
        return True
    return _never_negative_by_cases(size)


def _never_negative_by_cases(size: Dim) -> bool:
    """`never_negative` where a call stands alone in a term: replace it by what bounds it from below.

    `c*max(p,q)` is one of `c*p` and `c*q`; so both must do, and for `c > 0` either one is a lower bound.
    `min` mirrors that; and `r-d+1 <= d*(r//d) <= r`.
    """
    alone = [(m[0], c) for m, c in size.terms if len(m) == 1 and isinstance(m[0], Call)]
    if not alone or len(alone) > _CASE_LIMIT or size.atoms > _CASE_ATOMS:
        return False
    # Where both cases must do comes first: which bound serves the other calls may depend on the case. A floor
    # comes last: its bound forgets that the same floor may stand elsewhere.
    call, factor = min(alone, key=lambda t: (t[0].name == "floordiv", (t[0].name == "max") == (t[1] > 0)))
    rest = size - Dim((((call,), factor),))
    first, second = call.args
    if call.name == "floordiv":
        if not isinstance(second, int) or second <= 0 or factor % second:
            return factor > 0 and _atom_never_negative(call) and never_negative(rest)
        low = first - (second - 1) if factor > 0 else first
        return never_negative(rest + low * (factor // second))
    cases = (rest + argument * factor for argument in call.args)
    either = (call.name == "max") == (factor > 0)
    return any(map(never_negative, cases)) if either else all(map(never_negative, cases))


def _atom_never_negative(atom: Atom) -> bool:
    if isinstance(atom, str):
        return True
    known = [never_negative(a) for a in atom.args]
    return any(known) if atom.name == "max" else all(known)


def maximum(a: Size, b: Size) -> Size:
    """The larger of two sizes.

    >>> maximum(symbol("n") - 1, 0), maximum(symbol("n"), 0)
    (Dim('max(n-1,0)'), Dim('n'))
    >>> maximum(maximum(symbol("n") - 1, 0) - 2, 0)
    Dim('max(n-3,0)')
    """
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    if never_negative(a - b):
        return a
    if never_negative(b - a):
        return b
    a, b = _ordered(a, b)
    if b == 0 and isinstance(a, Dim):
        # max(max(p,0)+r, 0) is max(p+r, 0) for r <= 0: slices of slices stay as short as one slice.
        for monomial, factor in a.terms:
            inner = monomial[0] if len(monomial) == 1 else None
            if factor == 1 and isinstance(inner, Call) and inner.name == "max" and inner.args[1] == 0:
                rest = a - Dim(((monomial, 1),))
                if never_negative(rest * -1):
                    return maximum(inner.args[0] + rest, 0)
    return Dim((((Call("max", (a, b)),), 1),))


def minimum(a: Size, b: Size) -> Size:
    """The smaller of two sizes.

    >>> minimum(minimum(symbol("n"), 5), 3)
    Dim('min(n,3)')
    """
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    if never_negative(a - b):
        return b
    if never_negative(b - a):
        return a
    a, b = _ordered(a, b)
    if isinstance(b, int) and isinstance(a, Dim) and len(a.terms) == 1:
        (monomial, factor) = a.terms[0]
        inner = monomial[0] if len(monomial) == 1 else None
        if factor == 1 and isinstance(inner, Call) and inner.name == "min" and isinstance(inner.args[1], int):
            return minimum(inner.args[0], min(inner.args[1], b))
    return Dim((((Call("min", (a, b)),), 1),))


def _ordered(a: Size, b: Size) -> tuple[Size, Size]:
    """The arguments of a symmetric call in one order, numbers last: `max(n,0)`, never `max(0,n)`."""
    return (b, a) if (isinstance(a, int), str(a)) > (isinstance(b, int), str(b)) else (a, b)


def product(sizes: tuple[Size, ...] | list[Size]) -> Size:
    """The product of sizes; 1 for none."""
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def symbols_of(size: Size) -> Iterator[str]:
    """The names of the symbols in `size`, each maybe more than once."""
    if isinstance(size, Dim):
        for monomial, _ in size.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    yield atom
                else:
                    for argument in atom.args:
                        yield from symbols_of(argument)


_CALLS = {"floordiv": floordiv, "max": maximum, "min": minimum}


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """`size` with symbols replaced; an `int` once every symbol has a number.

    >>> substitute(symbol("n") * 2 + 1, {"n": 4})
    9
    """
    if isinstance(size, int):
        return size
    result: Size = 0
    for monomial, coefficient in size.terms:
        term: Size = coefficient
        for atom in monomial:
            if isinstance(atom, str):
                factor = values[atom] if atom in values else symbol(atom)
            else:
                first, second = (substitute(argument, values) for argument in atom.args)
                factor = _CALLS[atom.name](first, second)
            term = term * factor
        result = result + term
    return result


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """The number that `size` stands for; KeyError for a symbol without a value."""
    if isinstance(size, int):
        return size
    number = substitute(size, values)
    if isinstance(number, int):
        return number
    raise KeyError(next(symbols_of(number)))
