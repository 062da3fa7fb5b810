"""From files to batches: datasets, splits, augmentation, order. Knows no networks, losses or metrics."""
