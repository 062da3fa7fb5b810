"""Processes that start at one instant: forks of a server that has made the imports of seconds once."""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
# There is one server for all tests of a process, so all name what they need here.
FORKS.set_forkserver_preload(
    [
        "pytest",
        "segsweep.execution.execute",
        "tests.support.faulty",
        "segsweep.networks",
        "segsweep.inference.load",
        "segsweep.inference.predicting.predict",
    ]
)
