"""A real TURN server (coturn), from the lab's packages, for one test."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.install import RELAY, Programs, install
from scripts.lab.layout import LabError, Layout, default_directory
from tests.certificates import Certificate
from tests.e2e.floor import until
from tests.e2e.sites import free_port
from tests.lab import unavailable

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnServer:
    """What has to be known of it."""

    port: int
    tls_port: int
    secret: str


def _programs() -> Programs:
    directory = Path(os.environ.get("CADENCIA_LAB_DIR", default_directory())).absolute()
    try:
        return install(Layout(directory), lambda _: None, RELAY)
    except (LabError, OSError) as error:
        unavailable(str(error))
        raise


def _configure(folder: Path, made: TurnServer, certificate: Certificate) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "turnserver.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f"""use-auth-secret
static-auth-secret={made.secret}
realm=turn.example
listening-ip={_HOST}
relay-ip={_outside()}
# neither the lab's nor the kernel's own choice
min-port=62100
max-port=62999
listening-port={made.port}
tls-listening-port={made.tls_port}
cert={certificate.chain}
pkey={certificate.key}
# Asterisk is on this machine too
allow-loopback-peers
userdb={folder / "users"}
pidfile={folder / "pid"}
"""
    )
    return configuration


@asynccontextmanager
async def turn_server(folder: Path, certificate: Certificate) -> AsyncIterator[TurnServer]:
    """Let one run, on this machine alone; skips the test where it cannot be had (fails where the lab is required)."""
    programs = await asyncio.to_thread(_programs)
    made = TurnServer(port=free_port(), tls_port=free_port(), secret=secrets.token_urlsafe(24))
    configuration = _configure(folder, made, certificate)
    with (folder / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *programs.turnserver(configuration), "--log-file=stdout", stdout=output, stderr=output
        )
    try:
        await until(lambda: _listens(made.tls_port), "a TURN server that listens")
        yield made
    finally:
        # asked to end, it takes two seconds
        process.kill()
        await process.wait()


def _outside() -> str:
    """This machine's address, from which Asterisk hears the relay: on the loopback it would answer from another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return _HOST
        return str(probe.getsockname()[0])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
