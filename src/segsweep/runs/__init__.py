"""Runs: a configuration is exactly one run, found again by its content.

Planning (compose, check, write a run folder) is cheap and comes first; execution is one process, or several
ranks, that do one run folder; launching starts such processes on the devices there are. Of the whole package
only this part and the command line know Hydra.

identity, compatibility   which run a configuration is, in this version and those before
folder, files, lease      a run on disk, and who may write to it
planning, execution       see there
launch                    sweeps and their launchers
ranks                     one run by several processes
manage                    segsweep runs: list, show, remove, adopt, verify
config                    option types, help and errors of the command line
"""
