"""Checkpoints: the whole state of a training run, again and again, for a run that can be killed at any time.

Invariant: a checkpoint is one file that appears complete by one rename; it holds values of all variables at one
moment together with the position, under one manifest with checksums. So a run resumed from it goes on as if it
had not been interrupted.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gc
from graphc.io import strict_json
from graphc.io.atomic import is_temporary
from graphc.io.container import as_path, read_file, write_file
from graphc.io.snapshot import assign_all, checked_variables, values_of
from graphc.io.tensor_file import read_tensors, tensor_bytes

_FORMAT = "graphc checkpoint"
_NAME = re.compile(r"checkpoint-(\d{8,18})\.gck")
_STATE = "state.safetensors"


class Checkpoints:
    """The checkpoints of one training run in one folder, which one process writes at a time.

    Give `save` every variable that the run depends on (weights, the optimiser's state, random states, counters)
    and, as position, what else says where the run is: the step, and the `state()` of its data.

    >>> import graphc as gc
    >>> w = gc.variable([1.0, 2.0], name="w")
    >>> checkpoints = gc.io.Checkpoints("run", keep=2)
    >>> checkpoints.restore({"w": w}) is None       # a fresh start
    True
    >>> checkpoints.save({"w": w}, {"step": 7}).name
    'checkpoint-00000001.gck'
    >>> w.assign([0.0, 0.0])
    >>> checkpoints.restore({"w": w}), w.value
    ({'step': 7}, array([1., 2.]))
    """

    def __init__(self, folder: Any, keep: int = 3) -> None:
        """Use `folder` and keep the newest `keep` checkpoints.

        Raises:
            ArgumentError: `folder` is no path, or `keep` is less than 1.
        """
        if isinstance(keep, bool) or not isinstance(keep, (int, np.integer)) or keep < 1:
            raise gc.ArgumentError(f"Checkpoints: keep must be a whole number from 1 on, not {keep!r}")
        self.folder = as_path("Checkpoints", folder)
        self.keep = int(keep)

    def save(self, variables: Mapping[str, gc.Variable], position: Any) -> Path:
        """Write a checkpoint and remove those that are too many.

        Args:
            variables: all that the run depends on, by name.
            position: JSON data: where the run is.

        Returns:
            The new file.

        Raises:
            ArgumentError: they are no variables, or the position is no JSON data.
            OSError: the disk does not take it; the older checkpoints are all there then.
        """
        values = values_of(checked_variables("Checkpoints.save", variables))
        content = {"position": strict_json.plain("Checkpoints.save: position", position)}
        data = tensor_bytes(values)
        os.makedirs(self.folder, exist_ok=True)
        numbered = self._numbered()
        path = self.folder / f"checkpoint-{max(numbered, default=0) + 1:08d}.gck"
        write_file(path, _FORMAT, {_STATE: data}, content)
        outdated = [numbered[n] for n in sorted(numbered, reverse=True)[self.keep - 1 :]]
        left_over = [self.folder / n for n in os.listdir(self.folder) if is_temporary(n) and ".gck." in n]
        for old in (*outdated, *left_over):
            with contextlib.suppress(OSError):
                old.unlink()
        return path

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole; None where there is none. Warns of damaged ones that are newer."""
        found = self._newest()
        return None if found is None else found[0]

    def restore(self, variables: Mapping[str, gc.Variable]) -> Any:
        """Give the variables the values of the newest whole checkpoint.

        Returns:
            The position that was saved with it; None where there is no checkpoint: the variables are unchanged then.

        Raises:
            ModelFileError: it does not fit the variables, which are unchanged then.
        """
        named = checked_variables("Checkpoints.restore", variables)
        found = self._newest()
        if found is None:
            return None
        path, values, position = found
        assign_all(named, values, str(path))
        return position

    def _newest(self) -> tuple[Path, dict[str, np.ndarray], Any] | None:
        numbered = self._numbered()
        for number in sorted(numbered, reverse=True):
            try:
                return (numbered[number], *read_checkpoint(numbered[number]))
            except gc.ModelFileError as error:
                warnings.warn(f"a damaged checkpoint is passed over: {error.message}", RuntimeWarning, stacklevel=3)
        return None

    def _numbered(self) -> dict[int, Path]:
        """The files that are checkpoints by their names, by number."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return {}
        except NotADirectoryError:
            raise gc.ArgumentError(f"Checkpoints: {self.folder} is no folder") from None
        return {int(match[1]): self.folder / name for name in names if (match := _NAME.fullmatch(name))}


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The values and the position of one checkpoint.

    Raises:
        ModelFileError: it is none, or damaged.
    """
    files, content = read_file(path, _FORMAT)
    if set(files) != {_STATE} or set(content) != {"position"}:
        raise gc.ModelFileError(f"{path}: it does not consist of a state and a position")
    return read_tensors(files[_STATE], f"{path}: {_STATE}"), content["position"]
