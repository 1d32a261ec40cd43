"""Derives every coefficient of vector_math and writes ``coefficients.py``; needs mpmath, run by hand only.

    python -m graphc.backends.llvm.vector_math.fit

Method: least squares on Chebyshev nodes in 60-digit arithmetic, which is within a small factor of the minimax
polynomial. Coefficients are rounded to the working precision one after another, lowest order first, and the
rest are fitted again to what is left, so that later ones make up for the rounding of earlier ones (Brisebarre
and Chevillard, "Efficient polynomial L-infinity approximations", ARITH 2007, solve the same problem exactly).

Invariant: what each polynomial approximates, and on which interval, stands in ``FITS`` and nowhere else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mpmath import mp, mpf

mp.dps = 60


class Fit(NamedTuple):
    """One polynomial: the function, its interval and, per precision, the number of coefficients.

    ``share`` is how large a part of the result the polynomial is, where that is not much the same everywhere:
    errors count by it.
    """

    what: str
    function: Callable[[mpf], mpf]
    low: mpf
    high: mpf
    float_terms: int
    double_terms: int
    share: Callable[[mpf], mpf] = lambda x: mpf(1)


def odd_remainder(f: Callable[[mpf], mpf]) -> Callable[[mpf], mpf]:
    """P with f(x) = x + x^3 P(x^2), for an odd f."""

    def remainder(z: mpf) -> mpf:
        x = mp.sqrt(z)
        return (f(x) - x) / (x * z)

    return remainder


def log_ratio(z: mpf) -> mpf:
    """P with log((1+s)/(1-s)) = 2s + s^3 P(s^2)."""
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


def erf_ratio(z: mpf) -> mpf:
    """P with erf(x) = x + x P(x^2)."""
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def scaled_erfc(w: mpf) -> mpf:
    """P with erfc(t) = exp(-t^2) P(w) for t = 2.5 (1+w) / (1-w)."""
    t = mpf("2.5") * (1 + w) / (1 - w)
    return mp.erfc(t) * mp.exp(t * t)


def erfc_variable(t: float) -> mpf:
    """w of ``scaled_erfc``."""
    return (mpf(t) - mpf("2.5")) / (mpf(t) + mpf("2.5"))


def scaled_erfc_tail(centre: mpf) -> Callable[[mpf], mpf]:
    """P with erfc(t) = exp(-t^2) r P(r - centre) for r = 1 / (t + 2)."""

    def scaled(u: mpf) -> mpf:
        r = u + centre
        t = 1 / r - 2
        return mp.erfc(t) * mp.exp(t * t) / r

    return scaled


def log2_ratio(terms: int) -> Callable[[mpf], mpf]:
    """P with log2((1+s)/(1-s)) = the first ``terms`` terms of its series in s + s^(2 terms + 1) P(s^2)."""

    def remainder(z: mpf) -> mpf:
        s = mp.sqrt(z)
        series = sum(z**k / (2 * k + 1) for k in range(terms))
        return (mp.log((1 + s) / (1 - s)) / (2 * s) - series) / z**terms * 2 / mp.log(2)

    return remainder


HALF_LN2 = mp.log(2) / 2 * mpf("1.0005")
LOG_END = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
QUARTER = (mp.pi / 4 * mpf("1.001")) ** 2

FITS = {
    "EXP": Fit(
        "(exp(r) - 1 - r) / r^2, abs(r) <= ln2 / 2",
        lambda r: (mp.exp(r) - 1 - r) / r**2, -HALF_LN2, HALF_LN2, 5, 10,
    ),
    "EXP2": Fit(
        "(2^r - 1) / r, abs(r) <= 1/2",
        lambda r: (2**r - 1) / r, mpf("-0.5005"), mpf("0.5005"), 6, 12,
    ),
    "LOG": Fit(
        "(log(1+f) - f + f^2/2) / f^3, 3/4 <= 1+f <= 3/2",
        lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, mpf("-0.25"), mpf("0.5"), 8, 0,
        lambda f: f * f,
    ),
    "LOG_RATIO": Fit(
        "(log((1+s)/(1-s)) / s - 2) / s^2 in s^2, abs(s) <= 1/5",
        log_ratio, mpf(0), mpf("0.0401"), 0, 8,
    ),
    "TANH": Fit(
        "(tanh(x) - x) / x^3 in x^2, abs(x) <= atanh(1/2)",
        odd_remainder(mp.tanh), mpf(0), (mp.atanh(mpf("0.5")) * mpf("1.0001")) ** 2, 5, 11,
    ),
    "SINH": Fit(
        "(sinh(x) - x) / x^3 in x^2, abs(x) <= 1",
        odd_remainder(mp.sinh), mpf(0), mpf("1.001"), 4, 7,
    ),
    "SIN": Fit(
        "(sin(x) - x) / x^3 in x^2, abs(x) <= pi/4",
        odd_remainder(mp.sin), mpf(0), QUARTER, 3, 6,
    ),
    "COS": Fit(
        "(cos(x) - 1 + x^2/2) / x^4 in x^2, abs(x) <= pi/4",
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, mpf(0), QUARTER, 3, 6,
    ),
    "ATAN": Fit(
        "(atan(x) - x) / x^3 in x^2, abs(x) <= 7/16",
        odd_remainder(mp.atan), mpf(0), mpf("0.4376") ** 2, 5, 12,
    ),
    "ASIN": Fit(
        "(asin(x) - x) / x^3 in x^2, abs(x) <= 1/2",
        odd_remainder(mp.asin), mpf(0), mpf("0.2501"), 6, 14,
    ),
    "ERF": Fit(
        "erf(x) / x - 1 in x^2, abs(x) <= 1",
        erf_ratio, mpf(0), mpf("1.0001"), 7, 12,
    ),
    "ERFC": Fit(
        "erfc(t) exp(t^2) in w, t = 2.5 (1+w) / (1-w), 1 <= t <= 6",
        scaled_erfc, erfc_variable(0.999), erfc_variable(6.01), 9, 17,
    ),
    "ERFC_TAIL_TO_10": Fit(
        "erfc(t) exp(t^2) / r in r - 231/1024, r = 1 / (t + 2), 27/32 <= t <= 10.3",
        scaled_erfc_tail(mpf(231) / 1024), 1 / mpf("12.3") - mpf(231) / 1024, 1 / mpf("2.84") - mpf(231) / 1024, 9, 0,
    ),
    "ERFC_TAIL_TO_27": Fit(
        "erfc(t) exp(t^2) / r in r - 21/128, r = 1 / (t + 2), 27/32 <= t <= 27.5",
        scaled_erfc_tail(mpf(21) / 128), 1 / mpf("29.5") - mpf(21) / 128, 1 / mpf("2.84") - mpf(21) / 128, 0, 20,
    ),
    "POWER_LOG2": Fit(
        "log2((1+s)/(1-s)) / s in s^2, abs(s) <= (sqrt2-1)/(sqrt2+1): a float's, in double",
        log2_ratio(0), mpf(0), LOG_END * mpf("1.001"), 0, 5,
    ),
    "POWER_LOG2_TAIL": Fit(
        "the same without its first two terms, divided by s^4",
        log2_ratio(2), mpf(0), LOG_END * mpf("1.001"), 0, 8,
    ),
    "POWER_EXP2": Fit(
        "2^r, abs(r) <= 1/2: a float's, in double",
        lambda r: 2**r, mpf("-0.5005"), mpf("0.5005"), 0, 7,
    ),
    "CBRT": Fit(
        "1 / cbrt(m), 1/2 <= m <= 4: the first guess",
        lambda m: 1 / mp.cbrt(m), mpf("0.499"), mpf("4.001"), 5, 5,
    ),
}  # fmt: skip


def rounded(value: mpf, precision: str) -> float:
    """The nearest float or double."""
    number = float(value)
    return float(struct.unpack("f", struct.pack("f", number))[0]) if precision == "float" else number


def coefficients(fit: Fit, terms: int, precision: str) -> tuple[list[float], mpf]:
    """(the polynomial, lowest order first; its largest relative error before arithmetic)."""
    count = 5 * terms
    middle, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    nodes = [middle + half * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    nodes = [node for node in nodes if abs(node) > mpf(10) ** -12]
    targets = [fit.function(node) for node in nodes]
    weights = [fit.share(node) / target for node, target in zip(nodes, targets)]  # relative error counts
    left, found = list(targets), []
    for done in range(terms):
        rows = [[w * x**k for k in range(done, terms)] for x, w in zip(nodes, weights)]
        solution, _ = mp.qr_solve(mp.matrix(rows), mp.matrix([w * t for t, w in zip(left, weights)]))
        found.append(rounded(solution[0], precision))
        left = [t - found[-1] * x**done for t, x in zip(left, nodes)]
    return found, max(abs(t * w) for t, w in zip(left, weights))


def main() -> None:
    """Write the table."""
    lines = [
        '"""Polynomial coefficients, lowest order first, by element type. Written by ``fit.py``: edit that.',
        "",
        "Invariant: the line above each name says what it approximates and where; the error beside each is",
        'the polynomial\'s own, before any rounding in evaluation.\n"""',
        "",
        "# fmt: off",
    ]
    for name, fit in FITS.items():
        lines += ["", f"#: {fit.what}", f"{name}: dict[str, tuple[float, ...]] = {{"]
        for precision, terms in (("float", fit.float_terms), ("double", fit.double_terms)):
            if terms:
                found, error = coefficients(fit, terms, precision)
                lines.append(f'    "{precision}": (  # relative error {mp.nstr(error, 2)}')
                lines += [f"        {value!r}," for value in found]
                lines.append("    ),")
                print(f"{name:10s} {precision:7s} {terms:3d} terms, error {mp.nstr(error, 2)}")
        lines.append("}")
    Path(__file__).with_name("coefficients.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
