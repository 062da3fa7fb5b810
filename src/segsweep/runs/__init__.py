"""Runs: a configuration is exactly one run, found again by its content.

Planning (compose, check, write a run folder) is cheap and comes first; doing is one process that executes
one run folder. Of the whole package only this part and the command line know Hydra.
"""
