"""What is read in threads has its types built when it is imported: two threads that do so at once crash the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

_TOGETHER = """
import sys, threading, time
{setup}
sys.setswitchinterval(1e-7)
together = threading.Barrier(3)
def read(place):
    together.wait()
    time.sleep(place * 0.0005)
    {read}
threads = [threading.Thread(target=read, args=(place,)) for place in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize(
    ("setup", "read"),
    [
        pytest.param(
            "from pathlib import Path; from dialer.settings import load",
            "load(Path('config/cadencia.toml'), {}, secrets=False)",
            id="settings",
        ),
        pytest.param(
            "from pathlib import Path; from dialer.compliance.loader import load_rule_book",
            "load_rule_book(Path('config/jurisdictions'))",
            id="rules",
        ),
    ],
)
def test_threads_that_read_for_the_first_time_at_once(setup: str, read: str) -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _TOGETHER.format(setup=setup, read=read)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
