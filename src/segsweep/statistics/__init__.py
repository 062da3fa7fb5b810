"""From counts to estimates: intervals, paired tests, seeds, tables of comparisons.

Nothing here knows what a network, a run or a dataset is: arrays go in, records of numbers come out, with
numpy and scipy alone. docs/statistics.md explains each method and how often its intervals hold.

Shape letters: `S` seeds, `N` images, `K` classes, `R` resamples, `U` units that are drawn (images, blocks
of frames or groups), `C` configurations. Counts are int64 [S, N, 6, K], totals [..., 6, K]; the six rows are
true positives, false positives and false negatives, of all pixels and then of the boundary bands.
Figures are fractions, 0 to 1.
"""
