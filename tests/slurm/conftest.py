"""A Slurm for the session."""

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, NoSlurmError


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A Slurm of this session's own."""
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    except NoSlurmError as error:
        pytest.skip(f"no Slurm here: {error}")
    finally:
        cluster.stop()


@pytest.fixture
def cluster(session_cluster) -> Cluster:
    """The same with both nodes up and an empty queue."""
    session_cluster.call("scancel", "--user=root")
    session_cluster.ensure()
    return session_cluster
