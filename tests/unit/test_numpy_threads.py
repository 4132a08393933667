"""The dialer calculates on one thread: its matrices are small, and others cost more than they bring."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

THREADS = """
import dialer.cli
import numpy as np
import os
np.ones((400, 400)) @ np.ones((400, 400))
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux shows them")
@pytest.mark.parametrize(("set_to", "threads"), [(None, 1), ("2", 2)])
def test_numpy_has_the_threads_that_it_was_given_and_else_one(set_to: str | None, threads: int) -> None:
    if threads > len(os.sched_getaffinity(0)):
        pytest.skip("needs as many cores")
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if set_to is not None:
        environment["OPENBLAS_NUM_THREADS"] = set_to
    done = subprocess.run([sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == threads
