"""Evaluation: which pixels a trained network gets right, under which test strategy, counted image by image.

The road is one way: image → views (`strategies`, `windows`) → predictions (`predictor`) → counts
(`boundary`, `counts`) → figures (`metrics`) → a folder with its protocol (`protocol`). `evaluate` walks it;
predictions themselves are kept on the way (`pictures`, `predictions`), for benchmarks too (`submission`).
Nothing here knows of Lightning, Hydra, a data set or an architecture: a segmenter is any module called as
`segmenter(image [B, 3, H, W], size) -> logits [B, K, h, w]`.
"""
