"""`segsweep data check`: the problems of a dataset's files, and their repairs.

Training stops at the first bad file; a check opens all of them and reports everything at once. It uses only
what every dataset offers (splits, official counts, label formats) and knows no configuration and no terminal.
This file imports nothing, so that the processes that open files start quickly.
"""
