"""The exchange of the hammer, a process of its own, with a ledger of every originate that reached it.

A CRM that has been answered says so here at once, by a datagram (a *fence*). The ledger enters the fence after all that
had been sent to the exchange until then: what stands behind a fence was sent after the acknowledgement, whatever the
machine was busy with. What stands before it may have been sent a moment after the acknowledgement too, which is why the
hammer looks at the nodes' own stamps as well.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from array import array
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.hammer_crm import FENCE, place_of
from dialer.simulation.distributions import Uniform
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import NOBODY
from dialer.simulation.records import CallRecord
from dialer.simulation.world import Profile, Reaction, World

#: Rings for a moment and is refused: many calls, and some of them can be hung up.
BRIEF: Final[Profile] = replace(
    NOBODY,
    name="brief",
    mix={Reaction.REJECTED: 0.7, Reaction.BUSY: 0.2, Reaction.CONGESTION: 0.1},
    refusal_ring=Uniform(0.03, 0.4),
)


class Ledger(deque[CallRecord]):
    """Every originate to a customer, in the order of arrival, as (number, monotonic seconds)."""

    def __init__(self, progress: Any) -> None:
        super().__init__(maxlen=100)
        self.numbers = array("q")
        self.at = array("d")
        self._progress = progress

    def append(self, record: CallRecord) -> None:
        """Take in what the exchange writes down before it does anything else with it."""
        super().append(record)
        if not record.is_agent:
            self.numbers.append(int(record.number.removeprefix("+")))
            self.at.append(time.monotonic())
            self._progress[0], self._progress[1] = len(self.at), place_of(self.numbers[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What a ledger says in the end."""

    #: Digits of the originates in order, and when each was read.
    numbers: Any
    at: Any
    #: Of each fence, in the order of the acknowledgements: how many originates stand before it; when it was entered.
    before: Any
    fenced_at: Any


def read_entries(path: Path) -> Entries:
    """What a ledger has written when it ended."""
    with np.load(path) as kept:
        order = np.argsort(kept["fences"], kind="stable")
        return Entries(
            numbers=kept["numbers"], at=kept["at"], before=kept["before"][order], fenced_at=kept["fenced_at"][order]
        )


def keep_ledger(secret: str, folder: Path, ready: Connection, progress: Any) -> None:
    """Run the exchange until the other end of `ready` is closed, and write the ledger; entry point of the process.

    Args:
        secret: of the manager's user.
        folder: where the datagrams' socket stands, and the ledger in the end.
        ready: is told the port; closed to end.
        progress: shared numbers: originates so far, and the contact of the last one.
    """
    asyncio.run(_keep(secret, folder, ready, progress))


async def _keep(secret: str, folder: Path, ready: Connection, progress: Any) -> None:
    loop = asyncio.get_running_loop()
    ledger = Ledger(progress)
    fences, before, fenced_at = array("Q"), array("Q"), array("d")
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.setblocking(False)
    datagrams.bind(os.fspath(folder / "fences"))

    def enter(number: int) -> None:
        fences.append(number)
        before.append(len(ledger.at))
        fenced_at.append(time.monotonic())

    def next_turn(number: int) -> None:
        loop.call_soon(enter, number)

    def receive() -> None:
        while True:
            try:
                number = FENCE.unpack(datagrams.recv(FENCE.size))[0]
            except BlockingIOError:
                return
            # The loop looks at its sockets between one turn and the next, and reads them after what was already waiting
            # for that turn: in the second one, all that had been sent when the datagram was read has been taken in.
            loop.call_soon(next_turn, number)

    loop.add_reader(datagrams.fileno(), receive)
    exchange = Exchange(World(BRIEF, seed=1), secret=secret)
    exchange.switchboard.log = ledger
    async with exchange:
        ready.send(exchange.port)
        over = asyncio.Event()
        loop.add_reader(ready.fileno(), over.set)
        await over.wait()
        loop.remove_reader(ready.fileno())
    loop.remove_reader(datagrams.fileno())
    datagrams.close()
    np.savez(
        folder / "ledger.npz",
        numbers=np.array(ledger.numbers),
        at=np.array(ledger.at),
        fences=np.array(fences),
        before=np.array(before),
        fenced_at=np.array(fenced_at),
    )
