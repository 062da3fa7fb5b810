"""Execution: one process, or several ranks together, execute one run folder.

execute      train and test what is still missing, and record the outcome
start        the weights that a run begins with
train        from the folder to last.ckpt at the last step
test         the strategies that the run has not been tested with
environment  packages, code and hardware
"""
