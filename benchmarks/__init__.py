"""Timings, and the pages made from them; run as `python -m benchmarks.NAME` in the repository's root."""

from segsweep.cores import wait_passively

wait_passively()  # as segsweep's commands do, before torch is loaded
