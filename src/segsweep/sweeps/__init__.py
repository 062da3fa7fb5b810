"""Sweeps: from planned members to processes that execute run folders.

sweep, journal        the members of a sweep and how each ended, in memory and on disk
jobs                  what runs after what: stages that several members share come first
worker                the work order for one worker process, and its execution
forks                 what starts a worker's process: afresh, or as a fork that shares its imports with others
outcome, early_stop   whether a run may begin, and how it ended
display, live         progress: log lines, or a table on a terminal
launch                a command's sweep, from its members to the launcher that executes them
launchers             who starts the workers: this machine, a pool of GPUs, Slurm, other launchers of Hydra
"""
