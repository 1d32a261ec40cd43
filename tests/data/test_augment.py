"""Augmentation: the same in any batch, order or thread; SciPy's values; layouts; edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import graphc as gc
from graphc.data.affine import affine

RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.random((12, 2, 9, 7)).astype("float32")
NUMBERS = np.arange(12)
STEPS = {
    "flip": gc.data.Flip(0.5, 0.5),
    "rotate": gc.data.Rotate(40),
    "shift": gc.data.Shift(0.3, fill="edge"),
    "zoom": gc.data.Zoom(0.4),
    "affine": gc.data.Affine(20, 0.1, 0.2),
    "crop": gc.data.Crop(5, 6, pad=1),
    "brightness": gc.data.Brightness(0.3),
    "contrast": gc.data.Contrast(0.5),
    "noise": gc.data.Noise(0.1),
    "cutout": gc.data.Cutout(4, fill=9.0),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_sample_is_changed_alike_in_any_batch(name):
    augment = gc.data.Augmentation([STEPS[name]], seed=5)
    whole = augment(IMAGES, index=NUMBERS, epoch=2)
    assert whole.dtype == np.float32 and len(whole) == 12
    for rows in (NUMBERS[::-1], NUMBERS[3:8], NUMBERS[:1]):
        assert augment(IMAGES[rows], index=rows, epoch=2).tobytes() == whole[rows].tobytes()
    assert augment(IMAGES[4], index=4, epoch=2).tobytes() == whole[4].tobytes()
    assert not np.array_equal(augment(IMAGES, index=NUMBERS, epoch=3), whole)
    assert not np.array_equal(gc.data.Augmentation([STEPS[name]], seed=6)(IMAGES, index=NUMBERS, epoch=2), whole)
    same = np.broadcast_to(IMAGES[0], IMAGES.shape)  # the same picture twelve times is changed in several ways
    assert len({image.tobytes() for image in augment(same, index=NUMBERS, epoch=2)}) > 1


@pytest.mark.parametrize("name", STEPS)
def test_layouts(name):
    def augment(layout, images):
        return gc.data.Augmentation([STEPS[name]], seed=1, layout=layout)(images, index=NUMBERS, epoch=0)

    first = augment("NCHW", IMAGES)
    last = augment("NHWC", np.moveaxis(IMAGES, 1, -1))
    assert last.flags.c_contiguous
    if name != "noise":  # whose numbers go over pixels in the order of NCHW all the same
        assert np.array_equal(np.moveaxis(last, -1, 1), first)
    assert np.array_equal(augment("NHW", IMAGES[:, 0]), augment("NCHW", IMAGES[:, :1])[:, 0])


@pytest.mark.parametrize("name", STEPS)
def test_bytes_stay_bytes(name):
    images = (IMAGES * 255).astype("uint8")
    result = gc.data.Augmentation([STEPS[name]], seed=1)(images, index=NUMBERS, epoch=0)
    assert result.dtype == np.uint8 and result.flags.writeable
    assert gc.data.Augmentation([STEPS[name]])(images[:0], index=NUMBERS[:0], epoch=0).shape[0] == 0


def test_a_stream_is_augmented_alike_with_and_without_prefetching_and_when_resumed():
    augment = gc.data.Augmentation([gc.data.Flip(), gc.data.Rotate(20), gc.data.Noise(0.1)], seed=2)
    source = gc.data.from_arrays(IMAGES, NUMBERS).shuffle(1)

    def by_label(dataset):
        next(iter(dataset))  # the second epoch is compared
        return {int(label): image.tobytes() for x, y in dataset for image, label in zip(x, y)}

    batched = by_label(source.batch(4).map(augment, indexed=True))
    assert batched == by_label(source.batch(5).map(augment, indexed=True).prefetch(2))
    assert batched == by_label(source.map(augment, indexed=True).batch(3))


@pytest.mark.parametrize("fill", [0.0, 0.5, "edge"])
def test_affine_maps_are_scipys(fill):
    for _ in range(10):
        matrix = RANDOM.normal(size=(2, 2))
        offset = RANDOM.normal(size=2)
        middle = np.array([4.0, 3.0])
        found = affine(IMAGES[:1].astype(float), matrix[None], offset[None], fill)[0, 0]
        expected = ndimage.affine_transform(
            IMAGES[0, 0].astype(float), matrix, middle - matrix @ middle + offset, order=1,
            mode="nearest" if fill == "edge" else "grid-constant", cval=0 if fill == "edge" else fill,
        )  # fmt: skip
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4])
def test_quarter_turns_move_pixels_exactly(turns):
    square = IMAGES[:1, :, :7, :7].astype(float)
    angle = np.deg2rad(90 * turns)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert np.array_equal(affine(square, matrix[None], np.zeros((1, 2)), 0.0), np.rot90(square, turns, axes=(2, 3)))


def test_what_the_steps_do():
    def one(step, image, index=0):
        return gc.data.Augmentation([step], layout="NHW")(image[None], index=np.array([index]), epoch=0)[0]

    image = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(one(gc.data.Flip(1.0, 0.0), image), image[:, ::-1])
    assert np.array_equal(one(gc.data.Flip(0.0, 1.0), image), image[::-1])
    assert np.array_equal(one(gc.data.Rotate(0), image), image)
    assert np.array_equal(one(gc.data.Crop(1, 2, centre=True), image), image[1:2, 1:3])
    crops = {one(gc.data.Crop(2, 2), image, i).tobytes() for i in range(60)}
    assert crops == {image[r : r + 2, c : c + 2].tobytes() for r in range(2) for c in range(3)}
    bright = one(gc.data.Brightness(2.0), image) - image
    assert np.ptp(bright) < 1e-12 and 0 < abs(bright[0, 0]) < 2
    flat = one(gc.data.Contrast(0.9), image)
    assert flat.mean() == pytest.approx(image.mean()) and flat.std() != image.std()
    holes = one(gc.data.Cutout(2, fill=-1), image)
    assert 1 <= (holes == -1).sum() <= 4 and (holes[holes != -1] == image[holes != -1]).all()


def test_noise_is_normal():
    zeros = np.zeros((200, 1, 20, 20))
    noise = gc.data.Augmentation([gc.data.Noise(2.0)])(zeros, index=np.arange(200), epoch=0)
    assert abs(noise.mean()) < 0.02 and noise.std() == pytest.approx(2.0, rel=0.01)
    assert (np.abs(noise) > 6).mean() == pytest.approx(0.0027, rel=0.2)  # three deviations
    assert len(np.unique(noise)) == noise.size


WRONG = {
    "no step": lambda: gc.data.Augmentation([3]),
    "layout": lambda: gc.data.Augmentation([], layout="CHWN"),
    "seed": lambda: gc.data.Augmentation([], seed=None),
    "axes": lambda: gc.data.Augmentation([])(np.zeros((2, 2)), index=0, epoch=0),
    "numbers": lambda: gc.data.Augmentation([])(IMAGES, index=np.arange(3), epoch=0),
    "probability": lambda: gc.data.Flip(1.5),
    "negative": lambda: gc.data.Rotate(-1),
    "fill": lambda: gc.data.Rotate(1, fill="mirror"),
    "crop too large": lambda: gc.data.Augmentation([gc.data.Crop(20, 20)])(IMAGES, index=NUMBERS, epoch=0),
    "crop of 0": lambda: gc.data.Crop(0, 1),
    "cutout": lambda: gc.data.Cutout(0),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name):
    with pytest.raises(gc.GraphcError):
        WRONG[name]()
