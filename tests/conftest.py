"""Fixtures for all tests. Each family has its own module; this one only brings them in."""

from __future__ import annotations

import asyncio.constants
import fcntl
import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer

from tests.databases import (  # noqa: F401 - fixtures are found by name
    database,
    database_url,
    empty_database_url,
    postgres_server,
    postgres_url,
    sqlite_template,
    sqlite_url,
)
from tests.scheduling import Scheduling, arrange
from tests.valkey import own_valkey, valkey, valkey_server  # noqa: F401 - likewise

#: How quick a busy machine is says nothing about the code.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")

# Debugging notes ten frames of the stack for each handle and coroutine. One is enough, and costs a tenth less of CPU.
vars(asyncio.constants)["DEBUG_STACK_DEPTH"] = 1


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are processors: half of the time a test waits for a phone to ring or a process to start."""
    return (os.cpu_count() or 1) + 2


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Scopes are handed out in our order; whoever asks for another way gets that of xdist."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end: looking for garbage in it takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    arrange(items)


@pytest.fixture(autouse=True)
def _alone_on_the_real_asterisk(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests on the one real Asterisk take turns, whichever worker they are on: they share its phones and its trunk."""
    if request.node.get_closest_marker("asterisk") is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"cadencia-lab-turn-{os.getuid()}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
