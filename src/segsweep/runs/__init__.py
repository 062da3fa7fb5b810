"""A run on disk: each configuration is exactly one run, found again by its content.

folder, layout, tested       a run folder, the names of its files, and what its tests produced
contents, records, documents what each file holds, how its fields are checked, and how it is read and written
identity, settings, versions which run a configuration is, in this version and earlier ones
lease                        who may write to a run
lineage, compare             parents and children, and how runs differ
targets                      the classes that a configuration names
"""
