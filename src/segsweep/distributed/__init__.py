"""The ranks of one run: several processes, a device each.

ranks          this process's place among them (torchrun's or Slurm's variables), how many ranks a run wants
group          one run by one rank or many: joined, watched, ended with one cause
children       ranks that rank 0 starts itself
rendezvous     how ranks find each other, and report failures
collectives    objects, sums and errors exchanged between them
"""
