"""What a graph is: types, symbolic sizes, tensors, ops as records, building, text, verifying, evaluating."""
