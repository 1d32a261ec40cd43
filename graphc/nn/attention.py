"""Attention: `attention`, a function of queries, keys and values, and `MultiHeadAttention`, the layer.

Invariant: in a mask true is "may look at", and what may not be looked at has weight 0 exactly.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc as gc
from graphc.nn import initializers
from graphc.nn.checking import flag, fraction, positive_integer, tensor
from graphc.nn.dropout import Dropout
from graphc.nn.initializers import Initializer
from graphc.nn.layer import Layer


def attention(
    query: gc.Tensor,
    key: gc.Tensor,
    value: gc.Tensor,
    *,
    mask: gc.Tensor | None = None,
    causal: bool = False,
) -> gc.Tensor:
    """softmax(query keyᵀ / sqrt(d)) value.

    A. Vaswani and others: Attention Is All You Need, 2017, equation 1.

    Args:
        query: of shape (..., places, d).
        key: of shape (..., sources, d).
        value: of shape (..., sources, e).
        mask: booleans that broadcast to (..., places, sources), true where a place may look at a source. A
            place that may look at none takes the mean of all values.
        causal: whether place i may look only at sources 0 .. i.

    Returns:
        A tensor of shape (..., places, e).

    Raises:
        ShapeError: the shapes do not fit.

    >>> import graphc as gc
    >>> q = gc.placeholder(("n", "t", 8))
    >>> gc.nn.attention(q, q, q, causal=True).type
    f32[n,t,8]
    """
    return gc.matmul(attention_weights(query, key, mask=mask, causal=causal), value)


def attention_weights(
    query: gc.Tensor, key: gc.Tensor, *, mask: gc.Tensor | None = None, causal: bool = False
) -> gc.Tensor:
    """How much each place looks at each source: (..., places, sources), rows of which sum to 1; see `attention`.

    >>> import graphc as gc
    >>> q, k = gc.placeholder(("n", "t", 8)), gc.placeholder(("n", "s", 8))
    >>> gc.nn.attention_weights(q, k).type
    f32[n,t,s]
    """
    query, key = tensor("attention", "query", query), tensor("attention", "key", key)
    depth: Any = query.shape[-1]
    scale = 1.0 / math.sqrt(depth) if isinstance(depth, int) else gc.rsqrt(gc.astype(depth, query.dtype))
    scores = gc.matmul(query * scale, gc.swapaxes(key, -1, -2))
    allowed = mask
    if causal:
        # The mask has no batch: it is made once for all of them.
        places, sources = gc.arange(scores.shape[-2]), gc.arange(scores.shape[-1])
        triangle = gc.expand_dims(places, 1) >= sources
        allowed = triangle if mask is None else gc.logical_and(mask, triangle)
    if allowed is not None:
        # The least finite number: its exponential is 0 beside any other, and a row of it alone is no NaN.
        scores = gc.where(allowed, scores, float(np.finfo(scores.dtype).min))
    return gc.softmax(scores, axis=-1)


class MultiHeadAttention(Layer):
    """Several attentions side by side, on linear maps of the inputs, and a linear map of what they find.

    A. Vaswani and others: Attention Is All You Need, 2017, section 3.2.2. Called with (query), all three are
    the query; with (query, key), the value is the key; with (query, key, value), each is what it says. All are of
    shape (batch, time, features).

    Args:
        heads: how many attentions.
        head_units: the size of queries and keys in each head; by default that of the query over `heads`.
        value_units: the size of values in each head; by default `head_units`.
        output_units: the size of the result; by default that of the query.
        dropout: the rate at which weights are dropped in training.
        use_bias: whether the linear maps add a bias.
        weight_init, bias_init: initialisers, by name, config or as objects.

    Call with:
        mask: booleans (places, sources), (batch, places, sources) or (batch, heads, places, sources), or of
            extents 1 in these; true where a place may look at a source. A mask of padded sources (batch,
            sources) is `mask[:, None, :]`.
        causal: whether place i may look only at sources 0 .. i.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: a shape does not fit, or a number of features is not known.

    >>> import graphc as gc
    >>> attend = gc.nn.MultiHeadAttention(4, name="attend")
    >>> attend(gc.nn.Input(("time", 64)), causal=True).type, attend.parameter_count
    (f32[batch,time,64], 16640)
    """

    def __init__(
        self,
        heads: int,
        head_units: int | None = None,
        *,
        value_units: int | None = None,
        output_units: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        weight_init: str | Initializer | dict[str, Any] = "glorot_uniform",
        bias_init: str | Initializer | dict[str, Any] = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        sizes = {"head_units": head_units, "value_units": value_units, "output_units": output_units}
        checked = {k: None if v is None else positive_integer(self.name, k, v) for k, v in sizes.items()}
        self.heads = positive_integer(self.name, "heads", heads)
        self.head_units = checked["head_units"]
        self.value_units = checked["value_units"]
        self.output_units = checked["output_units"]
        self.dropout = fraction(self.name, "dropout", dropout)
        self.use_bias = flag(self.name, "use_bias", use_bias)
        self.weight_init = initializers.get(weight_init)
        self.bias_init = initializers.get(bias_init)
        self._drop = Dropout(self.dropout, name=f"{self.name}.dropout", seed=self.seed) if self.dropout else None

    def build(self, query: gc.Tensor, key: gc.Tensor | None = None, value: gc.Tensor | None = None) -> None:
        """Make the four linear maps."""
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            self.expect_rank(x, 3, "(batch, time, features)")
        features = self.extent(query, 2, "the number of features")
        if self.head_units is None and features % self.heads:
            self.refuse(
                gc.ShapeError, f"{features} features do not make {self.heads} heads: say head_units: {query.type!r}"
            )
        head_units = self.head_units or features // self.heads
        value_units = self.value_units or head_units
        self._linear("query", features, self.heads * head_units)
        self._linear("key", self.extent(key, 2, "the number of features"), self.heads * head_units)
        self._linear("value", self.extent(value, 2, "the number of features"), self.heads * value_units)
        self._linear("output", self.heads * value_units, self.output_units or features)

    def call(
        self,
        query: gc.Tensor,
        key: gc.Tensor | None = None,
        value: gc.Tensor | None = None,
        /,
        *,
        mask: gc.Tensor | None = None,
        causal: bool = False,
    ) -> gc.Tensor:
        """(batch, places, output_units)."""
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            self.expect_rank(x, 3, "(batch, time, features)")
        if mask is not None and tensor(self.name, "mask", mask).ndim == 3:
            mask = gc.expand_dims(mask, 1)  # the same for all heads
        heads = [self._apart(self._mapped(n, x)) for n, x in (("query", query), ("key", key), ("value", value))]
        weights = attention_weights(heads[0], heads[1], mask=mask, causal=causal)
        if self._drop is not None:
            weights = self._drop(weights)
        return self._mapped("output", self._together(gc.matmul(weights, heads[2])))

    def _linear(self, name: str, inputs: int, outputs: int) -> None:
        self.parameter(f"{name}_weight", (inputs, outputs), self.weight_init)
        if self.use_bias:
            self.parameter(f"{name}_bias", (outputs,), self.bias_init)

    def _mapped(self, name: str, x: gc.Tensor) -> gc.Tensor:
        y = gc.matmul(self.operand(x), self._parameters[f"{name}_weight"])
        return y + self._parameters[f"{name}_bias"] if self.use_bias else y

    def _apart(self, x: gc.Tensor) -> gc.Tensor:
        """(batch, time, heads * units) -> (batch, heads, time, units)."""
        batch, time, units = x.shape
        return gc.permute_dims(gc.reshape(x, (batch, time, self.heads, units // self.heads)), (0, 2, 1, 3))

    def _together(self, x: gc.Tensor) -> gc.Tensor:
        """(batch, heads, time, units) -> (batch, time, heads * units)."""
        batch, heads, time, units = x.shape
        return gc.reshape(gc.permute_dims(x, (0, 2, 1, 3)), (batch, time, heads * units))
