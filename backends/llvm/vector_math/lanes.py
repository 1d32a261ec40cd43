"""A scalar C function applied lane by lane: for rare arguments, such as huge angles.

Invariant: the lanes go through memory in one run-time loop, so the text stays short at any lane count.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, element_bytes, element_type, lanes_of


def per_lane(
    b: Builder, stem: str, *operands: Value, where: Value | None = None, otherwise: Value | None = None
) -> Value:
    """libm's function of each lane; only for lanes of the mask ``where``, others keep ``otherwise``.

    ``stem`` is the double's name; floats use the same with an f.
    """
    x = operands[0]
    element, lanes = element_type(x.type), lanes_of(x.type)
    name = stem + "f" if element == "float" else stem
    if lanes == 1:
        if where is None or otherwise is None:
            return b.call(element, name, *operands)
        with b.if_(where, default=[otherwise], likely=False) as rare:
            rare.give(b.call(element, name, *operands))
        return rare.results[0]
    size = lanes * element_bytes(element)
    places = [b.alloca("i8", size) for _ in operands]
    for operand, place in zip(operands, places):
        b.store(operand, place, 64)
    result = b.alloca("i8", size)
    flags = None
    if where is not None and otherwise is not None:
        b.store(otherwise, result, 64)
        flags = b.alloca("i8", lanes)
        b.store(b.zext(where, "i8"), flags, 64)
    with b.loop(0, lanes) as loop:
        if flags is None:
            _one(b, element, name, places, result, loop.index)
        else:
            with b.if_(b.icmp("ne", b.load("i8", b.offset(flags, loop.index)), 0)):
                _one(b, element, name, places, result, loop.index)
    return b.load(x.type, result, 64)


def _one(b: Builder, element: str, name: str, places: list[Value], result: Value, index: Value) -> None:
    arguments = [b.load(element, b.gep(place, index, element)) for place in places]
    b.store(b.call(element, name, *arguments), b.gep(result, index, element))
