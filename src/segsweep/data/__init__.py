"""Datasets, their splits, augmentation and the order of training: from files to batches.

Knows nothing of networks, losses or metrics.
"""
