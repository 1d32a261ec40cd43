"""What was tried on rows of the table that miss their bars, and what stands in the way.

Invariant: only what was measured, and what was not tried is said so; a row that meets its bar shows none of it.
"""

from __future__ import annotations

from collections.abc import Mapping

_MEMORY = (
    "the row moves bytes and little else; we and the best peers all do it at the bandwidth of memory. What gained"
    " was to cut columns into blocks of 128 rows or more, so that each thread reads whole rows, and to add four rows"
    " at once to the row of totals (eight and two at once: level)"
)
_CEILING = (
    "the micro-kernel and the best peers' run within 10 to 16 % of the peak of multiply-adds, so the bar asks for"
    " more than is left. Slivers of 12 rows instead of 16 and prefetching were level, blocks of 384 columns 5 %"
    " slower. To share rows instead of columns was faster for the product alone, but a weight that both threads have"
    " read takes twice as long to update"
)
_CONVOLUTION = (
    "the kernels run at 95 to 97 % of the peak of multiply-adds since they read images where they lie, as tiles of a"
    " line; the transposes of channels-first images take 8 % at batch 32, 6 % at batch 1. Asking for what transposes"
    " write ahead was level or slower, for what they read 25 % faster. Fewer multiplications (Winograd) were not tried:"
    " NaN and infinities would spread to neighbours, against what we promise"
)
_SUMS = [
    f"sum over {what}, 4096x4096 {dtype}"
    for what in ("rows (axis 0)", "columns (axis 1)", "all")
    for dtype in ("f32", "f64")
]
_PRODUCTS = [
    f"matmul f32 {what}"
    for what in (
        "(128,512,784)", "256^3", "1024^3", "256^3 NT", "256^3 TN", "1024^3 NT", "1024^3 TN", "64 x (64,64,32)",
    )
]  # fmt: skip
_CONVOLUTIONS = [
    f"conv {what}"
    for shape in ("(32,32,26,26)", "(1,64,56,56)")
    for what in (f"{shape} x 64x3x3 forward", f"{shape} x 64x3x3 backward (dx, dw)")
]

#: Name of a workload -> text that follows a colon.
TRIED: Mapping[str, str] = {
    "tanh(a*b+c)*exp(-a*a)+log1p(abs(b)), 1,000 f32": (
        "47 cycles for 16 elements, of which the instructions take 38 by the throughput of the pipes; the bar needs"
        " 36. Wider and narrower vectors, other schedules, one masked loop and aligned inputs were level; tables in"
        " registers would save one or two instructions a function, by count"
    ),
    "softmax over rows of 4096x1024": (
        "exponentials are computed once and scaled while they are in the first-level cache; 18 cycles for 16"
        " elements, 10 of them the exponential and its sum, and some 4 what the three sweeps of a row wait for each"
        " other. Without the clamps of the exponential: 5 % less; longer blocks of the sum were level. Two rows at a"
        " time, and a running maximum, were not tried"
    ),
    "layer norm over rows of 4096x1024": (
        "0.57 to 0.73 ms from run to run, and torch 0.69 to 1.0 ms, both at the bandwidth of memory: the run decides."
        " In C, stores past the caches took as long or twice as long as ordinary ones at this size, for the third-level"
        " cache holds part of both arrays; to prefetch the next row was level"
    ),
    "logistic regression, value and gradient, 1,000x20 f64": (
        "the two softplus and two sigmoids of the cross-entropy share one exponential, and value and gradient one"
        " sweep; left are two products by a vector of 2 to 3 us and the sweep, each too short for two threads"
    ),
    **dict.fromkeys(_SUMS, _MEMORY),
    "matmul f32 (32,128,64)": "one thread at 92 % of its peak; the bar needs 95 %, or a second thread for 5 us of work",
    **dict.fromkeys(_PRODUCTS, _CEILING),
    "SGD step of 784-128-10, batch 32": (
        "bias, activation and the update of weights are done on the accumulators of products, which gained 3 % with"
        " one thread; prefetching what they read cost more than it gained. Threads share the rows of the weight's"
        " gradient (of its columns: 10 % more), and those that it last wrote were given to each thread again: level."
        " Where the two virtual cores lie far apart (350 ns for a cache line there and back, 60 where they do not), the"
        " step takes 1.5 times as long"
    ),
    "Adam step of 784-512-512-10, batch 128": (
        "products near the peak, and updates at the bandwidth of memory. To update weights tile by tile after their"
        " product was level, with prefetching 5 to 8 % slower, so that updates with roots stay loops of their own"
    ),
    "SGD step of a VAE 784-400-20, batch 128": (
        "nine tenths of the time are products at nine tenths of the peak; products of 20 columns use 62 % of their"
        " lanes"
    ),
    "SGD step of a CNN on 32x32, batch 32": (
        "at about 80 % of the peak of multiply-adds, where the bar needs all of it: the three large convolutions run"
        " at 96 %. Left are biases, activations and pools between them, at the bandwidth of the caches,"
        " and the dense layer of 100 columns"
    ),
    **dict.fromkeys(_CONVOLUTIONS, _CONVOLUTION),
    "SGD step of LSTM(50) on (32,10,1)": (
        "threads share both loops by parts of the batch; small products read operands where they lie, which took the"
        " step from 222 to 181 us, and what a thread saves for the loop backwards lies together: 169 us."
        " Left are the gates' functions, which wait for each other's results, and a quarter of the loop backwards for"
        " lines of memory that the other thread has read"
    ),
    "SGD step of LSTM(256) on (32,100,64)": (
        "products of 16 rows for each thread, which share both loops by parts of the batch; to share each product by"
        " columns was level to a fifth slower"
    ),
}

#: Name of a layout -> text that follows a colon, for cases of that layout.
TRIED_LAYOUTS: Mapping[str, str] = {
    "every second element": (
        "twice as many cache lines are read, at the bandwidth of the caches, and the call looks up how the array lies,"
        " which takes 4 us; asking for lines ahead, of the same row or of the next, was level"
    ),
    "reversed": (
        "rows are read backwards, which the processor does not foresee; to ask for the next row meanwhile took the"
        " expression from 2.9 to between 1.4 and 2.3, as it happened"
    ),
    "transposed": (
        "the array is copied first, since a sum in the order of its memory would have other bits, and bits do not"
        " depend on how arrays lie. The copy takes longer than the sum: rows 4096 bytes apart compete for the same"
        " eight places of the first-level cache. Copies by way of a buffer gained a tenth there, and cost a fifth at"
        " 1000"
    ),
}
