"""Launchers, by their names in `hydra/launcher=`.

launcher, local  plan, write, record, then execute on this machine, one run after the other
pool             several runs at a time on the devices of this machine
foreign          through any other launcher of Hydra's (joblib, basic)
slurm            through Slurm, by submitit
"""
