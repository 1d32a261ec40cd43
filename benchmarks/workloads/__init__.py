"""All workloads, in the order of the table: `WORKLOADS[name]`; and those whose compilation alone is timed."""

from benchmarks.workload import Workload
from benchmarks.workloads import convolution, elementwise, large_graphs, products, recurrent, rows, training

_LISTED = (
    *elementwise.WORKLOADS,
    *rows.WORKLOADS,
    *products.WORKLOADS,
    *training.WORKLOADS,
    *convolution.WORKLOADS,
    *recurrent.WORKLOADS,
)

WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in _LISTED}
#: Graphs whose first call is what counts, see `first_calls.py`.
LARGE_GRAPHS: dict[str, Workload] = {workload.name: workload for workload in large_graphs.WORKLOADS}
EVERY: dict[str, Workload] = WORKLOADS | LARGE_GRAPHS

__all__ = ["EVERY", "LARGE_GRAPHS", "WORKLOADS"]
