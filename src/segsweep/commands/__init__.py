"""The commands of `segsweep`, one module each: its help, its arguments and its output.

Arguments are parsed and rows are printed here and nowhere else.
"""
