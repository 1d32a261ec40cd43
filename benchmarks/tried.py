"""What was tried on rows of the table that miss their bars, and what stands in the way.

Invariant: only what was measured; a row that meets its bar shows none of it.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Name of a workload -> text that follows a colon.
TRIED: Mapping[str, str] = {}
