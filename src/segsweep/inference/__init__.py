"""A trained network in use: loaded from a run or from what it was exported to, described, and predicting.

Nothing here knows sweeps, Hydra or the command line. What a received folder may build is decided by
`execution.trust`.
"""
