"""One file a dataset, with the tables and label formats that are its own.

A dataset is a subclass of `SegmentationDataset` that knows its official layout, classes and lists, and
nothing of how samples become batches.
"""
