"""The native driver's reading: at rest after a read, awake for floods, obedient to whoever pauses it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialer.runtime import event_loop
from dialer.switch.native import _Protocol, _TransportWire
from tests.patience import PATIENCE_S


class Transport:
    """Like a loop's transport, though none of asyncio's classes."""

    def __init__(self) -> None:
        self.reading = True
        self.closing = False

    def is_reading(self) -> bool:
        """Whether data is taken."""
        return self.reading and not self.closing

    def is_closing(self) -> bool:
        """Whether it ends."""
        return self.closing

    def pause_reading(self) -> None:
        """Take nothing."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take on."""
        self.reading = True

    def get_extra_info(self, _: str) -> object:
        """A socket, as far as it is looked at."""
        return SimpleNamespace(setsockopt=lambda *_: None)

    def abort(self) -> None:
        """End."""
        self.closing = True


class Linked:
    """What the protocol knows of a link."""

    def __init__(self, rest_s: float, *, ready: bool = True) -> None:
        self.rest_s = rest_s
        self.ready = ready
        self.data: list[bytes] = []
        self.lost: list[str] = []

    def attach(self, wire: object) -> None:
        """Nothing to say."""

    def on_data(self, data: bytes) -> None:
        """Keep it."""
        self.data.append(data)

    def on_lost(self, reason: str = "") -> None:
        """Keep why."""
        self.lost.append(reason)


def connected(link: Linked) -> tuple[_Protocol, Transport, _TransportWire]:
    """A protocol on a transport."""
    protocol, transport = _Protocol(cast("Any", link)), Transport()
    protocol.connection_made(cast("asyncio.BaseTransport", transport))
    assert protocol._wire is not None
    return protocol, transport, protocol._wire


async def until_reading(transport: Transport) -> None:
    """Wait for the end of a rest."""
    async with asyncio.timeout(PATIENCE_S):
        while not transport.reading:  # noqa: ASYNC110 - a flag of a stub has no event
            await asyncio.sleep(0.001)


async def test_after_a_read_it_rests_and_then_reads_on() -> None:
    protocol, transport, _ = connected(Linked(0.01))
    protocol.data_received(b"x")
    assert not transport.reading
    await until_reading(transport)


async def test_two_connections_wake_together() -> None:
    loop = asyncio.get_running_loop()
    wires = [connected(Linked(0.02)) for _ in range(2)]
    due = []
    for protocol, _, wire in wires:
        before = loop.time()
        protocol.data_received(b"x")
        assert wire._resting is not None
        due.append(wire._resting.when())
        assert before < due[-1] <= loop.time() + 0.02
    assert due[1] - due[0] == pytest.approx(round((due[1] - due[0]) / 0.02) * 0.02, abs=1e-6)


@pytest.mark.parametrize(("rest_s", "ready", "size"), [(0.0, True, 1), (0.01, False, 1), (0.01, True, 100_000)])
async def test_logging_in_and_floods_are_read_without_a_rest(rest_s: float, ready: bool, size: int) -> None:
    protocol, transport, _ = connected(Linked(rest_s, ready=ready))
    protocol.data_received(b"x" * size)
    assert transport.reading


async def test_who_pauses_the_reading_is_not_overruled_by_the_end_of_a_rest() -> None:
    protocol, transport, wire = connected(Linked(0.002))
    protocol.data_received(b"x")
    wire.pause_reading()
    await asyncio.sleep(0.02)
    assert not transport.reading
    wire.resume_reading()
    assert transport.reading


async def test_who_resumes_the_reading_does_not_end_a_rest() -> None:
    protocol, transport, wire = connected(Linked(0.01))
    protocol.data_received(b"x")
    wire.pause_reading()
    wire.resume_reading()
    assert not transport.reading
    await until_reading(transport)


async def test_a_lost_connection_leaves_no_timer() -> None:
    link = Linked(5.0)
    protocol, transport, wire = connected(link)
    protocol.data_received(b"x")
    timer = wire._resting
    assert timer is not None
    protocol.connection_lost(OSError("gone"))
    assert timer.cancelled()
    assert link.lost == ["the connection broke: gone"]
    wire.close()
    assert transport.closing


def test_the_fast_loop_runs_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert event_loop.run(loop()) == uvloop.Loop.__module__
    monkeypatch.setattr(event_loop, "find_spec", lambda _: None)
    assert event_loop.run(loop()).startswith("asyncio")
