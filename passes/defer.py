"""What a loop only adds up or puts out is computed after it, for all steps at once.

    total' = total + transpose(x_t) @ g_t     ->     total + transpose(X) @ G     X, G: all x_t, g_t, one below another
    total' = total + sum(g_t)                 ->     total + sum(G)               if G is stacked anyway
    output = g_t @ w                          ->     G @ w

These are the gradients of weights, biases and sequences. One product of T*N rows runs at the speed of the machine,
and no total is read and written in each step.

Invariant: a state that is deferred is read by nothing but its own addition, and only its last value is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.passes.scan_parts import ScanParts
from graphc.passes.slim import slim

#: From the new scan, what was deferred.
Later = Callable[[Tensor], Tensor]
_MOVED = ("reshape", "permute_dims")


def defer(graph: Graph) -> Graph:
    """`graph` with sums of products, and outputs that are products, computed after its scans."""
    found: dict[Tensor, _Deferral] = {}

    def rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        if tensor.op.name == "scan":
            deferral = _Deferral(ScanParts.of(tensor, inputs))
            if deferral.later:
                found[tensor] = deferral
                return deferral.parts.scan()
        source = tensor.inputs[0] if tensor.op.name == "get" else None
        if source in found:
            later = found[source].later.get(tensor.attrs["index"])
            if later is not None:
                with inherit(tensor.location, "via defer"):
                    return later(inputs[0])
        return with_inputs(tensor, inputs)

    result = graph.rebuild(rewritten) if any(t.op.name == "scan" for t in graph.tensors) else graph
    return slim(result) if found else graph


class _Deferral:
    """What of one scan can be computed after it.

    Attributes:
        parts: the scan, changed.
        later: how to compute a result of the old scan from the new one, by its number.
    """

    def __init__(self, parts: ScanParts) -> None:
        self.parts = parts
        self.later: dict[int, Later] = {}
        self.length = parts.tensor.attrs["length"]
        roots = [*parts.new, *parts.outputs]
        self.uses = Counter(operand for t in parts.tensors() for operand in t.inputs) + Counter(roots)
        terms = {i: found for i in range(len(parts.new)) if (found := self._terms(i))}
        self._defer_outputs()
        sums: dict[int, list[Later]] = {i: [] for i in terms}
        for rule in (self._product, self._sum):  # products first: they stack what may then be summed
            for i, waiting in terms.items():
                for term in list(waiting):
                    later = self._moved(term, rule)
                    if later is not None:
                        sums[i].append(later)
                        waiting.remove(term)
        for i, laters in sums.items():
            if laters:
                self._take_from_state(i, terms[i], laters)

    # ---- states ------------------------------------------------------------------------------------------

    def _terms(self, number: int) -> list[Tensor]:
        """What a step adds to a state; nothing where it does more with it."""
        state, new = list(self.parts.states)[number], self.parts.new[number]
        if self.uses[state] != 1 or self.uses[new] != 1 or new.op.name != "add":
            return []
        terms, stack = [], [new]
        while stack:
            tensor = stack.pop()
            if tensor.op.name == "add" and all(t.type == new.type for t in tensor.inputs) and self.uses[tensor] == 1:
                stack += reversed(tensor.inputs)
            else:
                terms.append(tensor)
        if state not in terms:
            return []
        terms.remove(state)
        return terms

    def _take_from_state(self, number: int, rest: list[Tensor], laters: list[Later]) -> None:
        """Let a state add up only `rest`, and add the others to its last value."""
        total = list(self.parts.states)[number]
        for term in rest:
            with inherit(term.location, "via defer"):
                total = apply(OPS["add"], total, term)
        self.parts.new[number] = total

        def later(scan: Tensor) -> Tensor:
            value = apply(OPS["get"], scan, index=number)
            for each in laters:
                value = apply(OPS["add"], value, each(scan))
            return value

        self.later[number] = later

    def _moved(self, term: Tensor, rule: Callable[[Tensor], Later | None]) -> Later | None:
        """How to add up a term of all steps, where `rule` knows what it is made of by reshapes and transposes."""
        if term.op.name not in _MOVED or self.uses[term] != 1:
            return rule(term)
        inner = self._moved(term.inputs[0], rule)
        if inner is None:
            return None
        known = inner
        return lambda scan: apply(term.op, known(scan), **term.attrs)

    def _product(self, term: Tensor) -> Later | None:
        """sum over t of transpose(x_t) @ y_t, or of its sum over batches."""
        product = term
        if term.op.name == "sum" and not term.attrs["keepdims"] and self.uses[term] == 1:
            (product,) = term.inputs
            if term.attrs["axis"] != tuple(range(product.ndim - 2)):
                return None
        if product.op.name != "matmul" or self.uses[product] != 1 or term.ndim != 2:
            return None
        left, y = product.inputs
        axes = (*range(left.ndim - 2), left.ndim - 1, left.ndim - 2)
        if left.op.name != "permute_dims" or left.attrs["axes"] != axes:
            return None
        x = left.inputs[0]
        if x.shape[:-1] != y.shape[:-1]:
            return None
        rows, columns = self._stack(x), self._stack(y)

        def later(scan: Tensor) -> Tensor:
            tall = [
                apply(OPS["reshape"], stack(scan), shape=(dims.product((self.length, *t.shape[:-1])), t.shape[-1]))
                for t, stack in ((x, rows), (y, columns))
            ]
            return apply(OPS["matmul"], apply(OPS["permute_dims"], tall[0], axes=(1, 0)), tall[1])

        return later

    def _sum(self, term: Tensor) -> Later | None:
        """sum over t of a sum of what is stacked anyway."""
        if term.op.name != "sum" or self.uses[term] != 1 or not self._is_stacked(term.inputs[0]):
            return None
        stack, axes = self._stack(term.inputs[0]), tuple(axis + 1 for axis in term.attrs["axis"])

        def later(scan: Tensor) -> Tensor:
            total = apply(OPS["sum"], stack(scan), axis=(0, *axes), keepdims=False)
            return total if total.type == term.type else apply(OPS["reshape"], total, shape=term.shape)

        return later

    # ---- stacks ------------------------------------------------------------------------------------------

    def _defer_outputs(self) -> None:
        """Outputs that are products by an invariant matrix, and are nothing but outputs."""
        for place, output in enumerate(list(self.parts.outputs)):
            product = output
            while product.op.name in _MOVED and self.uses[product] == 1:
                (product,) = product.inputs
            if product.op.name != "matmul" or self.uses[product] != 1:
                continue
            x, w = product.inputs
            if w not in self.parts.outside or w.ndim > x.ndim:
                continue
            self.later[len(self.parts.new) + place] = self._whole_product(output, product)

    def _whole_product(self, output: Tensor, product: Tensor) -> Later:
        x, w = product.inputs
        rows, matrix = self._stack(x), self.parts.outside[w]

        def later(scan: Tensor) -> Tensor:
            whole = apply(OPS["matmul"], rows(scan), matrix)
            return self._move(output, product, whole)

        return later

    def _is_stacked(self, tensor: Tensor) -> bool:
        while tensor.op.name in _MOVED:
            (tensor,) = tensor.inputs
        return tensor in self.parts.rows or tensor in self.parts.outputs

    def _stack(self, tensor: Tensor) -> Later:
        """The stack of a tensor of the body; of what it is reshaped or transposed from, if that is there."""
        base = tensor
        while base.op.name in _MOVED and base not in self.parts.outputs:
            (base,) = base.inputs
        where = self.parts.stacked(base)
        if isinstance(where, Tensor):
            return lambda scan: self._move(tensor, base, where)
        return lambda scan: self._move(tensor, base, apply(OPS["get"], scan, index=where))

    def _move(self, tensor: Tensor, base: Tensor, stack: Tensor) -> Tensor:
        """The stack of `tensor`, which is `base` reshaped or transposed, from the stack of `base`."""
        chain = []
        while tensor is not base:
            chain.append(tensor)
            (tensor,) = tensor.inputs
        for step in reversed(chain):
            if step.op.name == "reshape":
                stack = apply(OPS["reshape"], stack, shape=(self.length, *step.shape))
            else:
                stack = apply(OPS["permute_dims"], stack, axes=(0, *(axis + 1 for axis in step.attrs["axes"])))
        return stack
