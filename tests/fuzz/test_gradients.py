"""Random smooth graphs: the symbolic gradient is the slope that differences show."""

from .gradients import gradient_complaint


def test_gradients_of_random_graphs():
    wrong = {seed: complaint for seed in range(150) if (complaint := gradient_complaint(seed)) is not None}
    assert not wrong
