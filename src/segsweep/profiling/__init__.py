"""Costs of a network or run: parameters, multiply-accumulates, memory and time, beside published figures.

Nothing here reads a dataset or trains.
"""
