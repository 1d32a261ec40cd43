"""Image augmentation: random flips, turns, shifts, crops, zooms, brightness, contrast, noise, cut-outs.

Invariant: what happens to a sample is a function of (seed, epoch, sample's number, step): the same in any batch,
order or thread. Steps are vectorised over the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.data.affine import affine
from graphc.data.counters import checked_seed, mix, normal, uniform
from graphc.data.entries import number, option


class Step(gc.arguments.Checked):
    """One random change of images; `apply` gets (batch, channels, rows, columns) and a key for each image."""

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The changed images: of the same dtype, or of floats."""
        raise NotImplementedError


class Augmentation(gc.arguments.Checked):
    """Steps one after the other, for `Dataset.map(..., indexed=True)`.

    Only the first array of an item is changed; labels and what else there is pass through.

    Args:
        steps: what to do, in order.
        seed: what determines all of it, together with epoch and sample.
        layout: "NCHW" or "NHWC": where the channels of a batch are. A single image is of three axes, or of two
            without channels; a batch of images without channels, (batch, rows, columns), has `layout="NHW"`.

    Raises:
        ArgumentError: a step is none, or the layout is another.

    >>> import numpy as np
    >>> import graphc as gc
    >>> augment = gc.data.Augmentation([gc.data.Flip(), gc.data.Rotate(15), gc.data.Noise(0.1)], seed=1)
    >>> images, labels = np.zeros((8, 1, 4, 4), "float32"), np.arange(8)
    >>> data = gc.data.from_arrays(images, labels).shuffle(seed=0).batch(4).map(augment, indexed=True)
    >>> x, y = next(iter(data)); x.shape, x.dtype.name, y.tolist()
    ((4, 1, 4, 4), 'float32', [0, 2, 1, 5])
    """

    def __init__(self, steps: Sequence[Step], seed: int = 0, layout: str = "NCHW") -> None:
        self.steps = list(steps)
        for step in self.steps:
            if not isinstance(step, Step):
                raise gc.ArgumentError(f"Augmentation: {step!r} is no step, such as gc.data.Flip()")
        if layout not in ("NCHW", "NHWC", "NHW"):
            raise gc.ArgumentError(f"Augmentation: layout is NCHW, NHWC or NHW, not {layout!r}")
        self.seed = checked_seed("Augmentation", seed)
        self.layout = layout

    def __call__(self, images: Any, *others: Any, index: Any, epoch: int) -> Any:
        """The changed images, and the other arrays as they are.

        Args:
            images: a batch in the layout, or one image of it.
            others: passed through.
            index: the number of each sample, or of the one.
            epoch: the epoch's number.
        """
        array, numbers = np.asarray(images), np.asarray(index)
        single = array.ndim == len(self.layout) - 1
        if single:
            array, numbers = array[None], numbers.reshape(1)
        if array.ndim != len(self.layout) or numbers.shape != array.shape[:1]:
            raise gc.ShapeError(
                f"Augmentation: expected images in {self.layout} and a number for each, not shapes {array.shape} "
                f"and {numbers.shape}"
            )
        batch = self._to_nchw(array)
        for place, step in enumerate(self.steps):
            batch = step.apply(batch, mix(self.seed, epoch, place, numbers))
        changed = self._from_nchw(_as_before(batch, array.dtype))
        changed = changed[0] if single else changed
        return (changed, *others) if others else changed

    def _to_nchw(self, array: np.ndarray) -> np.ndarray:
        if self.layout == "NHW":
            return array[:, None]
        return array if self.layout == "NCHW" else np.moveaxis(array, -1, 1)

    def _from_nchw(self, array: np.ndarray) -> np.ndarray:
        if self.layout == "NHW":
            return array[:, 0]
        return array if self.layout == "NCHW" else np.ascontiguousarray(np.moveaxis(array, 1, -1))


def _as_before(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The dtype that came in: whole numbers are rounded, and kept within its range."""
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return array.astype(dtype, order="C")


class Flip(Step):
    """Mirrors images left to right, and top to bottom where asked, each with its probability."""

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.0) -> None:
        self.horizontal = _probability("Flip", "horizontal", horizontal)
        self.vertical = _probability("Flip", "vertical", vertical)

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Flips of those images whose draw is below the probability."""
        for draw, (chance, axis) in enumerate(((self.horizontal, -1), (self.vertical, -2))):
            chosen = uniform(keys, draw) < chance
            images = np.where(chosen[:, None, None, None], np.flip(images, axis), images)
        return images


class Affine(Step):
    """Turns, shifts and zooms images in one sampling, which blurs them only once.

    Args:
        rotate: up to how many degrees, either way.
        shift: up to which fraction of the height and width, either way.
        zoom: up to which share larger or smaller: 0.1 is a factor from 1/1.1 to 1.1.
        fill: the value of what comes in from outside, or "edge" for the nearest pixel's.
    """

    def __init__(self, rotate: float = 0.0, shift: float = 0.0, zoom: float = 0.0, fill: float | str = 0.0) -> None:
        self.rotate = _range("Affine", "rotate", rotate)
        self.shift = _range("Affine", "shift", shift)
        self.zoom = _range("Affine", "zoom", zoom)
        if fill != "edge":
            fill = option("Affine", "fill", number, fill)
        self.fill = fill

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The images sampled through the inverse of a random map."""
        angle = np.deg2rad(uniform(keys, 0, low=-self.rotate, high=self.rotate))
        scale = np.exp(uniform(keys, 1, low=-1, high=1) * np.log1p(self.zoom))
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        matrices = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)
        reach = self.shift * np.array(images.shape[2:])
        offsets = np.stack([uniform(keys, 2 + axis, low=-1, high=1) * reach[axis] for axis in (0, 1)], -1)
        return affine(images, matrices, offsets, self.fill)


class Rotate(Affine):
    """Turns images by up to so many degrees, either way."""

    def __init__(self, degrees: float, fill: float | str = 0.0) -> None:
        super().__init__(rotate=degrees, fill=fill)


class Shift(Affine):
    """Shifts images by up to a fraction of their height and width, either way."""

    def __init__(self, fraction: float, fill: float | str = 0.0) -> None:
        super().__init__(shift=fraction, fill=fill)


class Zoom(Affine):
    """Magnifies or shrinks images by up to a share: 0.1 is a factor from 1/1.1 to 1.1."""

    def __init__(self, share: float, fill: float | str = 0.0) -> None:
        super().__init__(zoom=share, fill=fill)


class Crop(Step):
    """Cuts out rows and columns of the given size, at a random place or in the centre.

    Args:
        rows, columns: the size that is left.
        pad: rows and columns of `fill` to put around the image first.
        centre: always the middle.
        fill: the value of what is put around.
    """

    def __init__(self, rows: int, columns: int, pad: int = 0, centre: bool = False, fill: float = 0.0) -> None:
        for name, value, least in (("rows", rows, 1), ("columns", columns, 1), ("pad", pad, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise gc.ArgumentError(f"Crop: {name} must be a whole number from {least} on, not {value!r}")
        self.size = (int(rows), int(columns))
        self.pad, self.centre = int(pad), bool(centre)
        self.fill = option("Crop", "fill", number, fill)

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The cut-out parts, gathered at once."""
        around = (self.pad, self.pad)
        padded = np.pad(images, ((0, 0), (0, 0), around, around), constant_values=self.fill) if self.pad else images
        room = [have - want for have, want in zip(padded.shape[2:], self.size)]
        if min(room) < 0:
            raise gc.ShapeError(f"Crop: {self.size} does not fit into images of {padded.shape[2:]}")
        starts = [
            np.full(len(images), space // 2) if self.centre
            else np.floor(uniform(keys, axis) * (space + 1)).astype(np.int64)
            for axis, space in enumerate(room)
        ]  # fmt: skip
        views = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=(2, 3))
        return views[np.arange(len(images)), :, starts[0], starts[1]]


class Brightness(Step):
    """Adds a random number from -amount to amount to each image."""

    def __init__(self, amount: float) -> None:
        self.amount = _range("Brightness", "amount", amount)

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The images, lighter or darker."""
        return images + uniform(keys, 0, low=-self.amount, high=self.amount)[:, None, None, None]


class Contrast(Step):
    """Stretches each image about its mean by a random factor from 1 - amount to 1 + amount."""

    def __init__(self, amount: float) -> None:
        self.amount = _range("Contrast", "amount", amount)

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The images with more or less contrast."""
        mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
        factor = uniform(keys, 0, low=1 - self.amount, high=1 + self.amount)[:, None, None, None]
        return (images - mean) * factor + mean


class Noise(Step):
    """Adds normal noise of the given standard deviation to each pixel."""

    def __init__(self, deviation: float) -> None:
        self.deviation = _range("Noise", "deviation", deviation)

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The noisy images."""
        pixels = np.arange(math.prod(images.shape[1:])).reshape(1, *images.shape[1:])
        return images + self.deviation * normal(keys[:, None, None, None], pixels)


class Cutout(Step):
    """Overwrites a square at a random place of each image (DeVries and Taylor, 2017); it may reach over the edge."""

    def __init__(self, size: int, fill: float = 0.0) -> None:
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise gc.ArgumentError(f"Cutout: size must be a whole number from 1 on, not {size!r}")
        self.size = int(size)
        self.fill = option("Cutout", "fill", number, fill)

    def apply(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The images with a square of `fill`."""
        inside = []
        for axis, extent in enumerate(images.shape[2:]):
            start = np.floor(uniform(keys, axis) * extent)[:, None] - self.size // 2
            place = np.arange(extent)
            inside.append((place >= start) & (place < start + self.size))
        square = inside[0][:, :, None] & inside[1][:, None, :]
        return np.where(square[:, None], np.asarray(self.fill, images.dtype), images)


def _range(owner: str, name: str, value: Any) -> float:
    checked = option(owner, name, number, value)
    if checked < 0:
        raise gc.ArgumentError(f"{owner}: {name} must not be negative, is {value!r}")
    return checked


def _probability(owner: str, name: str, value: Any) -> float:
    checked = _range(owner, name, value)
    if checked > 1:
        raise gc.ArgumentError(f"{owner}: {name} is a probability, not {value!r}")
    return checked
