"""A run on disk: a configuration is exactly one run, found again by its content.

folder, records, documents   what is in a run folder, and how its files are read and written
identity, versions           which run a configuration is, in this version and those before
lease, holder                who may write to a run
lineage                      parents and children
tested, remarks, compare     what a test yields, what to know before comparing, what tells runs apart
"""
