"""What a network costs: parameters, multiply-accumulates, memory and time, beside what the papers print.

Nothing here may know of data sets or training: a configuration is profiled without a file on disk. Only
`command` knows that configurations are composed by Hydra.
"""
