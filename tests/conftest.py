"""Fixtures for all tests. Each family has its own module; this one only brings them in."""

from __future__ import annotations

import asyncio.constants
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.databases import (  # noqa: F401 - fixtures are found by name
    database,
    database_url,
    empty_database_url,
    postgres_server,
    postgres_url,
    sqlite_template,
    sqlite_url,
)
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each file on one worker: its tests share a site, and go on where the last one was.

    Those on the real Asterisk take turns, so one worker does them all, first; what starts whole nodes, and waits for
    them, is mixed with what computes.
    """
    real, whole, rest = list[pytest.Item](), list[pytest.Item](), list[pytest.Item]()
    for item in items:
        file = item.nodeid.partition("::")[0]
        group = real if item.get_closest_marker("asterisk") else whole if "/e2e/" in file else rest
        item.add_marker(pytest.mark.xdist_group("real Asterisk" if group is real else file))
        group.append(item)
    turns = {item: turn / len(group) for group in (whole, rest) for turn, item in enumerate(group)}
    first = {item.nodeid.partition("::")[0]: turns[item] for group in (whole, rest) for item in reversed(group)}
    items[:] = [*real, *sorted((*whole, *rest), key=lambda item: first[item.nodeid.partition("::")[0]])]


@pytest.fixture(autouse=True)
def _alone_on_the_real_asterisk(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests on the one real Asterisk take turns, whichever worker they are on: they share its phones and its trunk."""
    if request.node.get_closest_marker("asterisk") is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"cadencia-lab-turn-{os.getuid()}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
