"""`python -m segsweep` is the same as `segsweep`."""

from segsweep.cli import main

main()
