"""What fit prints: lines for each epoch where the output is no terminal, a bar in one, nothing when silent."""

import io
import itertools
import re
import sys

import pytest

import graphc as gc
from graphc.training import progress

X, Y = [[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.0, 7.0]


def line(optimizer="sgd"):
    gc.nn.reset_names()
    model = gc.Sequential([gc.nn.Dense(1, weight_init="ones")], name="line")
    model.compile(gc.optim.SGD(0.05), loss="mse", metrics=["mae"], backend="numpy")
    return model


@pytest.fixture
def steady_clock(monkeypatch):
    """A clock that gains a quarter of a second at each look."""
    ticks = itertools.count()
    for kind in (progress.EpochLines, progress.EpochBar):
        monkeypatch.setattr(kind.__init__, "__defaults__", (lambda: next(ticks) / 4, *kind.__init__.__defaults__[1:]))


GOLDEN = """\
epoch 1/3: loss 6.1562, mae 2.3000, val_loss 0.4944, val_mae 0.6937, 8 steps/s, 500 ms, 1.0 s left
epoch 2/3: loss 0.3924, mae 0.6240, val_loss 0.0853, val_mae 0.2718, 8 steps/s, 500 ms, 625 ms left
epoch 3/3: loss 0.0751, mae 0.2335, val_loss 0.0506, val_mae 0.1843, 8 steps/s, 500 ms
"""


@pytest.mark.parametrize("verbose", [1, 2])
def test_lines_where_the_output_is_no_terminal(steady_clock, capsys, verbose):
    line().fit(X, Y, epochs=3, batch_size=2, validation_data=(X, Y), shuffle=False, verbose=verbose)
    assert capsys.readouterr().out == GOLDEN


def test_a_line_for_every_third_epoch_and_the_first_and_last(capsys):
    line().fit(X, Y, epochs=8, verbose=3)
    shown = [text.partition(":")[0] for text in capsys.readouterr().out.splitlines()]
    assert shown == ["epoch 1/8", "epoch 3/8", "epoch 6/8", "epoch 8/8"]


@pytest.mark.parametrize("verbose", [-1, 0.5, "loud"])
def test_other_values_of_verbose(verbose):
    with pytest.raises(gc.ArgumentError, match="verbose is a whole number from 0 on"):
        line().fit(X, Y, verbose=verbose)


def test_a_narrow_terminal(steady_clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    line().fit(X, Y, epochs=2, batch_size=1, validation_data=(X, Y), shuffle=False, verbose=1)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert max(map(len, re.split(r"[\r\n]", shown))) <= 50
    assert ", mae" in shown and "val_mae" in shown


def test_silence(capsys):
    line().fit(X, Y, epochs=3, verbose=0)
    assert capsys.readouterr().out == ""


def test_why_it_stopped_is_the_last_line(capsys):
    stop = gc.training.LambdaCallback(on_epoch_end=lambda epoch, logs: stop.run.stop("enough"))
    line().fit(X, Y, epochs=3, callbacks=[stop], verbose=2)
    assert capsys.readouterr().out.splitlines()[-1] == "stopped: enough"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal(steady_clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    line().fit(X, Y, epochs=2, batch_size=1, shuffle=False, verbose=1)
    shown = terminal.getvalue()
    assert "step 2/4, loss" in shown and "steps/s" in shown and " left" in shown
    assert "epoch 1/2: loss" in shown and "epoch 2/2: loss" in shown
    assert shown.endswith("\n")


def test_an_error_takes_the_bar_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fail = gc.training.LambdaCallback(on_batch_end=lambda batch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        line().fit(X, Y, callbacks=[fail], verbose=1)
    assert "\x1b[?25h" in terminal.getvalue() or "\x1b" not in terminal.getvalue()  # the cursor is back
