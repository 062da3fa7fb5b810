"""The configuration: its files and choices, the types and values of its options, errors explained in a line.

Knows nothing of run folders.
"""
