"""The embedded exchange: a server on loopback that behaves on the wire as Asterisk's manager interface does.

    async with Exchange(World(DEMO, seed=1), secret="…") as exchange:
        connect to ("127.0.0.1", exchange.port)

Nobody who speaks to it needs to know that nobody is called. It has no tasks and one timer: what is due is done in one
go, and each session is written to once for it.

As a process of its own: ``python -m dialer.simulation.exchange --port 0 --profile demo --seed 1 --print-port``.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import os
import signal
import ssl
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Self

from dialer.errors import ConfigError
from dialer.runtime.clock import Clock
from dialer.simulation.channels import Channel, EventClass
from dialer.simulation.commands import Commands
from dialer.simulation.faults import Faults
from dialer.simulation.profiles import PROFILES, profile_named
from dialer.simulation.records import CallRecord, Counts
from dialer.simulation.session import ManagerSession
from dialer.simulation.switchboard import Switchboard
from dialer.simulation.users import User, dialer_user
from dialer.simulation.world import World

#: A client that has let so much pile up is cut off, as Asterisk does after `writetimeout`.
MAX_UNREAD_BYTES: Final = 32 * 1024 * 1024
#: What a client may send while the exchange stalls.
_MAX_HELD_BYTES: Final = 4 * 1024 * 1024
#: At most one turn in this time: under load what falls due together is written together (a write costs more than a
#: call). Asterisk itself takes 1.6 ms (median, 100 calls/s) from the wire to the event.
_TICK_S: Final = 0.002
_DIALPLAN_EVENTS: Final = frozenset({"Newexten", "VarSet"})
_SECRET_VARIABLE: Final = "CADENCIA_EXCHANGE_SECRET"  # noqa: S105  # the name of a variable


class _Connection(asyncio.Protocol):
    """One TCP connection and its session."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.transport: asyncio.Transport | None = None
        self.session: ManagerSession | None = None
        #: Input that came while the exchange stalls.
        self.held = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.session = self._exchange._opened(self)  # two halves of one thing

    def data_received(self, data: bytes) -> None:
        self._exchange._received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._exchange._lost(self)


class Exchange:
    """A server of the manager interface with a world behind it."""

    def __init__(
        self,
        world: World,
        *,
        secret: str,
        username: str = "cadencia",
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] | None = None,
        faults: Faults | None = None,
        users: Iterable[User] = (),
        trunks: Collection[str] | None = None,
        phones: Collection[str] | None = None,
        system_name: str = "pbx",
        auth_timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
        log_limit: int = 100_000,
        recordings: Path | None = None,
    ) -> None:
        """An exchange that does not listen yet.

        Args:
            world: who is called, and what they do.
            secret: of the user `username`, who has the rights that config/asterisk/manager.conf gives to the dialer.
            username: as above.
            host: address to listen on.
            port: port to listen on; 0: any, see `port`.
            clock: unix seconds for the stamps of events; None: a clock of its own.
            faults: standing faults to begin with; see also the methods `drop`, `cut`, `stall`, `restart`.
            users: further users.
            trunks: endpoints that lead out; None: any name.
            phones: endpoints that are phones of agents; None: any name.
            system_name: of asterisk.conf.
            auth_timeout_s: a connection that has not logged in by then is closed.
            tls: speak TLS.
            log_limit: how many originates `log` remembers.
            recordings: folder in which recorded calls are written as WAV files; None: nothing is written.
        """
        self.world = world
        self.faults = faults if faults is not None else Faults()
        self.users = {user.name: user for user in (dialer_user(secret, username), *users)}
        self._clock = clock if clock is not None else Clock().now
        self._host = host
        self._port = port
        self._auth_timeout_s = auth_timeout_s
        self._tls = tls
        self.switchboard = Switchboard(
            world,
            clock=self._clock,
            publish=self._publish,
            faults=self.faults,
            system_name=system_name,
            trunks=trunks,
            phones=phones,
            log_limit=log_limit,
            recordings=recordings,
        )
        self.commands = Commands(self.switchboard, self.faults, clock=self._clock, started=self._started_text)
        self._started_at = self._clock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, ManagerSession] = {}
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._wake: asyncio.TimerHandle | None = None
        self._next_tick_at = 0.0
        self._late: list[tuple[float, int, ManagerSession, str]] = []
        self._sequence = itertools.count(1)
        self._challenges = itertools.count(1)
        self._events_sent = 0
        self._cut = False

    # ---- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is none of this machine.
        """
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            partial(_Connection, self), self._host, self._port, ssl=self._tls, backlog=128
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and all connections; calls are forgotten."""
        await self._close()
        self.switchboard.clear()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop()
        if server is not None:
            await server.wait_closed()
        # The transports tell that they are closed in the next turn of the loop.
        await self._all_gone.wait()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self._host

    # ---- what tests ask

    @property
    def log(self) -> deque[CallRecord]:
        """Every originate received, oldest first, with what became of it."""
        return self.switchboard.log

    @property
    def dialed(self) -> list[CallRecord]:
        """Those of the log that went to customers and rang, or would have."""
        return [record for record in self.log if not record.is_agent and not record.refused]

    @property
    def counts(self) -> Counts:
        """Running totals."""
        return self.switchboard.counts

    @property
    def sessions(self) -> int:
        """Connections that are open."""
        return len(self._connections)

    # ---- single faults, and what people do

    def drop(self) -> None:
        """Cut every connection off at once; calls go on."""
        for connection in [*self._connections]:
            if connection.transport is not None:
                connection.transport.abort()

    def cut(self) -> None:
        """Close every connection in the middle of the next event that it gets."""
        self._cut = True

    def stall(self) -> None:
        """Read nothing and send nothing from now on; connections are still accepted, and calls go on."""
        self.faults.stalled = True

    def resume(self) -> None:
        """Go on after `stall`: all that was held back is read and sent."""
        self.faults.stalled = False
        for connection in [*self._connections]:
            held, connection.held = bytes(connection.held), bytearray()
            if held:
                self._received(connection, held)
        self._settle()

    async def restart(self, down_s: float = 0.0) -> None:
        """As if the process was killed and started again `down_s` later on the same port: no channel is left."""
        await self._close()
        self.switchboard.clear()
        self._late.clear()
        if down_s > 0:
            await asyncio.sleep(down_s)
        self._started_at = self._clock()
        await self.start()

    def hang_up_phone(self, phone: str) -> bool:
        """The agent at `phone` lays it down; False where it is not off the hook."""
        return self._lay_down("agent", lambda channel: channel.is_agent and channel.endpoint == phone)

    def hang_up_customer(self, call: str) -> bool:
        """The person of a call (by its ChannelId) lays down, or declines while it rings; False where there is none."""
        return self._lay_down("customer", lambda channel: not channel.is_agent and channel.uniqueid == call)

    def _lay_down(self, who: str, matches: Callable[[Channel], bool]) -> bool:
        for channel in [*self.switchboard.channels.values()]:
            if matches(channel):
                self.switchboard.hang_up(channel, 16, self._now(), by=who)
                self._settle()
                return True
        return False

    # ---- for sessions

    def clock(self) -> float:
        """Unix seconds."""
        return self._clock()

    def uptime_s(self) -> int:
        """Seconds since the start."""
        return max(0, int(self._clock() - self._started_at))

    def challenge(self) -> str:
        """Nine digits, other ones each time."""
        u = self.world.uniforms("challenge", next(self._challenges))
        return str(100_000_000 + int(u[0] * 900_000_000))

    def subscriptions_changed(self) -> None:
        """Find the events that nobody wants."""
        readers = [session for session in self._connections.values() if session.readable and not session.finished]
        if not readers:
            return
        muted = frozenset.intersection(*(session.excluded_names for session in readers))
        if not any(EventClass.DIALPLAN & session.readable for session in readers):
            muted |= _DIALPLAN_EVENTS
        self.switchboard.mute(muted)

    def _started_text(self) -> str:
        return datetime.fromtimestamp(self._started_at, UTC).strftime("%Y-%m-%d %H:%M:%S")

    # ---- connections

    def _opened(self, connection: _Connection) -> ManagerSession:
        session = ManagerSession(self, opened_at=self._now(), auth_timeout_s=self._auth_timeout_s)
        self._connections[connection] = session
        self._all_gone.clear()
        if self._server is None and connection.transport is not None:
            # It was accepted in the last moment.
            connection.transport.abort()
        self._settle()
        return session

    def _received(self, connection: _Connection, data: bytes) -> None:
        session = self._connections.get(connection)
        if session is None:
            return
        if self.faults.stalled:
            connection.held += data
            if len(connection.held) > _MAX_HELD_BYTES and connection.transport is not None:
                connection.transport.abort()
            return
        session.receive(data, self._now())
        self._settle()

    def _lost(self, connection: _Connection) -> None:
        if self._connections.pop(connection, None) is not None:
            self.subscriptions_changed()
        if not self._connections:
            self._all_gone.set()

    # ---- events

    def _publish(self, kind: EventClass, name: str, text: str) -> None:
        disturbed = self.faults.disturbs_events
        for session in self._connections.values():
            if session.takes(kind, name, text):
                if disturbed:
                    self._disturb(session, text)
                else:
                    session.write(text)

    def _disturb(self, session: ManagerSession, text: str) -> None:
        faults = self.faults
        self._events_sent += 1
        every = faults.duplicate_every
        for _ in range(2 if every and self._events_sent % every == 0 else 1):
            number = next(self._sequence)
            delay_s = faults.delay_s
            if faults.reorder_s:
                delay_s += faults.reorder_s * self.world.uniforms("reorder", number)[0]
            if delay_s:
                heapq.heappush(self._late, (self._now() + delay_s, number, session, text))
            else:
                session.write(text)

    # ---- time

    def _now(self) -> float:
        assert self._loop is not None, "start the exchange first"
        return self._loop.time()

    def _tick(self) -> None:
        self._wake = None
        now = self._now()
        self._next_tick_at = now + _TICK_S
        self.switchboard.advance(now)
        late = self._late
        while late and late[0][0] <= now:
            _, _, session, text = heapq.heappop(late)
            session.write(text)
        self._settle()

    def _settle(self) -> None:
        """Write what is to be written, close what is to be closed, and set the timer."""
        now = self._now()
        deadline = self.switchboard.next_deadline()
        if self._late and (deadline is None or self._late[0][0] < deadline):
            deadline = self._late[0][0]
        for connection, session in [*self._connections.items()]:
            transport = connection.transport
            if self.faults.stalled or transport is None or transport.is_closing():
                continue
            if session.has_output:
                self._write(transport, session)
            if session.close_at is None:
                continue
            if session.close_at <= now:
                transport.close()
            elif deadline is None or session.close_at < deadline:
                deadline = session.close_at
        if self._wake is not None:
            # An earlier wake-up does no harm, and setting a timer anew for every action costs more than it.
            if deadline is None or self._wake.when() <= max(deadline, self._next_tick_at):
                return
            self._wake.cancel()
            self._wake = None
        if deadline is not None and self._loop is not None and self._server is not None:
            self._wake = self._loop.call_at(max(deadline, now, self._next_tick_at), self._tick)

    def _write(self, transport: asyncio.Transport, session: ManagerSession) -> None:
        text = session.take_output()
        if self._cut:
            start = text.rfind("Event: ")
            if start >= 0:
                transport.write(text[: start + (len(text) - start) // 2].encode())
                transport.close()
                # All that get the same event are cut in it; the next flush begins with whole ones.
                self._loop_after_cut()
                return
        transport.write(text.encode())
        if transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            transport.abort()

    def _loop_after_cut(self) -> None:
        assert self._loop is not None
        self._loop.call_soon(self._whole_again)

    def _whole_again(self) -> None:
        self._cut = False


# ---- as a process of its own


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dialer.simulation.exchange",
        description="An exchange that speaks AMI and calls nobody.",
        epilog=f"The secret is read from the environment variable {_SECRET_VARIABLE}.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--username", default="cadencia")
    parser.add_argument("--profile", default="demo", help=", ".join(sorted(PROFILES)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recordings", type=Path, help="folder in which recorded calls are written")
    parser.add_argument("--print-port", action="store_true", help="print the port as the first line")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    return parser.parse_args(argv)


async def _serve(arguments: argparse.Namespace, secret: str) -> None:
    world = World(profile_named(arguments.profile), arguments.seed)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if arguments.until_eof:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    exchange = Exchange(
        world,
        secret=secret,
        username=arguments.username,
        host=arguments.host,
        port=arguments.port,
        log_limit=1_000,
        recordings=arguments.recordings,
    )
    async with exchange:
        if arguments.print_port:
            sys.stdout.write(f"{exchange.port}\n")
            sys.stdout.flush()
        await stop.wait()
        if arguments.until_eof:
            loop.remove_reader(sys.stdin.fileno())


def main(argv: list[str] | None = None) -> int:
    """Run an exchange until a signal; the exit status."""
    arguments = _arguments(argv)
    secret = os.environ.get(_SECRET_VARIABLE, "")
    if not secret:
        sys.stderr.write(f"set {_SECRET_VARIABLE} to the secret of user {arguments.username!r}\n")
        return 2
    try:
        asyncio.run(_serve(arguments, secret))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
