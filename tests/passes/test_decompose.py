from collections import Counter

import pytest
from checking import ALL_NATIVE, canonical, graph, same_values

from graphc.ir.opdef import OPS
from graphc.ir.verify import verify
from graphc.passes.decompose import decompose

EXPANDED = sorted(name for name, op in OPS.items() if op.expand is not None)
GRAPHS = {
    "softmax": ("%x: f32[n,3]", "%0 = softmax %x {axis=1} : f32[n,3]"),
    "log_softmax": ("%x: f32[n,3]", "%0 = log_softmax %x {axis=1} : f32[n,3]"),
    "logsumexp": ("%x: f32[n,3]", "%0 = logsumexp %x {axis=(1,), keepdims=false} : f32[n]"),
    "logaddexp": ("%x: f32[n], %y: f32[n]", "%0 = logaddexp %x, %y : f32[n]"),
    "rsqrt": ("%x: f32[n]", "%0 = rsqrt %x : f32[n]"),
    "softplus": ("%x: f32[n]", "%0 = softplus %x : f32[n]"),
    "conv_planes": (
        "%x: f32[n,3,9], %w: f32[3,1,2]",
        "%0 = conv_planes %x, %w {before=(1,), after=(0,), dilation=(2,)} : f32[n,3,8]",
    ),
    "conv_planes_weights": (
        "%x: f32[n,3,9], %y: f32[n,3,8]",
        "%0 = conv_planes_weights %x, %y {window=(2,), before=(1,), after=(0,), dilation=(2,)} : f32[3,1,2]",
    ),
    "random_bits": ("%k: u64[], %c: u64[n]", "%0 = random_bits %k, %c : u64[n]"),
}


def run(given, native=frozenset(), fired=None):
    return decompose(given, native=native, fired=Counter() if fired is None else fired)


@pytest.mark.parametrize("name", EXPANDED)
def test_what_a_backend_lacks_is_expanded_to_the_same_values(name):
    given = graph(*GRAPHS[name])
    fired = Counter()
    found = run(given, ALL_NATIVE - {name}, fired)
    verify(found)
    assert name not in {t.op.name for t in found.tensors} and fired[f"decompose.{name}"] == 1
    same_values(given, found, "rounded")


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_expansion_goes_on_until_nothing_can_be_expanded(name):
    found = run(graph(*GRAPHS[name]))
    assert not {t.op.name for t in found.tensors} & set(EXPANDED)


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_native_ops_stay(name):
    given = graph(*GRAPHS[name])
    assert canonical(run(given, ALL_NATIVE)) == canonical(given)


def test_ops_without_an_expansion_stay():
    given = graph("%x: f32[n]", "%0 = sort %x {axis=0, descending=false} : f32[n]")
    assert canonical(run(given)) == canonical(given)


def test_the_users_line_stays():
    found = run(graph("%x: f32[n,3]", "%0 = softmax %x {axis=1} : f32[n,3]  # model.py:3"))
    (output,) = found.outputs
    assert str(output.location) == "model.py:3, via decompose.softmax"
