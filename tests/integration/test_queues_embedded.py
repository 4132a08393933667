"""The embedded server: private, durable, and never two or none where there should be one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from dialer.errors import ConfigError, QueueError
from dialer.queues.embedded import EmbeddedServer
from tests.patience import PATIENCE_S

PARENT = """
import sys, time
from pathlib import Path
from dialer.queues.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, server.tcp_url, flush=True)
time.sleep(60)
"""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r", numbered=True)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually_gone(pid: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if gone(pid):
            return True
        time.sleep(0.01)
    return False


def test_any_client_can_join_with_the_password_only(home: Path) -> None:
    with EmbeddedServer(home) as server:
        assert redis.Redis.from_url(server.tcp_url).ping()
        assert redis.Redis.from_url(server.url).ping()
        port = server.tcp_url.rsplit(":", 1)[1].split("/")[0]
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=int(port)).ping()
        for name in ("redis.conf", "redis.json", "redis.lock"):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        limit = redis.Redis.from_url(server.url).config_get("set-max-intset-entries")
        assert int(str(limit["set-max-intset-entries"])) >= 1024


def test_survives_a_crash_and_keeps_its_address(home: Path) -> None:
    server = EmbeddedServer(home)
    server.start()
    url = server.tcp_url
    redis.Redis.from_url(url).set("k", "v")
    server.kill()
    server.start()
    assert server.tcp_url == url
    assert redis.Redis.from_url(url).get("k") == b"v"
    server.stop()


def test_dies_with_a_killed_parent_and_starts_again(home: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(home)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    redis.Redis.from_url(url).set("k", "v")
    with pytest.raises(QueueError, match="another process is using"):
        EmbeddedServer(home).start()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually_gone(int(pid))
    with EmbeddedServer(home) as server:
        assert redis.Redis.from_url(server.url).get("k") == b"v"


def test_server_left_behind_is_ended_first(home: Path) -> None:
    with EmbeddedServer(home) as first:
        command = Path(f"/proc/{first.pid}/cmdline").read_bytes().split(b"\0")
        program = os.readlink(f"/proc/{first.pid}/exe")
        assert command
    # One that does not die with anybody, as an earlier release may have left.
    orphan = subprocess.Popen([program, str(home / "redis.conf")], cwd=home, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE_S
        while not (home / "redis.sock").exists() and time.monotonic() < until:
            time.sleep(0.01)
        with EmbeddedServer(home) as second:
            assert second.pid not in (None, orphan.pid)
            assert orphan.wait(PATIENCE_S) == 0
            assert redis.Redis.from_url(second.url).ping()
    finally:
        if orphan.poll() is None:
            orphan.send_signal(signal.SIGKILL)
            orphan.wait()


def test_bad_directories_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long for a unix socket"):
        EmbeddedServer(tmp_path / ("x" * 120))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use the directory"):
        EmbeddedServer(tmp_path / "file" / "d").start()


def test_broken_append_only_file_is_told(home: Path) -> None:
    with EmbeddedServer(home):
        pass
    for part in (home / "appendonlydir").glob("*.manifest"):
        part.write_text("this is no manifest\n")
    with pytest.raises(QueueError, match="did not start"):
        EmbeddedServer(home).start()
