"""What stands around a node: its worker, the key for commands on the same machine, the doctor's look at each part."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dialer import settings
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime import worker_process
from dialer.runtime.clock import Clock
from dialer.runtime.examination import CONTEXTS, examine
from dialer.runtime.finding import Finding
from dialer.runtime.local_access import local_access
from dialer.runtime.node import Node
from dialer.runtime.tasks import Tasks
from dialer.runtime.worker_process import WorkerProcess
from dialer.storage.database import Database
from dialer.storage.keys import Keys
from tests.runtime_floor import eventually

# ---- local access


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A user whose files everybody may read."""
    before = os.umask(0o000)
    yield
    os.umask(before)


async def test_the_key_for_this_machine_is_for_its_user_alone_and_replaces_the_last(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    clock = Clock()
    node = cast(
        "Node",
        SimpleNamespace(
            database=database, clock=clock, api_url="http://127.0.0.1:1", settings=settings.Settings(node="n1")
        ),
    )
    keys = Keys(database)
    _, foreign = await keys.create("manager", "local:n2", now=clock.now())
    secrets = []
    for _ in range(2):
        path = await local_access(node, tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        written = json.loads(path.read_text())
        assert (written["api_url"], written["node"]) == ("http://127.0.0.1:1", "n1")
        secrets.append(written["api_key"])
    old, new = secrets
    assert await keys.find(old, clock.now()) is None, "revoked"
    found = await keys.find(new, clock.now())
    assert found is not None
    assert found.role == "manager"
    assert await keys.find(foreign, clock.now()) is not None, "another node's"
    assert "node.part" not in os.listdir(tmp_path)
    await database.close()


# ---- worker


def told(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worker that tells its process id and waits."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "a_worker.py").write_text(
        "import os, signal, sys, time\n"
        "open(os.environ['TOLD'], 'a').write(f'{os.getpid()}\\n')\n"
        "if os.environ.get('STUBBORN'): signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(os.environ['TOLD'] + '.ready', 'a').write('x')\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(worker_process, "_MODULE", "a_worker")
    monkeypatch.setattr(worker_process, "_AGAIN_S", 0.01)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return tmp_path / "told"


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_worker_starts_with_the_first_job_again_after_its_death_and_ends_with_the_node(module: Path) -> None:
    worker = WorkerProcess({"TOLD": str(module)})
    async with Tasks() as tasks:
        tasks.start("worker", worker.run())
        await asyncio.sleep(0.05)
        assert told(module) == [], "nobody has asked for one"
        worker.wake()
        worker.wake()
        await eventually(lambda: len(told(module)) == 1)
        os.kill(told(module)[0], 9)
        await eventually(lambda: len(told(module)) == 2)
        second = told(module)[1]
        assert lives(second)
    await eventually(lambda: not lives(second))


async def test_a_worker_that_does_not_listen_is_killed(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_STOP_TIMEOUT_S", "_COLD_STOP_TIMEOUT_S"):
        monkeypatch.setattr(worker_process, name, 0.05)
    worker = WorkerProcess({"TOLD": str(module), "STUBBORN": "1"})
    async with Tasks() as tasks:
        tasks.start("worker", worker.run())
        worker.wake()
        await eventually(lambda: Path(f"{module}.ready").exists())
        (process,) = told(module)
    assert not lives(process)


# ---- the doctor


class Pbx:
    """As much of a manager interface as the doctor asks for."""

    def __init__(self) -> None:
        self.port = 0
        self.version: str | None = "22.5.0"
        self.contexts = set(CONTEXTS)
        self.password = "secret"
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                block = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in block.decode().strip().split("\r\n"))
                if not self.silent:
                    writer.write(self.answer(fields).encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, fields: dict[str, str]) -> str:
        def said(response: str, *more: str) -> str:
            return "\r\n".join((f"Response: {response}", f"ActionID: {fields['ActionID']}", *more, "", ""))

        match fields["Action"].lower():
            case "login" if fields.get("Secret") != self.password:
                return said("Error", "Message: Authentication failed")
            case "coresettings" if self.version is None:
                return said("Error", "Message: Permission denied")
            case "coresettings":
                return said("Success", f"AsteriskVersion: {self.version}")
            case "showdialplan" if fields["Context"] not in self.contexts:
                return said("Error", f"Message: Did not find context {fields['Context']}")
            case "logoff":
                return said("Goodbye")
            case "login":
                return said("Success") + "Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n"
            case _:
                return said("Success")


@pytest.fixture
async def pbx() -> AsyncIterator[Pbx]:
    made = Pbx()
    async with running(made):
        yield made


@asynccontextmanager
async def running(pbx: Pbx) -> AsyncIterator[None]:
    server = await asyncio.start_server(pbx.serve, "127.0.0.1", 0)
    pbx.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()


def asterisk(pbx: Pbx, **changes: object) -> settings.Asterisk:
    values: dict[str, object] = {
        "name": "one", "port": pbx.port, "secret": "secret", "auth": "plain",
        "trunks": (settings.Trunk(name="out", dial="PJSIP/{number}@out"),),
    }  # fmt: skip
    return settings.Asterisk(**(values | changes))  # type: ignore[arg-type]


def of(findings: list[Finding], part: str) -> list[Finding]:
    return [finding for finding in findings if finding.part == part]


async def look(*servers: settings.Asterisk, database: str, redis: str = "embedded") -> list[Finding]:
    return await examine(
        settings.Settings(
            asterisk=servers,
            database=settings.Database(url=database),
            redis=settings.Redis(url=redis),
            ami=settings.Ami(action_timeout_s=1.0),
        )
    )


async def test_a_site_that_is_well_has_nothing_to_mend(pbx: Pbx, sqlite_url: str) -> None:
    findings = await look(asterisk(pbx), database=sqlite_url)
    assert [f for f in findings if not f.ok] == []
    assert {f.part for f in findings} == {"redis", "database", "privacy", "costs", "asterisk one"}
    assert any("22.5.0" in f.says for f in findings)
    assert all("secret" not in f.says + f.mend for f in findings)


@pytest.mark.parametrize(
    ("spoil", "says", "mend"),
    [
        (lambda p: setattr(p, "version", "16.2.1"), "16.2.1", "upgrade"),
        (lambda p: setattr(p, "version", None), "does not tell its version", "reporting"),
        (lambda p: p.contexts.discard("cadencia-amd"), "lacks cadencia-amd", "extensions.conf"),
        (lambda p: setattr(p, "password", "other"), "", ""),
        (lambda p: setattr(p, "port", 1), "", ""),
    ],
)
async def test_what_an_asterisk_lacks_is_said_with_what_to_do(
    pbx: Pbx, sqlite_url: str, spoil: Callable[[Pbx], None], says: str, mend: str
) -> None:
    spoil(pbx)
    findings = of(await look(asterisk(pbx), database=sqlite_url), "asterisk one")
    (bad,) = [f for f in findings if not f.ok]
    assert says in bad.says
    assert mend in bad.mend
    assert bad.says


async def test_a_server_without_a_trunk_and_a_site_without_a_server_cannot_call(pbx: Pbx, sqlite_url: str) -> None:
    (bad,) = [f for f in await look(asterisk(pbx, trunks=()), database=sqlite_url) if not f.ok]
    assert "no trunk" in bad.says
    (bad,) = [f for f in await look(database=sqlite_url) if not f.ok]
    assert (bad.part, bad.says) == ("asterisk", "no server is configured")


async def test_a_database_without_tables_or_out_of_reach(tmp_path: Path) -> None:
    (empty,) = of(await look(database=f"sqlite:///{tmp_path / 'empty.db'}"), "database")
    assert not empty.ok
    assert "cadencia db upgrade" in empty.mend
    (away,) = of(await look(database="postgresql://u:hidden@127.0.0.1:1/none"), "database")
    assert not away.ok
    assert "hidden" not in away.says


async def test_a_redis_that_forgets_or_evicts_or_is_away(
    valkey_server: EmbeddedServer, valkey: AsyncRedis, sqlite_url: str
) -> None:
    url = valkey_server.url
    findings = of(await look(database=sqlite_url, redis=url), "redis")
    assert [f.says for f in findings if not f.ok] == ["keeps nothing over a restart"]
    await valkey.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = of(await look(database=sqlite_url, redis=url), "redis")
        assert any("evicts keys (allkeys-lru)" in f.says for f in findings if not f.ok)
    finally:
        await valkey.config_set("maxmemory-policy", "noeviction")
    (away,) = of(await look(database=sqlite_url, redis="redis://127.0.0.1:1/0"), "redis")
    assert not away.ok


async def test_a_redis_that_keeps_each_second_only_is_well_with_a_word(
    own_valkey: EmbeddedServer, sqlite_url: str
) -> None:
    (named,) = of(await look(database=sqlite_url, redis=own_valkey.url), "redis")
    assert named.ok
    from dialer.queues.connection import connect

    client = connect(own_valkey.url, name="test")
    await client.config_set("appendfsync", "everysec")
    await client.aclose()
    findings = of(await look(database=sqlite_url, redis=own_valkey.url), "redis")
    assert all(f.ok for f in findings)
    assert any("appendfsync always" in f.mend for f in findings)


async def test_a_server_that_says_nothing_does_not_hold_up_the_doctor(
    pbx: Pbx, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialer.runtime.examination._TIMEOUT_S", 0.3)
    pbx.silent = True
    (bad,) = of(await look(asterisk(pbx), database=sqlite_url), "asterisk one")
    assert not bad.ok
    assert "no answer" in bad.says
