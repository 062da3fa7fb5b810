"""Evaluation: which pixels a trained network gets right, under which test strategy, counted image by image.

Everything goes one way: image → views (`strategies`, `views`) → predictions (`predictor`) → counts
(`evaluate`, `histogram`, `counts`) → figures (`metrics`) → a folder with its protocol (`protocol`).
Predictions are kept on the way (`predictions`), for benchmarks too (`submission`). Nothing here knows
Lightning, Hydra, a particular dataset or an architecture: of a segmenter it asks
`segmenter.logits(image [B, 3, H, W]) -> [B, K, h, w]`, at any size.
"""
