"""Processes that a benchmark starts, kills and starts again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dialer.cli.client import Api, ApiError
from dialer.errors import DialerError

ROOT: Final = Path(__file__).resolve().parents[1]
_PATIENCE_S: Final = 180.0
_STOP_TIMEOUT_S: Final = 30.0
#: Longer than any node takes to learn that another has died.
_STALE_S: Final = 15.0


def wait_for(
    ask: Callable[[], object], what: str, alive: Callable[[], bool] = lambda: True, *, timeout_s: float = _PATIENCE_S
) -> None:
    """Wait until `ask` answers something true.

    Raises:
        RuntimeError: it never does, or whoever is to answer has died.
    """
    deadline = time.monotonic() + timeout_s
    while not ask():
        if not alive() or time.monotonic() > deadline:
            raise RuntimeError(f"never came: {what}")
        time.sleep(0.02)


class Command:
    """A module run as a process of its own, with what it says in a file: killed and started again as often as wanted.

    Args:
        folder: where it works, and where its file ``<name>.log`` is.
        name: of that file.
        arguments: of the interpreter, such as ``-m dialer.cli serve``.
        environ: further variables.
        sources: whose modules it runs.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        arguments: Sequence[str],
        environ: dict[str, str] | None = None,
        sources: Path = ROOT,
    ) -> None:
        #: From the next start on.
        self.sources = sources
        self._folder = folder
        self._name = name
        self._arguments = [sys.executable, *arguments]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CADENCIA_")}
        self._environ = {**kept, "PYTHONASYNCIODEBUG": "", **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, None where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**self._environ, "PYTHONPATH": str(self.sources)},
                # What it starts besides goes with it.
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send a signal to it alone."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End it in peace."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def wait(self, ask: Callable[[], object], what: str) -> None:
        """Wait for something of it.

        Raises:
            RuntimeError: it never comes; with the last lines of what it said.
        """
        try:
            wait_for(ask, f"{what} of {self._name}", lambda: self.pid is not None)
        except RuntimeError as error:
            raise RuntimeError("\n".join((str(error), *self.said().splitlines()[-20:]))) from error

    def said(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace")

    @property
    def log(self) -> Path:
        """Where that is."""
        return self._folder / f"{self._name}.log"


class ServeProcess(Command):
    """`cadencia serve`.

    Args:
        folder: in which it gets one of its own.
        name: of the node.
        settings: of the node, as TOML; its name and its folder are put before it.
        launcher: interpreter's arguments in place of ``-m dialer.cli``.
        phones: of its agents, who are called as their phones are; none: named after the node.
        sources: whose modules it runs.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: str,
        launcher: Sequence[str] = ("-m", "dialer.cli"),
        phones: Sequence[str] = (),
        sources: Path = ROOT,
    ) -> None:
        self.name = name
        self._phones = phones
        home = folder / name
        home.mkdir()
        self.config = home / "cadencia.toml"
        self.known = home / "var" / "node.json"
        self.config.write_text(f'node = "{name}"\ndata_dir = "{home / "var"}"\n{settings}', encoding="utf-8")
        super().__init__(home, "serve", [*launcher, "serve", "--config", str(self.config)], sources=sources)

    def start(self) -> None:
        """Start it; `wait_up` follows."""
        self.known.unlink(missing_ok=True)
        super().start()

    def wait_up(self) -> None:
        """Wait for its API."""
        self.wait(self.known.exists, "API")

    @property
    def api(self) -> Api:
        """Its API."""
        return Api.connect(self.config, None, None)

    def agents(self, count: int) -> list[str]:
        """Names of its agents and of their phones."""
        return list(self._phones[:count]) or [f"{self.name}a{k:02d}" for k in range(count)]

    def sign_in(self, count: int, campaign: str) -> None:
        """Its agents come to their desks: from now on it dials."""
        missing = self.agents(count)
        said, stale_until = "", dict[str, float]()

        def all_in() -> bool:
            nonlocal said
            try:
                while missing:
                    self.api.post(f"/agents/{missing[-1]}/sign-in", {"phone": missing[-1], "campaigns": [campaign]})
                    missing.pop()
            except ApiError as error:
                said = f"{missing[-1]}: {error}"
                # Of who was in at a process that has died the nodes believe so for some seconds more. Longer than that:
                # their request was taken without our hearing the answer.
                now = time.monotonic()
                late = now > stale_until.setdefault(missing[-1], now + _STALE_S)
                if error.error == "wrong_state" and late and missing[-1] in self.signed_in():
                    missing.pop()
            except DialerError as error:
                said = f"{missing[-1]}: {error}"
            return not missing

        try:
            self.wait(all_in, "agents")
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{said}") from error

    def at_home(self) -> list[str]:
        """Agents who are at home here, wherever they were signed in."""
        rows = self.api.get("/agents")["items"]
        return [row["id"] for row in rows if row["node"] in {"", self.name} and row["state"] != "signed_out"]

    def signed_in(self) -> set[str]:
        """Agents who are in, wherever; nobody where it cannot be asked."""
        try:
            return {row["id"] for row in self.api.get("/agents")["items"] if row["state"] != "signed_out"}
        except DialerError:
            return set()


def free_ports(count: int) -> list[int]:
    """So many TCP ports of this machine that nobody listens on, all of them different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
