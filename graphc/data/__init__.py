"""From raw arrays to batches: cleaning, encoding, scaling, augmentation, splits, streams."""
