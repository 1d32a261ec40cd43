"""Identities: every tensor in its cheapest form of the same value.

The rules live by the kind of op that they look at, one file each:

| file | rules about |
|---|---|
| `simplify_arithmetic` | sums, products, signs |
| `simplify_powers` | division and powers |
| `simplify_casts` | casts and rounding |
| `simplify_selection` | `where`, comparisons, truth values, bits, extrema |
| `simplify_movement` | reshape, permute, broadcast, slice, pad, concat, take |
| `simplify_reductions` | sums and their like |
| `fast_math` | what is only nearly true, for those who ask for it |

Invariant: importing this module registers all of them; what they must obey stands in `rewrite.py`.
"""

from __future__ import annotations

from graphc.passes import (
    fast_math,
    simplify_arithmetic,
    simplify_casts,
    simplify_movement,
    simplify_powers,
    simplify_reductions,
    simplify_selection,
)
from graphc.passes.rewrite import simplify

#: The modules with rules.
RULE_MODULES = (
    simplify_arithmetic,
    simplify_powers,
    simplify_casts,
    simplify_selection,
    simplify_movement,
    simplify_reductions,
    fast_math,
)

__all__ = ["RULE_MODULES", "simplify"]
