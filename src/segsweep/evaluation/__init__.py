"""Evaluation: which pixels a trained network gets right, under which test strategy, counted image by image.

Everything goes one way: image → views (`strategies`) → predictions (`evaluate`) → counts (`histogram`,
`counts`) → figures (`metrics`) → a folder with its protocol (`protocol`). Predictions are kept on the way
(`predictions`), for benchmarks too (`submission`). Nothing here knows Lightning, Hydra, a particular dataset
or an architecture: a segmenter is any module called as `segmenter(image [B, 3, H, W], size) -> logits
[B, K, h, w]`.
"""
