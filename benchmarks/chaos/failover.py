"""A replica of a scenario's Valkey, and three Sentinels that promote it when the master is silent for half a second."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import redis

from benchmarks.processes import free_ports, wait_for
from dialer.queues.embedded import EmbeddedServer, find_server

_SERVICE: Final = "chaos"
_SENTINELS: Final = 3


class Standby:
    """What takes over; use as a context, with the master running.

    Args:
        master: the one that nodes use first.
        folder: for all files.
    """

    def __init__(self, master: EmbeddedServer, folder: Path) -> None:
        parts = urlsplit(master.tcp_url)
        assert parts.port is not None, "it listens on TCP"
        self._master, self._password, self._folder = parts.port, parts.password or "", folder
        self._port, *self._sentinels = free_ports(1 + _SENTINELS)
        self._processes: list[subprocess.Popen[bytes]] = []
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinels)
        #: For nodes: wherever the master is.
        self.url = f"redis+sentinel://:{self._password}@{hosts}/{_SERVICE}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def promoted(self) -> bool:
        """Whether the replica is the master, for the Sentinels and for itself."""
        with contextlib.suppress(redis.RedisError, OSError), self._client(self._sentinels[0]) as client:
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _SERVICE)
            if int(found[1]) == self._port:
                with self._client(self._port, self._password) as replica:
                    return bool(replica.info("replication")["role"] == "master")
        return False

    def _start(self) -> None:
        secret = [f"requirepass {self._password}", f"masterauth {self._password}"]
        with self._client(self._master, self._password) as client:
            client.config_set("masterauth", self._password)
        keeping = ["appendonly yes", "appendfsync always", 'save ""', "maxmemory-policy noeviction"]
        self._run(self._port, [*secret, *keeping, f"replicaof 127.0.0.1 {self._master}"])
        wait_for(self._in_step, "a replica in step")
        for port in self._sentinels:
            lines = [
                f"sentinel monitor {_SERVICE} 127.0.0.1 {self._master} {_SENTINELS // 2 + 1}",
                f"sentinel auth-pass {_SERVICE} {self._password}",
                f"sentinel down-after-milliseconds {_SERVICE} 500",
                f"sentinel failover-timeout {_SERVICE} 5000",
            ]
            self._run(port, lines, "--sentinel")
        wait_for(self._known, "Sentinels that know of each other")

    def _stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _run(self, port: int, lines: list[str], *arguments: str) -> None:
        home = self._folder / f"redis-{port}"
        home.mkdir()
        config = home / "server.conf"
        config.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {home}", *lines]) + "\n", encoding="utf-8")
        with (home / "log").open("wb") as log:
            command = [find_server(), str(config), *arguments]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _in_step(self) -> bool:
        with contextlib.suppress(redis.RedisError, OSError), self._client(self._port, self._password) as client:
            return bool(client.info("replication").get("master_link_status") == "up")
        return False

    def _known(self) -> bool:
        for port in self._sentinels:
            try:
                with self._client(port) as client:
                    told = client.sentinel_master(_SERVICE)
            except (redis.RedisError, OSError):
                return False
            if (told["num-slaves"], told["num-other-sentinels"]) != (1, _SENTINELS - 1):
                return False
        return True

    def _client(self, port: int, password: str | None = None) -> redis.Redis:
        return redis.Redis(port=port, password=password, protocol=2, socket_timeout=2.0)
