"""The commands of `segsweep`, a module each: its help, its arguments, and what it prints.

Arguments are parsed and rows are printed here and nowhere else.
"""
