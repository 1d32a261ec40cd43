"""`kill -9` at random moments of a run that checkpoints: it resumes, and ends bit-equal to the undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc.io.snapshot import values_of

PROGRAM = Path(__file__).parent / "checkpointed_run.py"


def start(folder, steps):
    command = [sys.executable, str(PROGRAM), str(folder), str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)


def finish(folder, steps):
    process = start(folder, steps)
    process.communicate()
    assert process.returncode == 0
    with np.load(folder / "result.npz") as result:
        return {name: result[name] for name in result}


def killed(tmp_path, kills):
    """Kill a run `kills` times, each a few steps on, let it end, and compare it with one that was left alone."""
    steps = 20 + 15 * kills
    (tmp_path / "alone").mkdir()
    (tmp_path / "killed").mkdir()
    expected = finish(tmp_path / "alone", steps)
    chance = random.Random(0)
    reached = 0
    for _ in range(kills):
        process = start(tmp_path / "killed", steps)
        for _ in range(chance.randrange(2, 6)):
            begin = time.perf_counter()
            line = process.stdout.readline()
        time.sleep(chance.uniform(0, 2 * (time.perf_counter() - begin)))  # anywhere in the next step or two
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert int(line) > reached  # no step that was checkpointed is done again
        reached = int(line)
    found = finish(tmp_path / "killed", steps)
    for name, value in expected.items():
        assert found[name].tobytes() == value.tobytes(), name
    assert len(list((tmp_path / "killed" / "checkpoints").iterdir())) == 2


def test_a_run_that_is_killed(tmp_path):
    killed(tmp_path, kills=10)


@pytest.mark.slow
def test_a_run_that_is_killed_two_hundred_times(tmp_path):
    killed(tmp_path, kills=200)


# ---- checkpoints -----------------------------------------------------------------------------------------


def test_only_the_newest_are_kept(tmp_path):
    checkpoints = gc.io.Checkpoints(tmp_path / "run", keep=2)
    v = gc.variable(0.0, name="v")
    assert checkpoints.latest() is None and checkpoints.restore({"v": v}) is None
    for step in range(5):
        v.assign(float(step))
        path = checkpoints.save({"v": v}, {"step": step})
    assert checkpoints.latest() == path
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"checkpoint-00000004.gck", "checkpoint-00000005.gck"}


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    checkpoints = gc.io.Checkpoints(tmp_path, keep=3)
    v = gc.variable(np.zeros(100), name="v")
    for step in range(3):
        v.assign(np.full(100, float(step)))
        path = checkpoints.save({"v": v}, step)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(RuntimeWarning, match="00000003"):
        assert checkpoints.restore({"v": v}) == 1
    assert (v.value == 1).all()
    v.assign(np.full(100, 7.0))
    checkpoints.save({"v": v}, 7)  # a new one does not take the damaged one's number
    assert checkpoints.restore({"v": v}) == 7


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".checkpoint-00000001.gck.4711-0.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    checkpoints = gc.io.Checkpoints(tmp_path)
    checkpoints.save({"v": gc.variable(0.0)}, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-00000001.gck", "notes.txt"]


def test_a_checkpoint_of_other_variables_changes_nothing(tmp_path):
    checkpoints = gc.io.Checkpoints(tmp_path)
    checkpoints.save({"v": gc.variable([1.0])}, {})
    w = gc.variable([5.0])
    with pytest.raises(gc.ModelFileError, match="lacks 'w'"):
        checkpoints.restore({"v": w, "w": w})
    assert w.value == 5.0


@pytest.mark.parametrize("position", [{"x": float("nan")}, {1: 2}, object(), np.ones(2), [[{"a": {1}}]]])
def test_positions_that_are_no_json(position, tmp_path):
    with pytest.raises(gc.ArgumentError):
        gc.io.Checkpoints(tmp_path).save({"v": gc.variable(0.0)}, position)
    assert list(tmp_path.iterdir()) == []


def test_positions_come_back(tmp_path):
    checkpoints = gc.io.Checkpoints(tmp_path)
    position = {"step": np.int64(3), "rates": (0.1, 1e-300), "name": "ü", "none": None, "deep": [{"a": [True]}]}
    checkpoints.save({}, position)
    assert checkpoints.restore({}) == {**position, "rates": [0.1, 1e-300]}


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_snapshot_is_of_one_moment(backend):
    """Variables that a function changes together are equal in every snapshot."""
    variables = {f"v{i}": gc.variable(np.zeros(3), name=f"v{i}") for i in range(200)}
    step = gc.function([], [], updates={v: v + 1.0 for v in variables.values()}, backend=backend)
    stop = threading.Event()

    def train():
        while not stop.is_set():
            step()

    thread = threading.Thread(target=train)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        snapshots = []
        for _ in range(200):
            snapshots.append(values_of(variables))
            time.sleep(0.001)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    for values in snapshots:
        assert len({array.tobytes() for array in values.values()}) == 1
    assert len({values["v0"].tobytes() for values in snapshots}) > 1
