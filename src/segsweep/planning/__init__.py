"""Planning: from a command's arguments to run folders that say what is to be done. Nothing is trained here.

compose         what a command asks for: its members, composed and checked; a single run is a sweep of one
arguments       the user's arguments in Hydra's form
axes            which members a sweep has: the product of axes, and an experiment's rows
experiment      an experiment's file: what it sets, and the paper's table that it repeats
composer        overrides to a member, each choice of groups composed by Hydra once; template sets the values
stages          one configuration as a chain of runs
plan            a member, and its run folder
content         which run a member is, now that its data are looked at
dry_build       builds what a member names without weights, so that what cannot work fails early
by_id           a trained run's own configuration, with what a command says of its test
explain         errors of Hydra as one line for the user
hydra_private   the private names of Hydra that are used
"""
