"""Convolutions: which kernels for which op.

    conv, conv_transpose    pack the weights, then gather and multiply    convolution_packing.py, _rows.py, _product.py
      of known lines        read the image where it lies                  line_convolution.py
      depthwise             vectors of channels, tap by tap               depthwise.py
    conv_weights            sums of outer products, in blocks of pixels   convolution_weights.py

Images have their channels last; see `graphc/ops/windows.py`.

Invariant: all kernels take any extents, symbolic ones included; strides, dilation and groups are part of their text.
"""

from __future__ import annotations

from graphc.backends.llvm.kernels.convolution_packing import packed_type, packing_kernel
from graphc.backends.llvm.kernels.convolution_product import product_blocking, product_kernel
from graphc.backends.llvm.kernels.correlation import correlation_of
from graphc.backends.llvm.kernels.depthwise import depthwise_stages, is_depthwise
from graphc.backends.llvm.kernels.line_convolution import known_lines, line_kernel
from graphc.backends.llvm.kernels.stages import Stage
from graphc.backends.llvm.target import Target, host_target
from graphc.ir.tensor import Tensor


def build_conv(tensor: Tensor, target: Target | None = None) -> tuple[Stage, ...]:
    """The kernels of a `conv` or `conv_transpose` tensor, for this machine or another."""
    work, target = correlation_of(tensor), target or host_target()
    if is_depthwise(work):
        return depthwise_stages(tensor, work, target)
    shape = product_blocking(work, target)
    known = known_lines(work, shape, target)
    product = product_kernel(work, shape, target) if known is None else line_kernel(work, shape, known, target)
    return (
        Stage(packing_kernel(work, shape, target), (1,), packed_type(work, shape)),
        Stage(product, (0, 2), tensor.tensor_type),
    )
