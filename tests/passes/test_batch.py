"""Products of sequences by fixed matrices become one product before the loop."""

from checking import check, unchanged

from graphc.passes.batch import batch


def test_the_input_projection():
    check(
        batch, "%x: f32[t,n,3], %h: f32[n,2], %w: f32[3,2]",
        """
        %0 = scan %x, %h, %w {length=t, sequences=1, states=1, reverse=false} : (f32[n,2]) {
        graph @step(%x: f32[n,3], %h: f32[n,2], %w: f32[3,2]) {
        %0 = matmul %x, %w : f32[n,2]
        %1 = add %0, %h : f32[n,2]
        return %1
        }
        }
        %1 = get %0 {index=0} : f32[n,2]
        """,
        """
        %0 = matmul %x, %w : f32[t,n,2]
        %1 = scan %0, %h {length=t, sequences=1, states=1, reverse=false} : (f32[n,2]) {
        graph @step(%0: f32[n,2], %h: f32[n,2]) {
        %1 = add %0, %h : f32[n,2]
        return %1
        }
        }
        %2 = get %1 {index=0} : f32[n,2]
        """,
        "rounded",
    )  # fmt: skip


def test_a_sequence_of_vectors():
    check(
        batch, "%x: f32[t,3], %w: f32[3,2]",
        """
        %0 = scan %x, %w {length=t, sequences=1, states=0, reverse=false} : (f32[t,2]) {
        graph @step(%x: f32[3], %w: f32[3,2]) {
        %0 = reshape %x {shape=(1, 3)} : f32[1,3]
        %1 = matmul %0, %w : f32[1,2]
        %2 = reshape %1 {shape=(2,)} : f32[2]
        return %2
        }
        }
        %1 = get %0 {index=0} : f32[t,2]
        """,
        """
        %0 = reshape %x {shape=(t, 1, 3)} : f32[t,1,3]
        %1 = matmul %0, %w : f32[t,1,2]
        %2 = scan %1 {length=t, sequences=1, states=0, reverse=false} : (f32[t,2]) {
        graph @step(%0: f32[1,2]) {
        %1 = reshape %0 {shape=(2,)} : f32[2]
        return %1
        }
        }
        %3 = get %2 {index=0} : f32[t,2]
        """,
        "rounded",
    )  # fmt: skip


def test_a_product_of_a_state_or_by_a_state_stays():
    for product in ("matmul %h, %w", "matmul %x, %h"):
        unchanged(
            batch, "%x: f32[t,2,2], %h: f32[2,2], %w: f32[2,2]",
            f"""
            %0 = scan %x, %h, %w {{length=t, sequences=1, states=1, reverse=false}} : (f32[2,2]) {{
            graph @step(%x: f32[2,2], %h: f32[2,2], %w: f32[2,2]) {{
            %0 = {product} : f32[2,2]
            %1 = add %0, %x : f32[2,2]
            %2 = add %1, %w : f32[2,2]
            return %2
            }}
            }}
            %1 = get %0 {{index=0}} : f32[2,2]
            """,
        )  # fmt: skip
