"""Grade on a Dask cluster.

Its workers need this package, and nothing of the course's directory: what they have to know comes with the tasks.
Student code runs in sandboxes on their machines. The secret of the hidden cases travels there, so a network on which
others listen wants an address with ``tls://``.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from .batch import Pool
from .errors import CourseError
from .graders import Graders
from .task import Setup

SECONDS = 30  # for the scheduler to answer, and for a first worker to come


@contextmanager
def connected(setup: Setup, address: str) -> Iterator[Pool]:
    """The workers of a cluster; those that join later work as well.

    Parameters
    ----------
    setup : Setup
        What they have to know.
    address : str
        Of the scheduler, as in ``tcp://10.0.0.5:8786``.

    Raises
    ------
    CourseError
        If nobody answers there, or there is no worker.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise CourseError(
            "--dask needs Dask here too: pip install 'minigrad[dask]', or '.[dask]' in the repository"
        ) from None
    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CourseError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError:
            raise CourseError(
                f"the cluster at {address} has no worker: start one with `dask worker {address}`"
            ) from None
        # As a task, not as data: when the worker that holds it goes, the scheduler has it made once more.
        graders = client.submit(Graders, setup, pure=False)
        executor = client.get_executor(pure=False)
        submit = functools.partial(executor.submit, Graders.grade, graders)
        yield Pool(submit, setup, sum(client.ncores().values()), (KilledWorker,))
