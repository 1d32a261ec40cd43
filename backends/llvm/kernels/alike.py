"""The kernels of one program, each built once: layers that are alike have kernels that are alike.

What a kernel does depends on ops, attributes and types. Only the tensors that it blames for errors belong to one place
in the graph, so those are put in for each.

Invariant: a kernel that was built before is given again only for a body, or an op, that is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from graphc.backends.llvm.kernel import Kernel, Site
from graphc.backends.llvm.kernels.loops import build_loops
from graphc.backends.llvm.kernels.matmul import finished_kernel
from graphc.backends.llvm.kernels.product import Product
from graphc.backends.llvm.kernels.stages import Stage
from graphc.backends.llvm.kernels.total_reductions import TwoSteps, in_two_steps
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait
from graphc.ir.sameness import attributes_key, graph_key
from graphc.ir.tensor import Tensor

Built = Kernel | tuple[Stage, ...] | None


class KernelsAlike:
    """Builds kernels, or finds the ones that it built before."""

    def __init__(self) -> None:
        self._nests: dict[Hashable, tuple[Kernel, list[int]]] = {}
        self._ops: dict[Hashable, Built] = {}
        self._steps: dict[Hashable, TwoSteps | None] = {}
        self._finished: dict[Hashable, Kernel | None] = {}

    def nest(self, body: Graph) -> Kernel:
        """The kernel of a loop nest."""
        key = graph_key(body)
        if key not in self._nests:
            kernel = build_loops(body)
            numbers = {tensor: number for number, tensor in enumerate(body.tensors)}
            self._nests[key] = kernel, [numbers[site.tensor] for site in kernel.sites]
        kernel, numbers_ = self._nests[key]
        return _blaming(kernel, [body.tensors[number] for number in numbers_])

    def finished(self, product: Product, body: Graph) -> Kernel | None:
        """The kernel of a product that the rest of this body finishes, if there is one."""
        key = product, graph_key(body)
        if key not in self._finished:
            self._finished[key] = finished_kernel(product, body)
        return self._finished[key]

    def two_steps(self, body: Graph) -> TwoSteps | None:
        """The two steps of a loop nest, if it is done in two."""
        if any(tensor.op.has(Trait.FALLIBLE) for tensor in body.tensors):
            return in_two_steps(body)  # the second one blames tensors of its own
        key = graph_key(body)
        if key not in self._steps:
            self._steps[key] = in_two_steps(body)
        return self._steps[key]

    def of_op(self, tensor: Tensor, build: Callable[[Tensor], Built]) -> Built:
        """The kernel, or the stages, of an op that has its own: it is the one to blame."""
        key = (tensor.op.name, tuple([t.type for t in tensor.inputs]), attributes_key(tensor.attrs), tensor.type)
        if key not in self._ops:
            self._ops[key] = build(tensor)
        built = self._ops[key]
        if built is None:
            return None
        if isinstance(built, Kernel):
            return _blaming(built, [tensor] * len(built.sites))
        return tuple(replace(s, kernel=_blaming(s.kernel, [tensor] * len(s.kernel.sites))) for s in built)


def _blaming(kernel: Kernel, tensors: Sequence[Tensor]) -> Kernel:
    """The kernel with other tensors to blame."""
    if not tensors:
        return kernel
    return replace(kernel, sites=tuple(Site(tensor, site.axis) for tensor, site in zip(tensors, kernel.sites)))


__all__ = ["KernelsAlike"]
