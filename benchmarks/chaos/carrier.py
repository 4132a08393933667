"""The carrier with its exchange, a process of its own, and its log: a line for each originate, before anything else.

    python -m benchmarks.chaos.carrier --port PORT --log FILE [--seed N]

Orders come as lines of JSON on standard input, each is answered by a line on standard output; it ends when its input
does. The log is appended to, so that it outlives a kill of this process; `read_log` reads it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.chaos.telephony import Dialed
from benchmarks.processes import ROOT
from dialer.simulation.distributions import Constant, LogNormal, Mixture, Uniform
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import FAST
from dialer.simulation.records import CallRecord
from dialer.simulation.world import AgentProfile, Profile, Reaction, World

SECRET: Final = "sesame"
_SECRET_VARIABLE: Final = "CADENCIA_EXCHANGE_SECRET"
#: Everything comes to an end by itself within seconds; what rings on until our time-out would take fifteen.
PROFILE: Final[Profile] = replace(
    FAST,
    name="chaos",
    mix={
        Reaction.PERSON: 0.45,
        Reaction.HASTY: 0.05,
        Reaction.MACHINE: 0.1,
        Reaction.BUSY: 0.2,
        Reaction.INVALID: 0.1,
        Reaction.CONGESTION: 0.1,
    },
    talk=Mixture(((0.8, LogNormal(0.4, 0.5)), (0.2, Uniform(1.0, 3.0)))),
    patience=Constant(6.0),
    agents=AgentProfile(wrapup=Constant(0.05), phone_answers=Uniform(0.001, 0.01)),
)


class Log(deque[CallRecord]):
    """Originates as they are received, and written down."""

    def __init__(self, file: Path) -> None:
        super().__init__(maxlen=10_000)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, record: CallRecord) -> None:
        """Take in what the exchange notes before it does anything else with it."""
        super().append(record)
        kept = {"at": record.at, "call": record.call, "number": record.number, "agent": record.is_agent}
        os.write(self._file, json.dumps(kept).encode() + b"\n")


def read_log(file: Path) -> list[Dialed]:
    """All originates to customers, oldest first."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return [Dialed(at=row["at"], call=row["call"], number=row["number"]) for row in rows if not row["agent"]]


async def _obey(exchange: Exchange, order: Mapping[str, Any]) -> object:
    match order["order"]:
        case "numbers":
            records = [c.record for c in exchange.switchboard.channels.values() if not c.is_agent]
            return sorted(record.number for record in records if record is not None)
        case "phones":
            return [c.endpoint for c in exchange.switchboard.channels.values() if c.is_agent]
        case "faults":
            for name, value in order["set"].items():
                setattr(exchange.faults, name, set(value) if isinstance(value, list) else value)
        case "cut":
            exchange.cut()
        case "drop":
            exchange.drop()
        case "stall":
            exchange.stall()
        case "resume":
            exchange.resume()
        case "restart":
            await exchange.restart(order["down_s"])
        case "phones fall":
            phones = [c.endpoint for c in exchange.switchboard.channels.values() if c.is_agent]
            return sum(exchange.hang_up_phone(phone) for phone in phones)
        case other:
            raise ValueError(f"no such order: {other}")
    return None


async def _serve(port: int, log: Path, seed: int) -> None:
    exchange = Exchange(World(PROFILE, seed), secret=os.environ[_SECRET_VARIABLE], port=port)
    exchange.switchboard.log = Log(log)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with exchange:
        sys.stdout.write(f"{exchange.port}\n")
        sys.stdout.flush()
        while line := await reader.readline():
            sys.stdout.write(json.dumps(await _obey(exchange, json.loads(line))) + "\n")
            sys.stdout.flush()


class Carrier:
    """The process, as whoever starts it sees it: on one port, however often it is killed."""

    secret = SECRET

    def __init__(self, folder: Path, seed: int) -> None:
        self.log = folder / "carrier.log"
        self._seed = seed
        self._said = folder / "carrier.err"
        self._process: subprocess.Popen[str] | None = None
        #: Orders come from the scenario and from who watches.
        self._turn = threading.Lock()
        self.port = 0

    def start(self) -> None:
        """Start it; returns when it listens."""
        with self._turn, self._said.open("ab") as said:
            self._start(said)

    def _start(self, said: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.chaos.carrier", "--port", str(self.port)),
                *("--log", str(self.log), "--seed", str(self._seed)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, _SECRET_VARIABLE: SECRET, "PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": ""},
        )
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the carrier did not start: {self._said.read_text()[-500:]}")
        self.port = int(answer)

    def kill(self) -> None:
        """End it at once: every call and phone is gone."""
        with self._turn:
            if self._process is not None:
                self._process.kill()
                self._close()

    def stop(self) -> None:
        """End it."""
        with self._turn:
            if self._process is not None:
                assert self._process.stdin is not None
                self._process.stdin.close()
                self._close()

    def _close(self) -> None:
        assert self._process is not None
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def order(self, order: str, **values: object) -> Any:
        """Its answer.

        Raises:
            ConnectionError: it does not run.
        """
        with self._turn:
            process = self._process
            if process is None or process.stdin is None or process.stdout is None:
                raise ConnectionError("the carrier is down")
            process.stdin.write(json.dumps({"order": order, **values}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            raise ConnectionError(f"the carrier has died: {self._said.read_text()[-500:]}")
        return json.loads(answer)

    def faults(self, **values: object) -> None:
        """Set standing faults (`dialer.simulation.faults.Faults`)."""
        self.order("faults", set=values)

    def number(self, n: int) -> str:
        """The number of the n-th contact, without its +."""
        return f"346{n:08d}"

    def phones(self, node: int, count: int) -> list[str]:
        """Whatever phone is called exists."""
        return []

    def channels(self) -> set[str]:
        """Numbers of those who are being called or talking."""
        return set(self.order("numbers"))

    def phones_up(self) -> list[str]:
        """Agents' phones that are in a call."""
        return list(self.order("phones"))

    def count(self) -> int:
        """Originates to customers so far."""
        try:
            with self.log.open("rb") as log:
                return sum(1 for line in log if b'"agent": false' in line)
        except FileNotFoundError:
            return 0

    def dialed(self) -> list[Dialed]:
        """All originates to customers so far."""
        return read_log(self.log)


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    asyncio.run(_serve(options.port, options.log, options.seed))


if __name__ == "__main__":
    main()
