"""Ranks: one run by several processes, a device each.

place         who this process is among them, by torchrun's or Slurm's variables
wanted        how many devices a run wants
together      a run by one rank or many: joined, watched, ended with one cause
children      ranks that rank 0 starts itself
wire          how they find each other and tell of failures
exchange      objects between them
shared_fate   an error on one rank is an error of all
parent_death  no process outlives the one that started it
"""
