"""Execution: one process, or several ranks together, do what one run folder says.

execute      train what is not trained, test what is not tested, and record how it ended
start        the weights that a run begins with
train        from its folder to last.ckpt at its last step
test         the strategies that it has not been tested with
environment  what it ran on
"""
