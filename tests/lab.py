"""The real Asterisk of scripts/asterisk-lab, shared by all tests (and all xdist workers) of a run.

Where the lab cannot be had, tests are skipped with the reason, or fail where ``CADENCIA_REQUIRE_LAB=1``. A lab that
runs already is used and left running; one that these tests have started is stopped by the last of them.
``CADENCIA_LAB_DIR`` and ``CADENCIA_LAB_PORT_BASE`` name another lab than the default one.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# the lab is no part of the installed packages
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.lab import ledger, servers
from scripts.lab.install import Programs
from scripts.lab.layout import DEFAULT_PHONES, DEFAULT_PORT_BASE, LabError, Layout, default_directory
from scripts.lab.record import Session


class AsteriskLab:
    """A running lab: its layout, and what a test needs of it."""

    def __init__(self, layout: Layout, programs: Programs) -> None:
        self.layout = layout
        self.programs = programs
        self.secret = servers.secret(layout)
        self.phones = servers.phones_configured(layout)

    def session(self) -> Session:
        """A connection for events and one for actions, logged in."""
        return Session(self.layout)

    def cli(self, command: str, *, server: str = "dialer") -> str:
        return servers.cli(self.layout, self.programs, server, command)

    def web_tls(self, certificate: Path, key: Path) -> int:
        """Let browsers' phones come over TLS as well; the port."""
        servers.serve_web_tls(self.layout, self.programs, certificate, key)
        return self.layout.web_tls_port

    def carrier_calls(self, numbers: set[str]) -> dict[str, ledger.CarrierCall]:
        """What the carrier did with these numbers (the last call of each)."""
        return {call.number: call for call in ledger.read(self.layout) if call.number in numbers}


def unavailable(reason: str) -> None:
    if os.environ.get("CADENCIA_REQUIRE_LAB") == "1":
        pytest.fail(f"the Asterisk lab is required here and cannot be had: {reason}", pytrace=False)
    pytest.skip(f"no Asterisk lab: {reason}")


@pytest.fixture(scope="session")
def asterisk_lab() -> Iterator[AsteriskLab]:
    """The lab, running."""
    directory = Path(os.environ.get("CADENCIA_LAB_DIR", default_directory())).absolute()
    try:
        layout = Layout(directory, int(os.environ.get("CADENCIA_LAB_PORT_BASE", DEFAULT_PORT_BASE)))
        directory.mkdir(parents=True, exist_ok=True)
    except (LabError, OSError, ValueError) as error:
        unavailable(str(error))
        return
    # everybody who uses the lab holds this lock shared; whoever gets it alone at the end is the last
    users = (directory / f"tests-{layout.port_base}.lock").open("w")
    ours = directory / f"tests-{layout.port_base}.started"
    with users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            if not servers.status(layout)["running"]:
                ours.touch()
            programs = servers.up(layout, max(DEFAULT_PHONES, servers.phones_configured(layout)), lambda _: None)
        except (LabError, OSError) as error:
            unavailable(str(error))
            return
        yield AsteriskLab(layout, programs)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if ours.exists():
            servers.down(layout, lambda _: None)
            ours.unlink()


@pytest.fixture
def session(asterisk_lab: AsteriskLab) -> Iterator[Session]:
    with asterisk_lab.session() as opened:
        yield opened


@pytest.fixture
def name() -> Callable[[str], str]:
    """Makes names (rooms, call ids) that no other test and no other run uses.

    They are of one length: Asterisk refuses a ChannelId with which a live channel's id begins.
    """
    run = uuid.uuid4().hex[:12]
    counter = itertools.count(1)
    return lambda what: f"{what}-{run}-{next(counter):04d}"


@pytest.fixture
def serials() -> Iterator[int]:
    """Serials of the number plan, starting anywhere, so that runs in one lab do not call the same numbers."""
    return itertools.count(int.from_bytes(os.urandom(2)) % 90_000)
