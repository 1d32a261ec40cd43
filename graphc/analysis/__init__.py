"""Facts about graphs: Graph -> facts, never a Graph."""
