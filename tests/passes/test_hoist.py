"""What is the same in every step is computed before the loop."""

from checking import check, graph, unchanged

from graphc.passes.hoist import hoist


def test_a_transpose_and_what_it_is_made_of():
    check(
        hoist, "%x: f32[t,1,3], %w: f32[2,3], %v: f32[2,3]",
        """
        %0 = scan %x, %w, %v {length=t, sequences=1, states=0, reverse=false} : (f32[t,1,2]) {
        graph @step(%0: f32[1,3], %1: f32[2,3], %2: f32[2,3]) {
        %3 = add %1, %2 : f32[2,3]
        %4 = permute_dims %3 {axes=(1, 0)} : f32[3,2]
        %5 = matmul %0, %4 : f32[1,2]
        return %5
        }
        }
        %1 = get %0 {index=0} : f32[t,1,2]
        """,
        """
        %0 = add %w, %v : f32[2,3]
        %1 = permute_dims %0 {axes=(1, 0)} : f32[3,2]
        %2 = scan %x, %1 {length=t, sequences=1, states=0, reverse=false} : (f32[t,1,2]) {
        graph @step(%0: f32[1,3], %1: f32[3,2]) {
        %2 = matmul %0, %1 : f32[1,2]
        return %2
        }
        }
        %3 = get %2 {index=0} : f32[t,1,2]
        """,
    )  # fmt: skip


def test_large_constants_go_out_and_scalars_stay():
    check(
        hoist, "%x: f32[t,2]",
        """
        %0 = scan %x {length=t, sequences=1, states=0, reverse=false} : (f32[t,2]) {
        graph @step(%0: f32[2]) {
        %1 = const {value=[1.0, 2.0]} : f32[2]
        %2 = const {value=3.0} : f32[]
        %3 = broadcast_to %2 {shape=(2,)} : f32[2]
        %4 = multiply %0, %1 : f32[2]
        %5 = add %4, %3 : f32[2]
        return %5
        }
        }
        %1 = get %0 {index=0} : f32[t,2]
        """,
        """
        %0 = const {value=[1.0, 2.0]} : f32[2]
        %1 = scan %x, %0 {length=t, sequences=1, states=0, reverse=false} : (f32[t,2]) {
        graph @step(%0: f32[2], %1: f32[2]) {
        %2 = multiply %0, %1 : f32[2]
        %3 = const {value=3.0} : f32[]
        %4 = broadcast_to %3 {shape=(2,)} : f32[2]
        %5 = add %2, %4 : f32[2]
        return %5
        }
        }
        %2 = get %1 {index=0} : f32[t,2]
        """,
    )  # fmt: skip


def test_what_prints_or_may_fail_stays():
    for line in ('%2 = print %1 {message=""} : f32[2]', '%2 = check_finite %1 {message=""} : f32[2]'):
        unchanged(
            hoist, "%x: f32[t,2], %w: f32[2]",
            f"""
            %0 = scan %x, %w {{length=t, sequences=1, states=0, reverse=false}} : (f32[t,2]) {{
            graph @step(%0: f32[2], %1: f32[2]) {{
            {line}
            %3 = add %0, %2 : f32[2]
            return %3
            }}
            }}
            %1 = get %0 {{index=0}} : f32[t,2]
            """,
        )  # fmt: skip


def test_out_of_a_while():
    given = graph(
        "%a: f32[], %w: f32[]",
        """
        %0 = while_loop %a, %w {states=1, limit=4} : (f32[]) {
        condition=graph @condition(%a: f32[], %w: f32[]) {
        %0 = exp %w : f32[]
        %1 = less %a, %0 : bool[]
        return %1
        }
        graph @body(%a: f32[], %w: f32[]) {
        %0 = sin %w : f32[]
        %1 = add %a, %0 : f32[]
        return %1
        }
        }
        %1 = get %0 {index=0} : f32[]
        """,
    )
    found = hoist(given)
    assert [t.op.name for t in found.tensors if t.inputs] == ["exp", "sin", "while_loop", "get"]
