"""The command as its users run it: a process of its own, and what is left of it when it has gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis import Redis

from tests.e2e.warm import Warm
from tests.patience import PATIENCE_S

CADENCIA = (sys.executable, "-m", "dialer.cli")
_MARK = "CADENCIA_TEST_RUN"
_warm = Warm()


def wait_for(ask: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first answer of `ask` that counts as true, waited for."""
    deadline = time.monotonic() + timeout_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return answer


class Program:
    """`cadencia …`, running."""

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        """Start it.

        Args:
            folder: where its output goes; what runs on a folder inside counts as its own.
            arguments: of the command.
            environ: further variables.
        """
        self._folder = folder.resolve()
        self._mark = uuid.uuid4().hex
        name = f"{arguments[0]}-{self._mark[:6]}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [*CADENCIA, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**_clean_environment(), **(environ or {}), _MARK: self._mark},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def complaints(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def result(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.output)

    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, ask: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """`wait_for`, which fails at once where the program has ended."""

        def asked() -> Any:
            answer = ask()
            assert answer or self.running(), f"it ended before {what}: {self.complaints}"
            return answer

        return wait_for(asked, what, timeout_s)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, number: int, timeout_s: float = PATIENCE_S) -> int:
        """Send a signal; its exit code, or a failure where it has not ended in time."""
        self.signal(number)
        return self.ended(timeout_s)

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit code, or a failure where it does not end in time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s: {self.complaints}") from None

    def family(self) -> dict[int, str]:
        """Processes that it started, itself included, with their command lines; ended ones do not count."""
        return {pid: command for pid, command in _processes() if self._is_ours(pid)}

    def gone(self, timeout_s: float = PATIENCE_S) -> None:
        """Fail where any process of its family is still there after a while."""
        deadline = time.monotonic() + timeout_s
        while left := self.family():
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.02)

    def clear_away(self) -> None:
        """At the end of a test, whatever happened in it."""
        if self.running():
            self._process.kill()
        self._process.wait()
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _is_ours(self, pid: int) -> bool:
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            # A server may overwrite its environment with its title; its working folder stays.
            return f"{_MARK}={self._mark}".encode() in environ or Path(f"/proc/{pid}/cwd").readlink().is_relative_to(
                self._folder
            )
        except OSError:
            return False


def run(*arguments: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Finished:
    """`cadencia …` to its end, in a process of its own (`tests.e2e.warm`)."""
    code, output, complaints = _warm.run(
        arguments,
        environ={**_clean_environment(), **(environ or {})},
        cwd=cwd or Path.cwd(),
        timeout_s=2 * PATIENCE_S,
    )
    return Finished(arguments, code, output, complaints)


class Finished:
    """A command that has ended."""

    def __init__(self, arguments: Sequence[str], code: int, output: str, complaints: str) -> None:
        self.arguments = tuple(arguments)
        self.code = code
        self.output = output
        #: As a person reads it: line breaks of the terminal's width are of no interest.
        self.complaints = " ".join(complaints.split())

    def ok(self) -> Finished:
        assert self.code == 0, f"{self.arguments} ended with {self.code}: {self.complaints} {self.output}"
        return self

    def failed(self, code: int, *words: str) -> Finished:
        """It must have failed with this exit code, and its error must say these words, and be no traceback."""
        assert self.code == code, f"{self.arguments} ended with {self.code}: {self.complaints} {self.output}"
        assert "Traceback" not in self.complaints, self.complaints
        for word in words:
            assert word in self.complaints, f"{word!r} is missing in: {self.complaints}"
        return self

    def json(self) -> Any:
        return json.loads(self.output)


def _clean_environment() -> dict[str, str]:
    """Ours without settings of Cadencia's; asyncio's debug mode is for tests in this process."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CADENCIA_")}
    environ.pop("PYTHONASYNCIODEBUG", None)
    return environ


def _processes() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if state not in {"Z", "X"}:
            yield int(entry.name), command


class OutsideClient:
    """A CRM with nothing but a Redis client: writes messages, reads results from the beginning."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self.seen: list[dict[str, Any]] = []
        self._last: bytes | str = "0-0"

    def close(self) -> None:
        self._redis.close()

    def write(self, stream: str, message: object) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._redis.xadd(f"cadencia:{stream}", {"data": data})

    def read(self) -> list[dict[str, Any]]:
        """All results so far."""
        while True:
            answer: Any = self._redis.xread({"cadencia:results": self._last}, count=1_000)
            entries = [entry for _, of in _streams(answer) for entry in of]
            if not entries:
                return self.seen
            for entry, fields in entries:
                self._last = entry
                self.seen.append(json.loads(fields[b"data"]))

    def results(self, kind: str, **values: object) -> list[dict[str, Any]]:
        """Results of a type with these values."""
        return [
            result
            for result in self.read()
            if result["type"] == kind and all(result.get(key) == value for key, value in values.items())
        ]

    def wait(self, kind: str, timeout_s: float = PATIENCE_S, **values: object) -> dict[str, Any]:
        """The first such result, waited for."""
        found: list[dict[str, Any]] = wait_for(lambda: self.results(kind, **values), f"{kind} {values}", timeout_s)
        return found[0]

    def rejected(self) -> list[dict[bytes, bytes]]:
        """Messages that were kept aside."""
        entries: Any = self._redis.xrange("cadencia:rejected")
        return [fields for _, fields in entries]


def _streams(answer: Any) -> list[tuple[Any, list[tuple[bytes, dict[bytes, bytes]]]]]:
    if isinstance(answer, dict):
        return [(name, entries[0] if entries else []) for name, entries in answer.items()]
    return list(answer or ())
