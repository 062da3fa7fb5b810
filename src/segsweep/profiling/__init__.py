"""What a network or a run costs: parameters, multiply-accumulates, memory and time, beside published figures.

Nothing here reads a dataset or trains: a configuration is profiled without a file on disk.
"""
