"""A disk that fails at the n-th write, fsync or rename: the old thing or the new one is there, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

import graphc as gc

CALLS = ("open", "write", "fsync", "replace")


class FailingDisk:
    """Counts calls of the system that change the disk, and lets the n-th fail."""

    def __init__(self, monkeypatch, fail_at, code):
        self.count = 0
        self.fail_at = fail_at
        self.code = code
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name, real):
        def call(*args, **kwargs):
            self.count += 1
            if self.count == self.fail_at:
                if name == "write":  # a part of it arrives before the disk is full
                    real(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **kwargs)

        return call


def every_failure(monkeypatch, act, check):
    """Run `act` with a failure at each call in turn, until it gets through; `check` after each."""
    for code in (errno.ENOSPC, errno.EIO):
        for fail_at in range(1, 200):
            with monkeypatch.context() as patch:
                disk = FailingDisk(patch, fail_at, code)
                failed = None
                try:
                    act()
                except OSError as error:
                    failed = error
            check(failed)
            if disk.count < fail_at:
                assert failed is None
                break
        else:
            raise AssertionError("it never got through")
        assert fail_at > 4


def linear(value):
    x = gc.placeholder(("n",), "float64", name="x")
    w = gc.variable(np.full(3000, float(value)), name="w")
    return gc.function([x], x * w[0], backend="numpy")


@pytest.mark.parametrize("path", ["model", "model.gcm"])
def test_saving_a_model(path, tmp_path, monkeypatch):
    target = tmp_path / path
    gc.save(target, linear(1))
    new = linear(2)

    def check(failed):
        found = gc.load(target, backend="numpy").predict([1.0])[0]
        assert found in (1.0, 2.0)
        assert failed or found == 2.0
        left = [p.name for p in tmp_path.rglob("*.tmp")]
        assert left == []
        gc.save(target, linear(1))

    every_failure(monkeypatch, lambda: gc.save(target, new), check)


def test_the_first_save_of_a_folder(tmp_path, monkeypatch):
    target = tmp_path / "model"
    new = linear(2)

    def check(failed):
        with contextlib.suppress(gc.ModelFileError) if failed else contextlib.nullcontext():
            assert gc.load(target, backend="numpy").predict([1.0])[0] == 2.0

    every_failure(monkeypatch, lambda: gc.save(target, new), check)


def test_saving_weights(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    v = gc.variable(np.zeros(1000), name="v")
    gc.io.save_weights(path, {"v": v})

    def check(failed):
        values = gc.io.read_weights(path)["v"]
        assert (values == values[0]).all() and (failed or values[0] == v.value[0])
        v.assign(v.value + 1)

    every_failure(monkeypatch, lambda: gc.io.save_weights(path, {"v": v}), check)


def test_saving_checkpoints(tmp_path, monkeypatch):
    checkpoints = gc.io.Checkpoints(tmp_path / "run", keep=2)
    v, copy = gc.variable(np.zeros(1000), name="v"), gc.variable(np.zeros(1000), name="v")
    checkpoints.save({"v": v}, {"step": 0})
    last = 0

    def check(failed):
        nonlocal last
        position = checkpoints.restore({"v": copy})
        assert (copy.value == position["step"]).all()
        assert position["step"] in (last, int(v.value[0])) and (failed or position["step"] == v.value[0])
        last = position["step"]
        assert failed or len(list((tmp_path / "run").iterdir())) == 2
        v.assign(v.value + 1)

    every_failure(monkeypatch, lambda: checkpoints.save({"v": v}, {"step": int(v.value[0])}), check)


def test_a_file_that_may_not_grow(tmp_path):
    """The real thing: the system cuts the file off at a limit."""
    program = (
        "import numpy, resource, graphc as gc\n"
        "v = gc.variable(numpy.zeros(100000), name='v')\n"
        "checkpoints = gc.io.Checkpoints('run')\n"
        "checkpoints.save({'v': v}, 1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400000, resource.RLIM_INFINITY))\n"
        "v.assign(v.value + 1)\n"
        "try:\n"
        "    checkpoints.save({'v': v}, 2)\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
        "print(checkpoints.restore({'v': v}), v.value.sum())\n"
    )
    assert resource.RLIMIT_FSIZE
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(errno.EFBIG), "1", "0.0"]
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint-00000001.gck"]
