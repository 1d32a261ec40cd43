"""The examples run on both backends; each ends in checks of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments, folder):
    """The output of an example that ran in a folder of its own, as a user would run it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRAPHC_")}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_has_a_test():
    tested = {"digits_mlp.py", *NAMES, *NETS, *MANNERS}
    assert {file.name for file in EXAMPLES.glob("*.py")} == tested


def test_the_digits_are_learned(tmp_path):
    printed = run("digits_mlp.py", folder=tmp_path)
    assert "graph @step(%x: f32[batch,64], %t: i64[batch])" in printed
    assert "compare step: the backends agree" in printed
    found = re.findall(r"^(llvm|numpy) +[\d.]+ s +([\d.]+)%$", printed, re.M)
    assert [backend for backend, _ in found] == ["llvm", "numpy"]
    assert all(float(percent) >= 97 for _, percent in found)


def test_the_digits_quickly(tmp_path):
    assert "graph @step" not in run("digits_mlp.py", "--quick", folder=tmp_path)


NAMES = ["custom_op.py", "custom_pass.py", "likelihood_fit.py", "logistic_regression.py", "newton_hessian.py"]


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
@pytest.mark.parametrize("name", NAMES)
def test_an_example(name, backend, tmp_path):
    assert run(name, "--backend", backend, folder=tmp_path)


# Each trains a net, saves pictures and the model, and loads it for both backends.
NETS = ["char_transformer.py", "cnn_digits.py", "dense_classifier.py", "lstm_forecast.py", "vae_digits.py"]
MANNERS = ["tf1_style.py", "theano_style.py"]


def trained(name, backend, folder):
    """The output of such an example in its short form."""
    printed = run(name, "--quick", "--backend", backend, "--output", "results", folder=folder)
    assert re.findall(r" for (llvm|numpy): largest difference", printed) == ["llvm", "numpy"]
    assert {file.suffix for file in (folder / "results").iterdir()} == {".gcm", ".png"}
    return printed


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
@pytest.mark.parametrize("name", NETS)
def test_a_net(name, backend, tmp_path):
    trained(name, backend, tmp_path)


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_one_net_in_the_manners_of_tensorflow_and_theano(backend, tmp_path):
    first, second = (re.findall(r"^after 2 epochs: .*", trained(n, backend, tmp_path), re.M) for n in MANNERS)
    assert first == second
    assert first
