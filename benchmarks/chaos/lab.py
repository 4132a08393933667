"""The lab's real Asterisk, its carrier and its agents' phones in a scenario (`scripts/asterisk-lab`, docs/asterisk.md).

What was dialed is told by the carrier: its record of the INVITEs that reached it. What is in flight is told by
Asterisk's own list of channels, over a connection that no proxy disturbs.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.chaos.telephony import Dialed
from benchmarks.processes import wait_for
from dialer.switch import mapping
from scripts.lab import ledger, plan, processes, servers
from scripts.lab.ami import Ami, Message
from scripts.lab.install import Programs
from scripts.lab.layout import LabError, Layout
from scripts.lab.plan import Kind

#: A lab of its own, since its Asterisk dies: not the one that tests use.
PORT_BASE: Final = 5100
PHONES: Final = 20
#: Who is called, by turns: half of them answer, everything comes to an end within seconds.
_CALLEES: Final[tuple[dict[str, Any], ...]] = (
    {"kind": Kind.ANSWER, "ring_s": 0.5, "talk_s": 1.5},
    {"kind": Kind.BUSY, "ring_s": 0.2},
    {"kind": Kind.ANSWER, "ring_s": 1.0, "talk_s": 3.0},
    {"kind": Kind.INVALID, "sip": 404},
    {"kind": Kind.EARLY_MEDIA, "ring_s": 1.0, "talk_s": 3.0},
    {"kind": Kind.CONGESTION, "sip": 503},
    {"kind": Kind.ANSWER, "ring_s": 0.2, "talk_s": 0.7},
    {"kind": Kind.BUSY, "ring_s": 2.0},
    {"kind": Kind.ANSWER, "ring_s": 3.0, "talk_s": 8.0},
    {"kind": Kind.DECLINE, "ring_s": 1.0},
    {"kind": Kind.AUDIO, "talk_s": 3.0},
    {"kind": Kind.UNAVAILABLE, "sip": 480},
    {"kind": Kind.ANSWER, "ring_s": 2.0, "talk_s": 5.0},
    {"kind": Kind.INVALID, "sip": 410},
    {"kind": Kind.ANSWER, "ring_s": 0.5, "talk_s": 3.0},
    {"kind": Kind.CONGESTION, "sip": 500},
)
_ANSWER_S: Final = 5.0
#: A room speaks and records through channels that are no calls.
_OF_ROOMS: Final = ("CBAnn/", "CBRec/")
#: SIPp is given no time to wait for its calls.
_GRACE_S: Final = 0.2
_NOTHING: Final[Callable[[str], None]] = lambda _: None  # noqa: E731


class Lab:
    """One lab that runs, as `Telephony` for one scenario after the other.

    Args:
        layout: where it is.
        programs: what is installed there.
        first_serial: of the numbers that the next scenario calls.
        first_phone: of the lab's phones, the first that agents use.
        nodes: with what names of nodes begin, where others use the lab as well: only what is of these is seen.
    """

    def __init__(
        self, layout: Layout, programs: Programs, *, first_serial: int = 0, first_phone: int = 0, nodes: str = ""
    ) -> None:
        self.layout = layout
        self._nodes = nodes
        self._phones: set[str] = set()
        self._programs = programs
        self._first_serial = first_serial
        self._first_phone = first_phone
        #: The scenario looks, and whoever watches it.
        self._turn = threading.Lock()
        self._ami: Ami | None = None
        self._log = _Tail(layout)
        self._numbers: set[str] = set()
        self.port = layout.ami_port
        self.secret = f"file:{layout.secret_file}"

    # ---- life

    def start(self) -> None:
        """Start whatever of the lab does not run; returns when all phones are registered.

        Raises:
            RuntimeError: something does not start.
        """
        try:
            servers.up(self.layout, max(PHONES, servers.phones_configured(self.layout)), _NOTHING)
        except LabError as error:
            raise RuntimeError(str(error)) from error

    def stop(self) -> None:
        """The lab goes on; only our look at it ends."""
        self._close()

    def kill(self) -> None:
        """Kill the dialer's Asterisk."""
        self.kill_part("dialer")

    def kill_part(self, part: str) -> None:
        """Kill one of the lab's programs: `dialer`, `carrier` or `voice`."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        pid_file = servers.pid_file(self.layout, part)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        wait_for(lambda: processes.running(pid_file) is None, f"the end of {part}")

    def pid(self, part: str) -> int:
        """Process of one of the lab's programs.

        Raises:
            RuntimeError: it does not run.
        """
        pid = processes.running(servers.pid_file(self.layout, part))
        if pid is None:
            raise RuntimeError(f"the lab's {part} does not run")
        return pid

    def running(self, part: str) -> bool:
        """Whether it does."""
        return processes.running(servers.pid_file(self.layout, part)) is not None

    def cli(self, command: str, part: str = "dialer") -> str:
        """What an Asterisk's command line answers."""
        return servers.cli(self.layout, self._programs, part, command)

    @contextmanager
    def shutting_down(self) -> Iterator[None]:
        """`core restart gracefully`, called off in the end; it takes agents' phones for calls, and so never ends."""
        # the command says nothing before it is over
        command = self._programs.asterisk(
            self.layout.run / "dialer" / "asterisk.conf", "-rx", "core restart gracefully"
        )
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as waits:
            try:
                yield
            finally:
                self.cli("core abort shutdown")
                waits.terminate()

    def restart(self) -> None:
        """`core restart now`; returns when it is back."""
        before = self._booted_at()
        self.cli("core restart now")
        wait_for(lambda: not self.running("dialer") or self._booted_at() not in {"", before}, "Asterisk's restart")
        self.start()

    def _booted_at(self) -> str:
        """When the dialer's Asterisk began, in its own words; empty where it does not answer."""
        lines = self.cli("core show settings").splitlines()
        return next((line.strip() for line in lines if "Startup time:" in line), "")

    # ---- who is called, by whom

    def number(self, n: int) -> str:
        """The number of the n-th contact, in whose digits it stands what the carrier does with it."""
        digits = plan.number(serial=self._first_serial + n, **_CALLEES[n % len(_CALLEES)])
        self._numbers.add(digits)
        return digits

    def phones(self, node: int, count: int) -> list[str]:
        """Phones of the agents of the n-th node."""
        first = self._first_phone + node * count
        names = servers.phone_names(first + count)[first:]
        self._phones.update(names)
        return names

    # ---- what there is

    def channels(self) -> set[str]:
        """Ids of customers' channels: all those that are neither agents' phones nor the rooms' own."""
        found = {row["Uniqueid"] for row in self._rows() if not row["Channel"].startswith(_OF_ROOMS)}
        return {it for it in found if mapping.agent_of_leg(it) is None and it.startswith(self._nodes)}

    def phones_up(self) -> list[str]:
        """Agents of the legs that there are, who are called as their phones are."""
        legs = (mapping.agent_of_leg(row["Uniqueid"]) for row in self._rows())
        return [str(agent) for agent in legs if agent is not None and (agent in self._phones or not self._nodes)]

    def _rows(self) -> list[Message]:
        with self._turn:
            try:
                if self._ami is None:
                    self._ami = Ami(self.port, "cadencia", servers.secret(self.layout), events=False)
                return _channels(self._ami)
            except OSError:
                self._close()
                raise

    def _close(self) -> None:
        if self._ami is not None:
            self._ami.__exit__()
            self._ami = None

    # ---- what the carrier saw

    def count(self) -> int:
        """INVITEs to numbers of this scenario so far."""
        return len(self.dialed())

    def dialed(self) -> list[Dialed]:
        """INVITEs that the carrier noted."""
        return [Dialed(at=at, call="", number=number) for at, number in self._log.read() if number in self._numbers]

    # ---- the agents' phones

    def hang_phones_up(self, *, unregister: bool) -> None:
        """All agents' phones end their calls at once, and where wanted say goodbye to Asterisk."""
        if unregister:
            self.cli("pjsip send unregister *all", "voice")
        with Ami(self.layout.voice_ami_port, "phones", servers.secret(self.layout), events=False) as voice:
            for row in _channels(voice):
                # who is called there are phones, and callees with audio
                if row["Exten"].startswith("agent"):
                    voice.send("Hangup", Channel=row["Channel"], Cause=16)
            voice.action("Ping")

    def hang_everybody_up(self) -> None:
        """End all calls: agents' phones stay in their rooms when the nodes are gone."""
        self.cli("channel request hangup all")
        wait_for(lambda: not self._rows(), "the end of all channels")

    def register_phones(self) -> None:
        """They are back."""
        self.cli("pjsip send register *all", "voice")
        count = servers.phones_configured(self.layout)
        wait_for(lambda: servers.registered(self.layout, self._programs) >= count, f"{count} phones registered")


def _channels(ami: Ami) -> list[Message]:
    """All channels that there are; what was heard before is forgotten."""
    ami.seen.clear()
    ami.seen_at.clear()
    ami.received = ami.sent = b""
    asked = ami.send("CoreShowChannels")
    ami.wait(lambda it: it.get("Event") == "CoreShowChannelsComplete" and it["ActionID"] == asked, seconds=_ANSWER_S)
    return [it for it in ami.seen if it.get("Event") == "CoreShowChannel" and it["ActionID"] == asked]


class _Tail:
    """INVITEs in the carrier's log, which only grows; read from where it was left."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._read_to = 0
        self._invitations: list[tuple[float, str]] = []
        self._turn = threading.Lock()

    def read(self) -> list[tuple[float, str]]:
        """When (unix seconds) which number was called, all so far, in order."""
        with self._turn:
            with suppress(FileNotFoundError), self._layout.carrier_log.open("rb") as log:
                log.seek(self._read_to)
                text = log.read()
                whole = text[: text.rfind(b"\n") + 1]
                self._read_to += len(whole)
                self._invitations += ledger.invitations(whole.decode(errors="replace").splitlines())
            return list(self._invitations)


class Labs:
    """A lab for as long as scenarios run, and a `Lab` with numbers of its own for each; use as a context.

    Args:
        directory: in which labs are.
        port_base: of this one.
    """

    def __init__(self, directory: Path, port_base: int = PORT_BASE) -> None:
        self._layout = Layout(directory, port_base)
        self._turns = itertools.count()

    @contextmanager
    def running(self) -> Iterator[Labs]:
        """Start it, with nobody else in it, and stop it in the end.

        Raises:
            LabError: somebody uses it, or it cannot be had.
        """
        layout = self._layout
        layout.directory.mkdir(parents=True, exist_ok=True)
        with (layout.directory / f"tests-{layout.port_base}.lock").open("w") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(f"somebody uses the lab with the port base {layout.port_base}") from None
            if servers.status(layout)["running"]:
                raise LabError(f"a lab runs with the port base {layout.port_base}: stop it, its Asterisk is to die")
            self._programs = servers.up(layout, PHONES, _NOTHING)
            try:
                yield self
            finally:
                servers.down(layout, _NOTHING)

    def next(self) -> Lab:
        """The lab for the next scenario, whole again whatever the one before has left."""
        lab = Lab(self._layout, self._programs, first_serial=1_000 * (next(self._turns) % 100))
        lab.start()
        lab.hang_everybody_up()
        return lab
