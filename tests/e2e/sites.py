"""What a running `cadencia serve` needs around it, for tests that are not asynchronous themselves."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from dialer.cli.client import Api
from dialer.simulation import OPEN_RULES
from dialer.simulation.exchange import Exchange
from dialer.simulation.records import CallRecord
from dialer.simulation.world import World
from tests.e2e.programs import Finished, OutsideClient, Program, run, wait_for
from tests.patience import PATIENCE_S

SECRET = "sesame"
T = TypeVar("T")


class ExchangeThread:
    """The exchange on an event loop of its own: it goes on whatever the test waits for."""

    def __init__(self, world: World, *, recordings: Path | None = None) -> None:
        self.exchange = Exchange(world, secret=SECRET, recordings=recordings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)

    def __enter__(self) -> ExchangeThread:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.exchange.start(), self._loop).result(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.exchange.stop(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def ask(self, question: Callable[[Exchange], T]) -> T:
        """An answer from inside the loop."""

        async def asked() -> T:
            return question(self.exchange)

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(PATIENCE_S)

    def customers(self) -> set[str]:
        """Ids of the customers' channels that exist."""
        return self.ask(lambda ex: {c.uniqueid for c in ex.switchboard.channels.values() if not c.is_agent})

    def dialed(self) -> list[CallRecord]:
        return self.ask(lambda ex: list(ex.dialed))


def settings_file(
    folder: Path,
    *,
    ami_port: int,
    secret: str = SECRET,
    redis: str = "embedded",
    database: str | None = None,
    api_port: int = 0,
) -> Path:
    """A settings file as an operator writes it."""
    path = folder / "cadencia.toml"
    path.write_text(
        f"""
node = "n1"
default_region = "FR"
data_dir = "{folder / "var"}"
[database]
url = "{database or f"sqlite:///{folder / 'cadencia.db'}"}"
[redis]
url = "{redis}"
[compliance]
rules = "{OPEN_RULES}"
[api]
port = {api_port}
[ami]
reconnect_min_s = 0.05
reconnect_max_s = 0.2
[[asterisk]]
name = "pbx"
port = {ami_port}
secret = "{secret}"
[[asterisk.trunks]]
name = "carrier"
max_calls_per_second = 100.0

""",
        encoding="utf-8",
    )
    return path


class Site:
    """A folder with settings, in which `cadencia serve` is started, stopped and killed."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder = folder
        self.config = config
        self.programs: list[Program] = []

    # ---- the node

    def start(self) -> Program:
        """Start it; returns when the API answers."""
        known = self.folder / "var" / "node.json"
        before = known.read_bytes() if known.exists() else b""
        program = Program(self.folder, "serve", "--config", str(self.config))
        self.programs.append(program)
        program.wait_for(lambda: known.exists() and known.read_bytes() != before, "node.json")
        return program

    def clear_away(self) -> None:
        for program in self.programs:
            program.clear_away()

    @property
    def api(self) -> Api:
        return Api.connect(self.config, None, None)

    def live(self, campaign: str = "winter") -> dict[str, Any]:
        """What goes on in a campaign now."""
        rows: list[dict[str, Any]] = [row for row in self.api.get("/live")["campaigns"] if row["id"] == campaign]
        return rows[0]

    def client(self) -> OutsideClient:
        """A CRM at the embedded server."""
        known = json.loads((self.folder / "var" / "redis" / "redis.json").read_text())
        return OutsideClient(f"redis://:{known['password']}@127.0.0.1:{known['port']}/0")

    # ---- the command

    def cadencia(self, *arguments: str) -> Finished:
        return run(*arguments, "--config", str(self.config), cwd=self.folder)

    def write_csv(self, rows: Sequence[Sequence[str]], name: str = "list.csv") -> Path:
        path = self.folder / name
        path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
        return path

    # ---- the record

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the database, read beside the node."""
        connection = sqlite3.connect(f"file:{self.folder / 'cadencia.db'}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def ended(self) -> int:
        return int(self.sql("SELECT count(*) FROM attempts")[0][0])

    def check(self, client: OutsideClient, exchange: ExchangeThread) -> None:
        """What must hold when all calls are over, whatever has happened on the way."""
        started = {result["call"]: result for result in client.results("call.started")}
        ended = Counter(result["call"] for result in client.results("call.ended"))
        missing = [result for call, result in started.items() if call not in ended]
        assert missing == [], "a started call has no end"
        assert {call: times for call, times in ended.items() if times != 1} == {}, "an end is told twice"
        wait_for(lambda: self.ended() >= len(ended), "every attempt in SQL")
        attempts = self.sql("SELECT call, contact, phone, attempt_number, outcome FROM attempts")
        assert {row[0] for row in attempts} == set(ended)
        assert len({(row[1], row[3]) for row in attempts}) == len(attempts), "one attempt, two calls"
        rung = Counter(record.number for record in exchange.dialed())
        made = Counter(row[2].removeprefix("+") for row in attempts)
        assert {number: times for number, times in rung.items() if times > made[number]} == {}, "rung without attempt"
        wait_for(lambda: not exchange.customers(), "no customer's channel left")
        campaigns: Mapping[str, Any] = self.live()
        assert sum(campaigns["calls"].values()) == 0


@contextmanager
def listener(greeting: bytes) -> Iterator[int]:
    """A port on which something else is spoken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            held = []
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.sendall(greeting)
                held.append(connection)
            for connection in held:
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join(PATIENCE_S)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
