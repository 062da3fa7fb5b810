"""One file per dataset: a subclass of `SegmentationDataset` with official layout, classes and lists."""
