"""Workers as processes: turns, results, deaths; and the bits of every workload for 1 to 4 threads, at small sizes."""

import pytest

from benchmarks.processes import DiedError
from benchmarks.rounds import Plan, measure
from benchmarks.run import main, rows
from benchmarks.same_bits import digests, verdict
from benchmarks.workloads import WORKLOADS

ADD = "add two f32 vectors of 16"
PLAN = Plan(rounds=2, seconds=1e-4, threads=1, small=True)


def test_systems_take_turns():
    found = measure(WORKLOADS[ADD], ["graphc", "numpy"], PLAN)
    assert list(found) == ["graphc", "numpy"]
    for record in found.values():
        assert "failed" not in record
        assert len(record["times"]) == 2
        assert 0 < min(record["times"]) < 1
        assert record["megabytes"] > 10


def test_a_system_without_the_program_is_left_out():
    assert list(measure(WORKLOADS["conv (1,64,56,56) x 64x3x3 forward"], ["numpy"], PLAN)) == []


def test_a_worker_that_dies_says_so():
    with PLAN.start("graphc", "no such workload") as worker:
        assert "no such workload" in worker.ask("prepare", 60)["failed"]
        worker.process.kill()
        with pytest.raises(DiedError, match="SIGKILL"):
            worker.ask("prepare", 60)


def test_a_worker_that_takes_too_long_says_so():
    with PLAN.start("numpy", ADD) as worker, pytest.raises(DiedError, match="no result after 0 s"):
        worker.ask("prepare", 0.0)


def test_the_command_lists_its_rows(capsys):
    assert main(["--list", "--only", "matmul"]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == [name for name in rows() if "matmul" in name]


def test_the_command_refuses_unknown_systems(capsys):
    assert main(["--systems", "graphc,nympy"]) == 2
    assert "no such system: nympy" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_bits_are_the_same_for_any_number_of_threads(name):
    text = verdict(digests(name, small=True))
    assert text == "the same" or "not in this version" in text, text


def test_bits_of_a_training_step_are_the_same_for_two_threads():
    assert verdict(digests("SGD step of 784-128-10, batch 32", small=True, threads=(1, 2))) == "the same"
