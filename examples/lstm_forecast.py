"""An LSTM(50) that foretells next year's sunspots from ten years, on 309 years of counts from statsmodels.

    python examples/lstm_forecast.py                    some seconds; pictures and the models go to ./output
    python examples/lstm_forecast.py --backend numpy    the same by the interpreter
    python examples/lstm_forecast.py --quick            two epochs, for tests

Two nets: one says how likely the count is to rise (the survey's, with a sigmoid), one says the count. Both are held
against naive forecasts, and against a linear one. Before that, gaps in a series: weekly CO2 at Mauna Loa.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from statsmodels.datasets import co2, sunspots

import graphc as gc

YEARS = 10  # in a window


def filled_gaps() -> tuple[np.ndarray, np.ndarray]:
    """The weekly CO2 series with its gaps, and without; prints how far off two ways to fill gaps are."""
    series = co2.load_pandas().data["co2"].to_numpy()
    gaps = gc.data.is_missing(series)
    hidden = np.random.default_rng(0).choice(np.flatnonzero(~gaps), 200, replace=False)
    tried = series.copy()
    tried[hidden] = np.nan
    print(f"CO2: {gaps.sum()} of {len(series)} weeks are missing; mean error on 200 weeks taken out as well:")
    for fill in (gc.data.interpolate, gc.data.fill_forward):
        print(f"  {fill.__name__:12} {np.abs(fill(tried) - series)[hidden].mean():.3f} ppm")
    return series, gc.data.interpolate(series)


def rises(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether each year's count is above the one before: 1 or 0, of shape (n, 1)."""
    return (y > x[:, -1]).astype("int64")


def rising_net(backend: str) -> gc.Sequential:
    """Ten counts -> the probability that the next one is higher than the last."""
    layers = [gc.nn.Input((YEARS, 1)), gc.nn.LSTM(50, name="lstm"), gc.nn.Dense(1, "sigmoid", name="rises")]
    model = gc.Sequential(layers, name="rising")
    scaler = gc.data.StandardScaler()  # learns from the years to train on, in fit
    model.compile(
        gc.optim.Adam(0.01), "binary_crossentropy", ["accuracy", "f1"], backend=backend, preprocessing=[scaler]
    )
    return model


def counting_net(backend: str) -> gc.Sequential:
    """Ten counts -> the next one, of which the loss sees the scaled one."""
    layers = [gc.nn.Input((YEARS, 1)), gc.nn.LSTM(50, name="lstm"), gc.nn.Dense(1, name="count")]
    model = gc.Sequential(layers, name="counting")
    model.compile(
        gc.optim.Adam(0.01),
        "mse",
        ["rmse"],
        backend=backend,
        preprocessing=[gc.data.StandardScaler()],
        target_preprocessing=[gc.data.StandardScaler()],
    )
    return model


def linear_forecast(x: np.ndarray, y: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Autoregression: the linear function of ten counts that fits (x, y) best, of others."""
    first, second = (np.column_stack([windows[:, :, 0], np.ones(len(windows))]) for windows in (x, others))
    return second @ np.linalg.lstsq(first, y, rcond=None)[0]


def verdict(kind: str, net: float, others: dict[str, float], higher_is_better: bool) -> None:
    """Print the net's figure beside those of simpler forecasts, and whether it is better than each."""
    print(f"{kind}: LSTM {net:.3f}")
    for name, value in others.items():
        better = net > value if higher_is_better else net < value
        print(f"  {name:35} {value:8.3f}   the LSTM is {'better' if better else 'NOT better'}")


def pictures(
    series: tuple[np.ndarray, np.ndarray],
    histories: dict[str, gc.training.History],
    forecast: tuple[np.ndarray, np.ndarray],
    confusion: np.ndarray,
    path: Path,
) -> None:
    """Filled gaps, loss by epoch, forecasts, and which rises were foreseen."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    plots = figure.subplot_mosaic([["gaps", "rising", "counting"], ["years", "years", "confusion"]])
    for values, label in zip(reversed(series), ("interpolated", "measured")):
        plots["gaps"].plot(values[:350], label=label)
    plots["gaps"].set(title="weekly CO2, ppm", xlabel="week")
    for name, history in histories.items():
        plots[name].plot(history.epoch, history["loss"], label="training")
        plots[name].plot(history.epoch, history["val_loss"], label="validation")
        plots[name].set(title=f"loss of the {name} net", xlabel="epoch", yscale="log")
    for values, label in zip(forecast, ("counted", "foretold")):
        plots["years"].plot(np.arange(2009 - len(values), 2009), values, label=label)
    plots["years"].set(title="sunspots in the years held out", xlabel="year")
    for name in ("gaps", *histories, "years"):
        plots[name].legend()
    plots["confusion"].imshow(confusion, cmap="Blues")
    for (row, column), count in np.ndenumerate(confusion):
        plots["confusion"].text(column, row, f"{count:.0f}", ha="center", va="center", color="tab:red", size=16)
    plots["confusion"].set(xlabel="foretold", ylabel="happened")
    for axis in (plots["confusion"].xaxis, plots["confusion"].yaxis):
        axis.set_ticks([0, 1], labels=["falls", "rises"])
    figure.savefig(path)


def check_saved(models: list[gc.Sequential], folder: Path, x: np.ndarray, backend: str) -> None:
    """Save models and load them for both backends: the same bits from their own, the same numbers from the other."""
    expected = [model.predict(x) for model in models]
    for model in models:
        model.save(folder / f"{model.name}.gcm")
    for name in ("llvm", "numpy"):
        found = [gc.load(folder / f"{model.name}.gcm", backend=name).predict(x) for model in models]
        print(f"loaded for {name}: largest difference {np.abs(np.subtract(found, expected)).max():.1e}")
        np.testing.assert_allclose(found, expected, rtol=0 if name == backend else 1e-4)


def main() -> None:
    """Fill gaps; train, evaluate, save and load both nets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--epochs", type=int, default=100, help="at most")
    parser.add_argument("--output", type=Path, default=Path("output/lstm_forecast"), help="folder for results")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    options.output.mkdir(parents=True, exist_ok=True)
    series = filled_gaps()

    counts = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()[:, None]
    parts = gc.data.split(*gc.data.windows(counts, YEARS), fractions=(0.6, 0.15, 0.25), ordered=True)
    (x, y), (val_x, val_y), (test_x, test_y) = parts
    print(f"sunspots: {len(x)} windows to train on, {len(val_x)} to validate on, the last {len(test_x)} held out")

    rising, counting = rising_net(options.backend), counting_net(options.backend)
    histories = {}
    for model, label in ((rising, rises), (counting, lambda x, y: y)):
        model.summary()
        stop = gc.training.EarlyStopping(patience=20, restore_best_weights=True)
        histories[model.name] = model.fit(
            x, label(x, y), epochs=epochs, validation_data=(val_x, label(val_x, val_y)), callbacks=[stop], verbose=0
        )
        print(histories[model.name])

    happened = rises(test_x, test_y)
    last, before = test_x[:, -1], test_x[:, -2]
    linear = linear_forecast(x, y, test_x)
    accuracy = rising.evaluate(test_x, happened)["accuracy"]
    most = int(rises(x, y).mean() > 0.5)
    verdict("will it rise? accuracy", accuracy, {
        "what happened in most years": np.mean(happened == most),
        "the same direction as last year": np.mean(happened == (last > before)),
        "linear autoregression": np.mean(happened == (linear > last)),
    }, higher_is_better=True)  # fmt: skip
    error = counting.evaluate(test_x, test_y)["rmse"]
    verdict("how many? root mean squared error", error, {
        "as many as last year": np.sqrt(np.mean((last - test_y) ** 2)),
        "linear autoregression": np.sqrt(np.mean((linear - test_y) ** 2)),
    }, higher_is_better=False)  # fmt: skip

    confusion = gc.metrics.ConfusionMatrix(num_classes=2)
    confusion.update(happened, rising.predict(test_x))
    forecast = test_y, counting.predict(test_x)
    pictures(series, histories, forecast, confusion.result(), options.output / "lstm_forecast.png")
    check_saved([rising, counting], options.output, test_x, options.backend)
    if not options.quick:
        assert error < np.sqrt(np.mean((last - test_y) ** 2)), "no better than last year's count"


if __name__ == "__main__":
    main()
