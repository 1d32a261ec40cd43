"""Looking into compiled functions: what passes did, whether backends agree, what a graph looks like."""
