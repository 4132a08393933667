"""A master, a replica and Sentinels as real processes, to be killed, stopped and promoted by tests."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import redis.asyncio
from redis import exceptions

from benchmarks.processes import free_ports
from dialer.queues.embedded import find_server
from tests.certificates import Certificate
from tests.e2e.floor import until
from tests.tls_front import TlsFront

_SERVICE: Final = "cadencia"


class Cluster:
    """One master, one replica, and Sentinels that promote it some tenths of a second after the master went silent.

    Args:
        home: an empty folder.
        sentinels: how many.
        tls: certificate and key that all of them have, as seen from outside; None: they speak no TLS.
    """

    def __init__(self, home: Path, sentinels: int = 1, tls: Certificate | None = None) -> None:
        self._home = home
        self.password = secrets.token_urlsafe(12)
        ports = free_ports(2 + sentinels)
        self.ports, self.sentinel_ports = ports[:2], ports[2:]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        # The embedded server's program speaks no TLS: something before it does.
        inner = free_ports(len(ports)) if tls is not None else ports
        self._inner = dict(zip(ports, inner, strict=True))
        self.fronts = (
            [TlsFront(port, behind, str(tls.chain), str(tls.key)) for port, behind in self._inner.items()]
            if tls is not None
            else []
        )
        self.url = (
            f"redis{'' if tls is None else 's'}+sentinel://:{self.password}@"
            + ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
            + f"/{_SERVICE}"
        )

    async def start(self) -> None:
        """Start all, and wait until the Sentinels know the replica."""
        for port in self.ports:
            lines = [
                f"requirepass {self.password}",
                f"masterauth {self.password}",
                "appendonly yes",
                "appendfsync no",
                'save ""',
                "repl-diskless-sync-delay 0",
                f"replica-announce-port {port}",
            ]
            if port != self.ports[0]:
                lines.append(f"replicaof 127.0.0.1 {self.ports[0]}")
            self._run(port, lines)
        await until(lambda: self._answers(*self.ports), "master and replica answer")
        for port in self.sentinel_ports:
            lines = [
                f"sentinel monitor {_SERVICE} 127.0.0.1 {self.ports[0]} {len(self.sentinel_ports) // 2 + 1}",
                f"sentinel auth-pass {_SERVICE} {self.password}",
                f"sentinel down-after-milliseconds {_SERVICE} 800",
                f"sentinel failover-timeout {_SERVICE} 2000",
            ]
            self._run(port, lines, "--sentinel")
        await until(self._ready, "the Sentinels know all")

    def signal(self, port: int, number: int) -> None:
        """Kill, stop or continue one server."""
        os.kill(self._processes[port].pid, number)
        if number == signal.SIGKILL:
            self._processes.pop(port).wait()

    def stop(self) -> None:
        """End all."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    async def master(self) -> int:
        """The port of the master, as the Sentinels have it; 0 where none does."""
        for port in self.sentinel_ports:
            async with redis.asyncio.Redis(port=port, socket_timeout=1.0) as client:
                try:
                    found = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _SERVICE)  # type: ignore[no-untyped-call]
                except (exceptions.RedisError, OSError):
                    continue
                return int(found[1])
        return 0

    async def promoted(self, port: int) -> bool:
        """Whether it is the master for the Sentinels, and takes itself for one."""
        if await self.master() != port:
            return False
        async with redis.asyncio.Redis(port=port, password=self.password) as client:
            return bool((await client.info("replication"))["role"] == "master")

    async def in_step(self) -> bool:
        """Whether the replica has all that the master has."""
        async with redis.asyncio.Redis(port=self.ports[0], password=self.password) as client:
            told = await client.info("replication")
            replica = told.get("slave0")
            return isinstance(replica, dict) and replica["offset"] == told["master_repl_offset"]

    def _run(self, port: int, lines: list[str], *arguments: str) -> None:
        home = self._home / str(port)
        home.mkdir()
        config = home / "server.conf"
        config.write_text("\n".join([f"port {self._inner[port]}", "bind 127.0.0.1", f"dir {home}", *lines]) + "\n")
        with (home / "log").open("wb") as log:
            self._processes[port] = subprocess.Popen(
                [find_server(), str(config), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def _answers(self, *ports: int) -> bool:
        for port in ports:
            async with redis.asyncio.Redis(port=port, password=self.password) as client:
                try:
                    await client.ping()
                except (exceptions.RedisError, OSError):
                    return False
        return True

    async def _ready(self) -> bool:
        for port in self.sentinel_ports:
            async with redis.asyncio.Redis(port=port, socket_timeout=1.0) as client:
                try:
                    told = await client.execute_command("SENTINEL", "MASTER", _SERVICE)  # type: ignore[no-untyped-call]
                except (exceptions.RedisError, OSError):
                    return False
                known = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
                by_name = {_text(name): _text(value) for name, value in known.items()}
                others = len(self.sentinel_ports) - 1
                if (by_name["num-slaves"], by_name["num-other-sentinels"]) != ("1", str(others)):
                    return False
        return await self.in_step()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A cluster of the test's own."""
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="cadencia-sentinel-"))
    made = Cluster(home)
    try:
        await made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)
