"""One file a data set, with the tables and label formats that are its own.

A data set is a subclass of `SegmentationData` that knows its official layout, classes and lists; how samples
become batches is no concern of these files.
"""
