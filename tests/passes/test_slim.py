"""Loops and branches without what nobody reads."""

from checking import check, graph, unchanged

from graphc.passes.slim import slim

CHAIN = """
graph @step(%x: f32[n], %a: f32[n], %b: f32[n], %w: f32[n], %v: f32[n]) {
%0 = add %a, %x : f32[n]
%1 = multiply %b, %w : f32[n]
%2 = sin %v : f32[n]
return %0, %1, %2, %x, %b
}
}
"""


def scan(results, states=2, operands="%x, %a, %b, %w, %v", body=CHAIN):
    count = {"sequences": 1, "states": states}
    attrs = ", ".join(["length=t", *(f"{k}={v}" for k, v in count.items()), "reverse=false"])
    return f"%0 = scan {operands} {{{attrs}}} : ({results}) {{{body}"


PARAMETERS = "%x: f32[t,n], %a: f32[n], %b: f32[n], %w: f32[n], %v: f32[n]"
ALL = "f32[n], f32[n], f32[t,n], f32[t,n], f32[t,n]"


def test_a_state_that_nothing_needs_goes_and_so_do_its_operands():
    check(
        slim, PARAMETERS,
        scan(ALL) + "%1 = get %0 {index=0} : f32[n]",
        scan("f32[n]", 1, "%x, %a", """
        graph @step(%x: f32[n], %a: f32[n]) {
        %0 = add %a, %x : f32[n]
        return %0
        }
        }
        """) + "%1 = get %0 {index=0} : f32[n]",
    )  # fmt: skip


def test_an_output_may_need_a_state():
    check(
        slim, PARAMETERS,
        scan(ALL) + "%1 = get %0 {index=4} : f32[t,n]",
        "%0 = scan %b, %w {length=t, sequences=0, states=1, reverse=false} : (f32[n], f32[t,n]) {" + """
        graph @step(%b: f32[n], %w: f32[n]) {
        %0 = multiply %b, %w : f32[n]
        return %0, %b
        }
        }
        %1 = get %0 {index=1} : f32[t,n]
        """,
    )  # fmt: skip


def test_a_row_that_is_put_out_is_the_sequence_itself():
    check(slim, PARAMETERS, scan(ALL) + "%1 = get %0 {index=3} : f32[t,n]", "return %x")


def test_operands_and_outputs_that_are_there_twice():
    check(
        slim, "%x: f32[t], %w: f32[]",
        """
        %0 = scan %x, %x, %w, %w {length=t, sequences=2, states=0, reverse=false} : (f32[t], f32[t]) {
        graph @step(%0: f32[], %1: f32[], %2: f32[], %3: f32[]) {
        %4 = multiply %0, %2 : f32[]
        %5 = add %4, %1 : f32[]
        %6 = add %5, %3 : f32[]
        return %6, %6
        }
        }
        %1 = get %0 {index=0} : f32[t]
        %2 = get %0 {index=1} : f32[t]
        return %1, %2
        """,
        """
        %0 = scan %x, %w {length=t, sequences=1, states=0, reverse=false} : (f32[t]) {
        graph @step(%0: f32[], %1: f32[]) {
        %2 = multiply %0, %1 : f32[]
        %3 = add %2, %0 : f32[]
        %4 = add %3, %1 : f32[]
        return %4
        }
        }
        %1 = get %0 {index=0} : f32[t]
        %2 = get %0 {index=0} : f32[t]
        return %1, %2
        """,
    )  # fmt: skip


def test_a_state_that_never_changes_is_no_state():
    check(
        slim, "%x: f32[t], %a: f32[], %b: f32[]",
        """
        %0 = scan %x, %a, %b {length=t, sequences=1, states=2, reverse=true} : (f32[], f32[]) {
        graph @step(%x: f32[], %a: f32[], %b: f32[]) {
        %0 = multiply %a, %b : f32[]
        %1 = add %0, %x : f32[]
        return %1, %b
        }
        }
        %1 = get %0 {index=0} : f32[]
        %2 = get %0 {index=1} : f32[]
        return %1, %2
        """,
        """
        %0 = scan %x, %a, %b {length=t, sequences=1, states=1, reverse=true} : (f32[]) {
        graph @step(%x: f32[], %a: f32[], %b: f32[]) {
        %0 = multiply %a, %b : f32[]
        %1 = add %0, %x : f32[]
        return %1
        }
        }
        %1 = get %0 {index=0} : f32[]
        return %1, %b
        """,
    )  # fmt: skip


def test_results_and_operands_of_branches():
    check(
        slim, "%p: bool[], %x: f32[n], %y: f32[n], %z: f32[n]",
        """
        %0 = cond %p, %x, %y, %z : (f32[n], f32[n]) {
        then=graph @then(%x: f32[n], %y: f32[n], %z: f32[n]) {
        %0 = sin %x : f32[n]
        return %0, %z
        }
        otherwise=graph @otherwise(%x: f32[n], %y: f32[n], %z: f32[n]) {
        %0 = cos %y : f32[n]
        return %y, %0
        }
        }
        %1 = get %0 {index=0} : f32[n]
        """,
        """
        %0 = cond %p, %x, %y : (f32[n]) {
        then=graph @then(%x: f32[n], %y: f32[n]) {
        %0 = sin %x : f32[n]
        return %0
        }
        otherwise=graph @otherwise(%x: f32[n], %y: f32[n]) {
        return %y
        }
        }
        %1 = get %0 {index=0} : f32[n]
        """,
    )  # fmt: skip


WHILE = """
%0 = while_loop %a, %b, %w {{states={states}, limit=none}} : ({types}) {{
condition=graph @condition({parameters}) {{
%0 = const {{value=3.0}} : f32[]
%1 = less %a, %0 : bool[]
return %1
}}
graph @body({parameters}) {{
{lines}
}}
}}
%1 = get %0 {{index=0}} : f32[]
"""


def test_states_of_a_while():
    lines = "%0 = add %a, %w : f32[]\n"
    before = WHILE.format(
        states=2, types="f32[], f32[]", parameters="%a: f32[], %b: f32[], %w: f32[]",
        lines=lines + "%1 = sin %b : f32[]\nreturn %0, %1",
    )  # fmt: skip
    after = WHILE.format(states=1, types="f32[]", parameters="%a: f32[], %w: f32[]", lines=lines + "return %0")
    parameters = "%a: f32[], %b: f32[], %w: f32[]"
    found = slim(graph(parameters, before))
    assert str(found) == str(graph(parameters, after.replace("%a, %b, %w {", "%a, %w {")))


def test_inner_loops_are_slimmed_first():
    inner = """
    %{n} = scan %x, %w, %v {{length=k, sequences=1, states=1, reverse=false}} : (f32[], f32[k]) {{
    graph @inner(%0: f32[], %1: f32[], %2: f32[]) {{
    %3 = add %1, %0 : f32[]
    %4 = multiply %3, %2 : f32[]
    return %3, %4
    }}
    }}
    """
    before = f"""
    %0 = scan %x, %w, %v {{length=t, sequences=1, states=0, reverse=false}} : (f32[t]) {{
    graph @outer(%x: f32[k], %w: f32[], %v: f32[]) {{
    {inner.format(n=0)}
    %1 = get %0 {{index=0}} : f32[]
    return %1
    }}
    }}
    %1 = get %0 {{index=0}} : f32[t]
    """
    (loop,) = slim(graph("%x: f32[t,k], %w: f32[], %v: f32[]", before)).outputs[0].inputs
    assert len(loop.inputs) == 2 and len(loop.attrs["body"].outputs[0].inputs[0].inputs) == 2


def test_what_is_needed_stays():
    unchanged(slim, PARAMETERS, scan(ALL.rpartition(", f32[t,n], f32[t,n]")[0], body=CHAIN.replace(", %x, %b\n", "\n"))
              + "%1 = get %0 {index=0} : f32[n]\n%2 = get %0 {index=1} : f32[n]\n%3 = get %0 {index=2} : f32[t,n]\n"
              "return %1, %2, %3")  # fmt: skip
