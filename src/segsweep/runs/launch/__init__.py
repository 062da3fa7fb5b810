"""Launching: from the members of a sweep to processes that execute run folders.

jobs         what runs after what: stages that several members share come first
orders       what one process is told to do, in plain values, and the doing of it
launcher     Hydra's launcher: plan, write, journal, then do (here: on this machine, one after the other)
local, pool  several at a time on the devices of this machine
foreign      through any other launcher of Hydra's (joblib, basic)
slurm        through Slurm, by submitit
"""
