"""`segsweep data check`: what is wrong with the files of a data set, and what would repair it.

Training stops at the first bad file; this opens all of them and tells everything at once. It asks a data set
only what every one offers (splits, official counts, label formats) and knows no configuration, no terminal.
Nothing is imported here: the processes that open files need little of it and start once for each check.
"""
