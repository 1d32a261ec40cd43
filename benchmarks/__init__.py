"""How fast graphc is, side by side with its peers: `python -m benchmarks.run` from a checkout.

`workload.py` and `workloads/` say what is computed, `systems/` how each library's own users write it, `worker.py` is
the process in which one of them runs, `rounds.py` takes turns with all, `first_calls.py` looks at what lies beyond run
time, `records.py` keeps what was found, and `report.py` writes it down. Beside these stand commands of their own:
`odd_sizes.py`, `same_bits.py`, and scripts on single questions (`depth.py`, `leaks.py`, `matmul.py`, ...).
"""
