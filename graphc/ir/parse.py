"""The textual IR, read: the inverse of `text.print_graph`.

Invariant: only ops of the registry are made, through `build.apply`, so each line is checked by its op's type
rule, and a line whose written type differs from the inferred one is refused with its number. A text is data:
whatever it holds, the worst that comes of it is a `ParseError`.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError, GraphError, ParseError
from graphc.ir.build import apply
from graphc.ir.close import check_symbols
from graphc.ir.collector import holding
from graphc.ir.graph import Constraint, Graph
from graphc.ir.location import UNKNOWN, Location, inherit
from graphc.ir.opdef import OPS, op_named
from graphc.ir.size_text import parse_size
from graphc.ir.tensor import Tensor, Variable
from graphc.ir.types import DTYPES, TensorType, TupleType, Type

_GRAPH = re.compile(r"(?:(\w+)=)?graph @([\w.<>-]+)\((.*)\) \{$")
_REQUIRE = re.compile(r"require ([^=]+) == ([^=]+) by ([\w.]+)$")
_TENSOR = re.compile(r"%([\w.]+) = ([\w.]+)(?: (%[\w.]+(?:, %[\w.]+)*))?(?: (\{.*\}))? : (.+?)( \{)?$")
_LOCATION = re.compile(r"(.+?):(\d{1,9})((?:, [^,]+)*)$")
_TYPE = re.compile(r"(\w+)\[(.*)\]$")
_NESTING_LIMIT = 16  # graphs in graphs
_BRACKET_LIMIT = 100  # brackets in brackets; arrays have at most 64 axes
_COMMENT_LIMIT = 4096  # characters; a longer comment is no location
_LARGEST_EXTENT = 2**63 - 1


@holding
def parse(text: str, variables: Mapping[str, Variable] | None = None) -> Graph:
    """The graph that `text` describes.

    Args:
        text: as `print(graph)` and `Function.dump()` give it.
        variables: the variables that the text's are, by name; no others may occur. By default each is a new one
            with zeros of its type: assign its value afterwards.

    Raises:
        ParseError: a line is not IR, names something undefined, or has another type than its op infers.

    >>> import graphc as gc
    >>> graph = gc.parse('''
    ... graph @double(%x: f32[n]) {
    ...   %0 = add %x, %x : f32[n]
    ...   return %0
    ... }''')
    >>> graph.outputs[0].type
    f32[n]
    """
    if not isinstance(text, str):
        raise ParseError(f"expected a text, not {type(text).__name__}")
    reader = _Reader(text, variables)
    graph, key = reader.graph(depth=0)
    if key is not None:
        raise reader.error("a top-level graph has no attribute name")
    if not reader.at_end():
        reader.next()
        raise reader.error("text after the end of the graph")
    try:
        check_symbols(graph)
    except GraphError as error:
        raise ParseError(error.message, hint=error.hint) from None
    return graph


class _Reader:
    """The lines of a text without blanks, with the number and location of the present one."""

    def __init__(self, text: str, variables: Mapping[str, Variable] | None) -> None:
        self.variables = variables
        self.lines = [
            (number, *_split_comment(line.strip()))
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.strip().startswith("#")
        ]
        self.position = 0

    def at_end(self) -> bool:
        return self.position >= len(self.lines)

    def next(self) -> tuple[str, Location]:
        if self.at_end():
            raise ParseError("the text ends inside a graph: a '}' is missing")
        _, code, location = self.lines[self.position]
        self.position += 1
        if sum(map(code.count, "([{")) > _BRACKET_LIMIT:
            depths = itertools.accumulate((c in "([{") - (c in ")]}") for _, c in unquoted(code))
            if max(depths, default=0) > _BRACKET_LIMIT:
                raise self.error(f"brackets nest deeper than {_BRACKET_LIMIT}")
        return code, location

    def error(self, message: str) -> ParseError:
        if not self.lines:
            return ParseError(message[:400])
        number, code, _ = self.lines[min(max(self.position - 1, 0), len(self.lines) - 1)]
        return ParseError(f"line {number}: {message[:400]}\n  {code[:200]}")

    def graph(self, depth: int) -> tuple[Graph, str | None]:
        """One graph, and the attribute name before it if it is a body."""
        if depth > _NESTING_LIMIT:
            raise self.error(f"graphs nest deeper than {_NESTING_LIMIT}")
        header, _ = self.next()
        match = _GRAPH.match(header)
        if not match:
            raise self.error("expected 'graph @name(%input: type, ...) {'")
        key, name, parameters = match.groups()
        tensors: dict[str, Tensor] = {}
        inputs = [self._parameter(p, tensors) for p in split_top_level(parameters)]
        constraints: list[Constraint] = []
        updates: list[tuple[Tensor, Tensor]] = []
        while True:
            code, location = self.next()
            if code.startswith("require "):
                constraints.append(self._constraint(code, location))
            elif code.startswith("update "):
                names = split_top_level(code.removeprefix("update "))
                if len(names) != 2:
                    raise self.error("expected 'update %variable, %value'")
                variable, value = (self._lookup(n, tensors) for n in names)
                if not isinstance(variable, Variable) or any(variable is v for v, _ in updates):
                    raise self.error(f"{names[0]} is no variable, or is updated twice")
                updates.append((variable, value))
            elif code == "return" or code.startswith("return "):
                outputs = [self._lookup(n, tensors) for n in split_top_level(code.removeprefix("return"))]
                if self.next()[0] != "}":
                    raise self.error("expected '}' after return")
                return Graph(name, tuple(inputs), tuple(outputs), tuple(updates), tuple(constraints)), key
            else:
                self._tensor(code, location, tensors, depth)

    def _parameter(self, text: str, tensors: dict[str, Tensor]) -> Tensor:
        name, _, type_text = text.partition(":")
        name = name.strip().removeprefix("%")
        type_ = self._tensor_type(type_text.strip())
        if name in tensors:
            raise self.error(f"%{name} is defined twice")
        tensors[name] = Tensor(OPS["placeholder"], (), {}, type_, UNKNOWN, _hint(name))
        return tensors[name]

    def _constraint(self, code: str, location: Location) -> Constraint:
        match = _REQUIRE.match(code)
        if not match:
            raise self.error("expected 'require size == size by reason'")
        try:
            return Constraint(parse_size(match[1]), parse_size(match[2]), match[3], location)
        except ValueError as error:
            raise self.error(str(error)) from None

    def _tensor(self, code: str, location: Location, tensors: dict[str, Tensor], depth: int) -> None:
        match = _TENSOR.match(code)
        if not match:
            raise self.error("expected '%name = op operands {attributes} : type'")
        name, op_name, operands, attributes, type_text, has_body = match.groups()
        if name in tensors:
            raise self.error(f"%{name} is defined twice")
        type_ = self._type(type_text)
        inputs = [self._lookup(n, tensors) for n in split_top_level(operands or "")]
        attrs = self._attributes(attributes, type_)
        start = self.position
        while has_body and not self.at_end() and self.lines[self.position][1] != "}":
            body, key = self.graph(depth + 1)
            if (key or "body") in attrs:
                raise self.error(f"the attribute {key or 'body'} is given twice")
            attrs[key or "body"] = body
        if has_body:
            self.next()
        try:
            tensor = self._make(name, op_name, inputs, attrs, type_, location)
            if tensor.type != type_:
                raise ParseError(f"the written type is {type_!r}, the op gives {tensor.type!r}")
        except Exception as error:  # rules are written for the front end, which never hands them such attributes
            self.position = start
            message = error.message if isinstance(error, GraphcError) else f"{op_name} does not take these: {error}"
            if op_name not in OPS:
                message += "; an op of your own must be made by gc.define_op before the text is read"
            raise self.error(message) from None
        tensors[name] = tensor

    def _make(
        self,
        name: str,
        op_name: str,
        inputs: list[Tensor],
        attrs: dict[str, Any],
        type_: Type,
        location: Location,
    ) -> Tensor:
        op, hint = op_named(op_name), _hint(name)
        if op_name == "placeholder":
            raise ParseError("a placeholder stands in the graph's parameter list")
        if op_name == "variable":
            if self.variables is not None:
                if name not in self.variables:
                    raise ParseError(f"the variable {name} is not among those given")
                return self.variables[name]
            shape = _fixed_shape(type_)
            assert isinstance(type_, TensorType)
            return Variable(op, np.zeros(shape, type_.dtype), type_, location, hint)
        takes_any = bool(op.operands) and op.operands[-1].startswith("*")
        if len(inputs) < len(op.operands) - takes_any or (len(inputs) > len(op.operands) and not takes_any):
            names = ", ".join(op.operands) or "none"
            raise ParseError(f"{op_name} takes the operands {names}; the line has {len(inputs)}")
        if op_name == "const" and not isinstance(attrs.get("value"), np.ndarray):
            attrs["value"] = self._scalar_constant(attrs.get("value"), type_)
        if sorted(attrs) != sorted(op.attrs):
            raise ParseError(f"{op_name} has the attributes {list(op.attrs)}, the line has {list(attrs)}")
        with inherit(location):
            return apply(op, *inputs, hint=hint, **{k: attrs[k] for k in op.attrs})

    def _scalar_constant(self, value: Any, type_: Type) -> np.ndarray:
        """A scalar, which prints without brackets, as an array."""
        dtype = type_.dtype if isinstance(type_, TensorType) else None
        kinds = {bool: "b", int: "iu", float: "f"}.get(type(value), "")
        if dtype is None or dtype.kind not in kinds:
            raise ParseError(f"the value is no {type_!r}")
        return self._array(np.asarray(value, dtype), type_)

    def _lookup(self, text: str, tensors: dict[str, Tensor]) -> Tensor:
        name = text.strip()
        if not name.startswith("%") or name[1:] not in tensors:
            raise self.error(f"{name} is not defined above")
        return tensors[name[1:]]

    def _type(self, text: str) -> Type:
        if text.startswith("(") and text.endswith(")"):
            return TupleType(tuple(self._tensor_type(t) for t in split_top_level(text[1:-1])))
        return self._tensor_type(text)

    def _tensor_type(self, text: str) -> TensorType:
        match = _TYPE.match(text)
        if not match or match[1] not in DTYPES:
            raise self.error(f"{text[:80]!r} is not a type such as f32[batch,10]")
        try:
            shape = tuple(parse_size(s) for s in split_top_level(match[2]))
        except ValueError as error:
            raise self.error(str(error)) from None
        if any(isinstance(s, int) and not 0 <= s <= _LARGEST_EXTENT for s in shape):
            raise self.error("an extent is negative or too large for memory")
        return TensorType(DTYPES[match[1]], shape)

    def _attributes(self, text: str | None, type_: Type) -> dict[str, Any]:
        attrs: dict[str, Any] = {}
        for item in split_top_level(text[1:-1] if text else ""):
            key, separator, value = item.partition("=")
            key = key.strip()
            if not separator:
                raise self.error(f"{item[:80]!r} is not 'name=value'")
            if key in attrs:
                raise self.error(f"the attribute {key} is given twice")
            try:
                attrs[key] = self._value(value.strip(), type_)
            except (ValueError, TypeError, OverflowError, MemoryError) as error:
                raise self.error(f"attribute {key}: {error}") from None
        return attrs

    def _value(self, text: str, type_: Type) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if text in DTYPES:
            return DTYPES[text]
        if text.startswith('"'):
            return json.loads(text)
        if _is_tuple(text):
            return tuple(self._value(item.strip(), type_) for item in split_top_level(text[1:-1]))
        if text.startswith('bytes("') and text.endswith('")'):
            return self._array(np.frombuffer(base64.b64decode(text[7:-2], validate=True), _little(type_)), type_)
        if text.startswith("["):
            return self._array(np.array(self._numbers(text, type_)), type_)
        if re.fullmatch(r"-?(\d+\.\d*(e[-+]?\d+)?|\d+e[-+]?\d+)", text):
            return float(text)
        return parse_size(text)

    def _numbers(self, text: str, type_: Type) -> Any:
        text = text.strip()
        if text.startswith("["):
            return [self._numbers(item, type_) for item in split_top_level(text[1:-1])]
        return _scalar(text, type_)

    def _array(self, array: np.ndarray, type_: Type) -> np.ndarray:
        shape = _fixed_shape(type_)
        assert isinstance(type_, TensorType)
        result = np.array(array.reshape(shape), type_.dtype, order="C")
        result.setflags(write=False)
        return result


_WORDS = {"none": None, "true": True, "false": False, "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def _is_tuple(text: str) -> bool:
    """Whether a text is `()`, `(a,)` or `(a, b)`, and not a size such as `(n+1)//2`."""
    inner = text[1:-1]
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depths = itertools.accumulate((c == "(") - (c == ")") for c in inner)
    return min(depths, default=0) >= 0 and (not inner or inner.endswith(",") or len(split_top_level(inner)) > 1)


def _fixed_shape(type_: Type) -> tuple[int, ...]:
    shape = type_.shape if isinstance(type_, TensorType) else (None,)
    fixed = tuple(s for s in shape if isinstance(s, int))
    if len(fixed) != len(shape):
        raise ParseError("constants and variables are single arrays of fixed shape")
    return fixed


def _scalar(text: str, type_: Type) -> Any:
    if not isinstance(type_, TensorType):
        raise ValueError("an array has one type")
    if type_.dtype == np.bool_:
        if text not in ("true", "false"):
            raise ValueError(f"{text[:80]!r} is neither true nor false")
        return text == "true"
    return type_.dtype.type(text) if type_.dtype.kind == "f" else type_.dtype.type(int(text))


def _little(type_: Type) -> np.dtype[Any]:
    if not isinstance(type_, TensorType):
        raise ValueError("an array has one type")
    return type_.dtype.newbyteorder("<")


def _hint(name: str) -> str | None:
    return None if name.isdigit() else name


def _split_comment(line: str) -> tuple[str, Location]:
    """The code of a line, and the location that its comment holds."""
    for i, character in unquoted(line):
        if character == "#":
            match = _LOCATION.match(line[i + 1 :].strip()) if len(line) - i < _COMMENT_LIMIT else None
            if not match:
                return line[:i].rstrip(), UNKNOWN
            via = tuple(match[3].split(", ")[1:]) if match[3] else ()
            return line[:i].rstrip(), Location(match[1], int(match[2]), "", via)
    return line, UNKNOWN


def unquoted(text: str) -> Iterator[tuple[int, str]]:
    r"""The characters of `text` outside quotes, with their positions; in quotes, a backslash escapes the next one.

    >>> "".join(c for _, c in unquoted(r'a "b\" c" d'))
    'a  d'
    """
    quoted = escaped = False
    for i, character in enumerate(text):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        else:
            yield i, character


def split_top_level(text: str) -> Sequence[str]:
    """`text` split at commas that stand outside brackets and quotes; empty parts dropped.

    >>> split_top_level('a, (b, c), "d, e"')
    ['a', '(b, c)', '"d, e"']
    """
    parts: list[str] = []
    depth, start = 0, 0
    for i, character in unquoted(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return [p for p in parts if p]
