"""Pictures of images, truth and predictions: kept by tests, or computed from checkpoints."""
