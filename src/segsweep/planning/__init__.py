"""Planning: from overrides to run folders that say what is to be done. Nothing is trained here.

planner      composes, checks and merges the members of a sweep
composer     overrides to members, each choice of groups composed by Hydra once; template sets the values
stages       one configuration as a chain of runs
plan         a member, and its run folder
check        builds what a member names without weights, so that what cannot work fails early
paper_table  a paper's table as the members of a sweep
"""
