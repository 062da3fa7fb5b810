"""The configuration as users meet it: its files and choices, help, options, errors in a line, tables.

Knows nothing of run folders.
"""
