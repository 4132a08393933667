"""A thousand calls over the wire, and the exchange as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dialer.ami import actions as ami
from dialer.simulation.exchange import Exchange, main
from dialer.simulation.profiles import FAST
from dialer.simulation.world import World
from tests.exchange_client import RawClient
from tests.patience import PATIENCE_S

CALLS = 1_000


async def test_a_thousand_calls_end_as_the_world_meant() -> None:
    world = World(FAST, 31)
    async with (
        Exchange(world, secret="s3cret") as exchange,
        RawClient(exchange.port) as events,
        RawClient(exchange.port, events="off") as orders,
    ):
        for number in range(CALLS):
            orders.send(
                ami.originate(
                    f"PJSIP/346{number:08d}@carrier",
                    context="cadencia-wait",
                    exten="s",
                    channel_id=f"c-{number}",
                    timeout_s=5.0,
                    variables={"CADENCIA_CALL": f"c-{number}"},
                ),
                f"c-{number}",
            )
            if number % 50 == 49:
                await asyncio.sleep(0.005)
        async with asyncio.timeout(PATIENCE_S):
            # A patient person ends with the silent line at the latest, ten seconds after the answer.
            while exchange.counts.ended < CALLS:  # polling is the point
                for record in exchange.dialed:
                    if record.answered_at is not None and record.ended_at is None:
                        exchange.hang_up_customer(record.call)
                await asyncio.sleep(0.1)
        marker = events.send(ami.ping())
        await events.wait(lambda m: m.action_id == marker)
        assert not exchange.switchboard.channels
        for name in ("Newchannel", "OriginateResponse", "Hangup"):
            counts = Counter(m.get("Uniqueid") for m in events.events(name))
            assert len(counts) == CALLS
            assert set(counts.values()) == {1}
        assert [m.get("Response") for m in orders.messages[1:]] == ["Success"] * CALLS
        answered = {m.get("Uniqueid") for m in events.events("OriginateResponse") if m.get("Response") == "Success"}
        for record in exchange.dialed:
            fate = world.fate(record.number, 1, record.at)
            assert record.fate == fate
            assert (record.call in answered) == fate.reaction.answers


@contextmanager
def process(*arguments: str, secret: str = "s3cret") -> Iterator[subprocess.Popen[bytes]]:
    """The exchange as a process of its own."""
    environment = {**os.environ, "CADENCIA_EXCHANGE_SECRET": secret}
    command = [sys.executable, "-m", "dialer.simulation.exchange", "--print-port", *arguments]
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    with running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("way", ["signal", "end of input"])
async def test_standing_alone(way: str) -> None:
    with process("--profile", "fast", "--seed", "5", "--until-eof") as running:
        assert running.stdout is not None
        assert running.stdin is not None
        port = int(await asyncio.to_thread(running.stdout.readline))
        async with RawClient(port) as client:
            await client.call("34600000001", "call-1", timeout_s=1.0)
            await client.event("OriginateResponse", Uniqueid="call-1")
        if way == "signal":
            running.send_signal(signal.SIGTERM)
        else:
            running.stdin.close()
        assert await asyncio.to_thread(running.wait, PATIENCE_S) == 0
        assert running.stderr is not None
        assert running.stderr.read() == b""


def test_a_wrong_start_says_what_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CADENCIA_EXCHANGE_SECRET", raising=False)
    assert main([]) == 2
    assert "set CADENCIA_EXCHANGE_SECRET" in capsys.readouterr().err
    monkeypatch.setenv("CADENCIA_EXCHANGE_SECRET", "s3cret")
    assert main(["--profile", "nope"]) == 2
    assert "no world profile 'nope'; there are benchmark, demo" in capsys.readouterr().err


async def test_a_taken_port_is_an_error_of_the_system() -> None:
    async with Exchange(World(FAST, 1), secret="s3cret") as exchange:
        other = Exchange(World(FAST, 1), secret="s3cret", port=exchange.port)
        with pytest.raises(OSError, match="in use"):
            await other.start()
