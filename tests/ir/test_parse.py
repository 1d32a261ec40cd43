"""Reading text: what is IR, and that nothing but a ParseError comes of what is not, however hostile."""

import random
import time

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ParseError
from graphc.ir.parse import parse, split_top_level
from graphc.ir.text import print_graph
from graphc.ir.verify import verify


def graph(body, head="%x: f32[n]", result="%x"):
    return f"graph @f({head}) {{\n{body}\n  return {result}\n}}\n"


def test_blank_lines_comments_and_indentation_do_not_matter():
    text = "# by hand\n\n  graph @f(%x: f32[n]) {\n%y = exp %x : f32[n] # why not\n\n      return %y\n # done\n}\n\n"
    parsed = parse(text)
    assert parsed.outputs[0].hint == "y" and parsed.inputs[0].hint == "x" and parsed.name == "f"
    np.testing.assert_array_equal(gc.ir.evaluate.evaluate(parsed, [np.zeros(2, "f4")])[0], [1, 1])


def test_locations_come_back():
    parsed = parse(graph("  %0 = exp %x : f32[n]   # a, b/c.py:12, grad of exp, via simplify.x", result="%0"))
    place = parsed.outputs[0].location
    assert (place.file, place.line, place.via) == ("a, b/c.py", 12, ("grad of exp", "via simplify.x"))


def test_variables_updates_and_constraints():
    parsed = parse(
        graph(
            "  require n == m by add\n  %w = variable : f32[2]\n  %0 = add %x, %y : f32[n]\n  update %w, %z",
            "%x: f32[n], %y: f32[m], %z: f32[2]", "%0, %0",
        )
    )  # fmt: skip
    assert [str(c) for c in parsed.constraints] == ["n == m"] and parsed.outputs[0] is parsed.outputs[1]
    (w, z), = parsed.updates
    assert isinstance(w, gc.Variable) and w.value.tolist() == [0, 0] and z is parsed.inputs[2]
    verify(parsed)


BAD = {
    "no text": ("", "the text ends inside a graph"),
    "no graph": ("hello", "line 1: expected 'graph @name"),
    "no end": ("graph @f() {", "a '}' is missing"),
    "no brace": ("graph @f() {\n return", "a '}' is missing"),
    "no return": ("graph @f() {\n}", "expected '%name = op"),
    "two graphs": ("graph @f() {\n return\n}\ngraph @g() {\n return\n}", "line 4: text after the end"),
    "body at top": ("body=graph @f() {\n return\n}", "a top-level graph has no attribute name"),
    "undefined": (graph("  %0 = exp %y : f32[n]"), "line 2: %y is not defined above"),
    "itself": (graph("  %0 = exp %0 : f32[n]"), "%0 is not defined above"),
    "returned undefined": (graph("", result="%y"), "%y is not defined above"),
    "returned word": (graph("", result="x"), "x is not defined above"),
    "defined twice": (graph("  %x = exp %x : f32[n]"), "line 2: %x is defined twice"),
    "input twice": (graph("", "%x: f32[n], %x: f32[n]"), "%x is defined twice"),
    "input without type": (graph("", "%x"), "'' is not a type"),
    "input of tuple": (graph("", "%x: (f32[n])"), "is not a type"),
    "a size for a dtype": (graph("  %0 = cast %x {dtype=-f32} : f32[n]"), "line 2: cast does not take these"),
    "unknown op": (graph("  %0 = exq %x : f32[n]"), "line 2: there is no op named 'exq'"),
    "unknown dtype": (graph("  %0 = exp %x : f16[n]"), "'f16[n]' is not a type"),
    "wrong dtype": (graph("  %0 = exp %x : f64[n]"), "the written type is f64[n], the op gives f32[n]"),
    "wrong shape": (graph("  %0 = exp %x : f32[m]"), "the written type is f32[m], the op gives f32[n]"),
    "too few operands": (graph("  %0 = add %x : f32[n]"), "add takes the operands x, y; the line has 1"),
    "too many operands": (graph("  %0 = exp %x, %x : f32[n]"), "exp takes the operands x; the line has 2"),
    "operands of a source": (graph("  %0 = iota %x {size=3, dtype=i64} : i64[3]"), "iota takes the operands none"),
    "no attributes": (graph("  %0 = sum %x : f32[]"), "sum has the attributes ['axis', 'keepdims'], the line has []"),
    "wrong attribute": (graph("  %0 = exp %x {axis=1} : f32[n]"), "exp has the attributes []"),
    "attribute twice": (graph("  %0 = cast %x {dtype=f64, dtype=f64} : f64[n]"), "dtype is given twice"),
    "attribute alone": (graph("  %0 = cast %x {f64} : f64[n]"), "'f64' is not 'name=value'"),
    "attribute of a wrong kind": (graph('  %0 = sum %x {axis="a", keepdims=3} : f32[n]'), "sum does not take these"),
    "axis too large": (graph("  %0 = sum %x {axis=(4,), keepdims=false} : f32[n]"), "line 2: sum"),
    "const twice": (graph("  %0 = const {value=1} : f32[]"), "the value is no f32[]"),
    "const range": (graph("  %0 = const {value=300} : i8[]"), "line 2: "),
    "const range in list": (graph("  %0 = const {value=[300]} : i8[1]"), "attribute value: "),
    "const word": (graph("  %0 = const {value=[maybe]} : bool[1]"), "'maybe' is neither true nor false"),
    "const string": (graph('  %0 = const {value="a"} : f32[]'), "the value is no f32[]"),
    "const size": (graph("  %0 = const {value=n} : i64[]"), "the value is no i64[]"),
    "const tuple type": (graph("  %0 = const {value=[1]} : (f32[1])"), "an array has one type"),
    "const symbolic": (graph("  %0 = const {value=[1.0]} : f32[n]"), "of fixed shape"),
    "const wrong count": (graph("  %0 = const {value=[1, 2]} : i64[3]"), "attribute value: cannot reshape"),
    "const ragged": (graph("  %0 = const {value=[[1, 2], [3]]} : i64[3]"), "attribute value: "),
    "bytes cut": (graph('  %0 = const {value=bytes("AAA")} : f32[100]'), "attribute value: "),
    "bytes short": (graph('  %0 = const {value=bytes("AAAA")} : f32[100]'), "attribute value: "),
    "bytes open": (graph('  %0 = const {value=bytes("AAAA} : f32[1]'), "line 2: "),
    "string open": (graph('  %0 = print %x {message="a} : f32[n]'), "line 2: "),
    "string escape": (graph('  %0 = print %x {message="\\q"} : f32[n]'), "attribute message: "),
    "negative extent": (graph("  %0 = variable : f32[-3]"), "an extent is negative"),
    "huge extent": (graph("  %0 = variable : f64[9223372036854775808]"), "too large for memory"),
    "huge variable": (graph("  %0 = variable : f64[99999999999999,9]"), "variable does not take these"),
    "symbolic variable": (graph("  %0 = variable : f64[n]"), "fixed shape"),
    "tuple variable": (graph("  %0 = variable : (f64[2], f32[2])"), "fixed shape"),
    "placeholder inside": (graph("  %0 = placeholder : f32[n]"), "stands in the graph's parameter list"),
    "update of no variable": (graph("  update %x, %x"), "%x is no variable"),
    "update twice": (graph("  %w = variable : f32[2]\n  update %w, %w\n  update %w, %w"), "is updated twice"),
    "update of one": (graph("  update %x"), "expected 'update %variable, %value'"),
    "require nothing": (graph("  require n by add"), "expected 'require"),
    "require no size": (graph("  require n+ == n by add"), "a size ends too early"),
    "unbound size": (graph("  %0 = iota {size=k, dtype=i64} : i64[k]", result="%0"), "the size 'k' in i64[k] is"),
    "body missing": (graph("  %0 = exp %x : f32[n] {"), "line 3: expected 'graph"),
    "body cut": ("graph @f(%x: f32[n]) {\n  %0 = fused %x : f32[n] {\n", "a '}' is missing"),
    "index of a result": (graph("  %0 = get %x {index=0} : f32[n]"), "the operand has a single result"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case):
    text, message = BAD[case]
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert message in str(caught.value), str(caught.value)
    assert len(str(caught.value)) < 800


def bomb(depth):
    opening = "  %0 = fused %x : f32[n] {\n graph @b(%x: f32[n]) {\n"
    return "graph @f(%x: f32[n]) {\n" + opening * depth + " return %x\n}\n" * depth + " return %x\n}\n"


HUGE = 200_000
HOSTILE = {
    "nested graphs": bomb(5000),
    "nested lists": graph("  %0 = const {value=" + "[" * HUGE + "1" + "]" * HUGE + "} : f32[1]"),
    "nested lists at the limit": graph("  %0 = const {value=" + "[" * 90 + "1" + "]" * 90 + "} : i64[1]"),
    "nested tuples": graph("  %0 = sum %x {axis=" + "(" * HUGE + "1," + "),)" * HUGE + ", keepdims=false} : f32[n]"),
    "nested types": graph("  %0 = exp %x : " + "(" * HUGE + "f32[n]" + ")" * HUGE),
    "nested sizes": graph("  %0 = exp %x : f32[" + "(" * HUGE + "n" + ")" * HUGE + "]"),
    "nested calls": graph("  require " + "max(" * 5000 + "n" + ",1)" * 5000 + " == n by add"),
    "open brackets": graph("  %0 = exp %x {" + "[" * HUGE + "} : f32[n]"),
    "closed brackets": graph("  %0 = exp %x {" + "])}" * HUGE + "} : f32[n]"),
    "long number": graph("  %0 = const {value=" + "9" * HUGE + "} : i64[]"),
    "long product": graph("  %0 = exp %x : f32[" + "*".join(["9" * 4000] * 20) + "]"),
    "long modulo": graph("  %0 = exp %x : f32[n" + "%3%5" * 500 + "]"),
    "long quotient": graph("  %0 = exp %x : f32[" + "n" + "//m" * 500 + "]"),
    "polynomial": graph("  require " + "*".join(f"(a{i}+b{i})" for i in range(60)) + " == n by add"),
    "long line number": graph("  %0 = exp %x : f32[m]  # a.py:" + "9" * HUGE),
    "many requires": graph("  require" + " == n by a" * 20_000),
    "many colons": graph("  %0 = exp %x : f32[m]" + " : f32[n]" * 20_000),
    "many quotes": graph('  %0 = print %x {message="' + '\\"' * HUGE + "} : f32[n]"),
    "many commas": graph("  %0 = add %x" + ", " * HUGE + " : f32[n]"),
    "control characters": "graph @f(%x: f32[n]) {\x00\n\x1b[2J return %x\n}",
    "other line ends": "graph @f(%x: f32[n]) {\u2028 return\x85%x\x0c}",
    "surrogate": graph("  %0 = exp %\ud800 : f32[n]"),
    "exponent": graph("  %0 = const {value=1e999999999} : i64[]"),
    "array of the largest extent": graph("  %0 = const {value=[]} : f32[9223372036854775807,0,9223372036854775807]"),
    "steps": graph("  %0 = slice %x {start=(0,), size=(n,), step=(0,)} : f32[n]"),
    "pad without end": graph("  %0 = pad %x, %x {before=(99999999999999999999,), after=(0,)} : f32[n]"),
    "zero divisor": graph("  %0 = exp %x : f32[n//0]"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_texts_end_soon_in_a_parse_error(case):
    start = time.process_time()
    with pytest.raises(ParseError) as caught:
        parse(HOSTILE[case])
    assert time.process_time() - start < 3 and len(str(caught.value)) < 800


@pytest.mark.parametrize("wrong", [None, 5, b"graph @f() {\n  return\n}", ["graph"]])
def test_only_texts_are_read(wrong):
    with pytest.raises(ParseError, match="expected a text, not"):
        parse(wrong)


def samples():
    x = gc.placeholder(("n", 8), "float32", name="x")
    w = gc.variable(np.ones((8, 4), "f4"), name="w")
    y = gc.softmax(x @ w, axis=1)
    q, r = gc.linalg.qr(w)
    outputs = [gc.sum(y) + gc.sum(q @ r), gc.print(y[::2], 'a "b", \\ # c'), gc.take(y, [0, 1], axis=1)]
    outputs += [gc.sort(x, axis=1), gc.pad(x, 1), gc.concat([x, x], axis=0), gc.constant(np.arange(70))]
    outputs += [gc.random.uniform(x.shape, seed=3)]
    f = gc.function([x], outputs, updates={w: w * np.float32(0.5)}, backend="llvm")
    return [f.dump(), f.dump("decompose"), f.dump("final")]


PIECES = ["{", "}", "(", ")", "[", "]", ",", "%", "=", ":", "#", '"', "\\", "\n", " ", "0", "-1", "9" * 20,
          "n", "n//0", "none", "true", "nan", "f32", "f32[n]", "i64[2]", "(f32[2], i8[])", "%x", "%0", "const", "get",
          "variable", "fused", "slice", "return", "update %w, %0", "require n == 3 by add", "bytes(\"AA==\")", "()",
          "(1,)", "(0, 0)", "[1, 2]", "axis=0", "graph @g() {", "\t", "\ud800", "٣"]  # fmt: skip


def mutated(rng, text):
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(text))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:at] + text[at + rng.randrange(1, 30) :]
        elif kind == 1:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif kind == 2:
            text = text[:at] + rng.choice(PIECES) + text[at + rng.randrange(1, 8) :]
        elif kind == 3:
            lines = text.split("\n")
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        else:
            words = text.split(" ")
            words[rng.randrange(len(words))] = rng.choice(words)
            text = " ".join(words)
        text = text or "graph"
    return text


@pytest.mark.parametrize("seed", range(3))
def test_mutated_texts(seed):
    """Each is refused by a ParseError, or is a graph that verifies and prints to a text that reads back."""
    rng, texts, read = random.Random(seed), samples(), 0
    for _ in range(80):
        text = mutated(rng, rng.choice(texts))
        try:
            parsed = parse(text)
        except ParseError as error:
            assert len(str(error)) < 1000
            continue
        read += 1
        verify(parsed)
        printed = print_graph(parsed)
        assert print_graph(parse(printed)) == printed, text
    assert read


def test_top_level_commas():
    assert split_top_level(' a , f(b, c), "d, \\" e", [g, {h, i}] ,, ') == ["a", "f(b, c)", '"d, \\" e"', "[g, {h, i}]"]
    assert split_top_level("") == []


def test_variables_that_are_given():
    """The text's variables are those given by name: none is made, and one that is missing or different is refused."""
    text = "graph @g() {\n  %w = variable : f64[2]\n  %0 = add %w, %w : f64[2]\n  update %w, %0\n  return %0\n}\n"
    w = gc.variable([1.0, 2.0], name="weights")
    graph = gc.parse(text, {"w": w, "other": gc.variable(0.0)})
    assert graph.variables == (w,) and graph.updates[0][0] is w
    for variables, message in [
        ({}, "the variable w is not among those given"),
        ({"w": gc.variable([1.0])}, r"the written type is f64\[2\], the op gives f64\[1\]"),
    ]:
        with pytest.raises(gc.ParseError, match=message):
            gc.parse(text, variables)
    huge = text.replace("[2]", "[1000000000000000]")
    with pytest.raises(gc.ParseError, match="not among"):
        gc.parse(huge, {})


def test_an_op_that_is_not_there_says_how_it_could_be():
    with pytest.raises(gc.ParseError, match=r"no op named 'mine\.op'.*gc\.define_op"):
        gc.parse("graph @g(%x: f32[]) {\n  %0 = mine.op %x : f32[]\n  return %0\n}")


def test_a_comment_that_would_take_long_to_read_is_no_location():
    graph = gc.parse("graph @g(%x: f32[]) {\n  %0 = exp %x : f32[]  # " + ":1, " * 100_000 + ",\n  return %0\n}")
    assert graph.outputs[0].location.line == 0
