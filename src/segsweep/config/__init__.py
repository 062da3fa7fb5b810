"""The configuration: its files and choices, and the types and values of its options.

Knows nothing of run folders.
"""
