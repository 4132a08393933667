"""Starts and stops the lab's programs, and never anybody else's."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .layout import LabError

_OPEN_FILES: Final = 16384


def running(pid_file: Path) -> int | None:
    """The process of a pid file, if it lives and is ours: its folder is the one of the pid file."""
    try:
        pid = int(pid_file.read_text())
        folder = Path(os.readlink(f"/proc/{pid}/cwd"))
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return pid if folder == pid_file.parent.resolve() and state != "Z" else None


def start(command: Sequence[str], pid_file: Path) -> int:
    """Starts a program that outlives us, in the folder of its pid file; its output goes to `output` there."""
    folder = pid_file.parent
    folder.mkdir(parents=True, exist_ok=True)
    # programs inherit the limit of open files: one for each call, and one for each of its RTP ports
    _raise_open_files()
    with (folder / "output").open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    pid_file.write_text(f"{child.pid}\n")
    # it is meant to outlive us: the interpreter is not to complain about it
    child.returncode = 0
    return child.pid


def _raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def wait_until(ready: Callable[[], bool], *, seconds: float, pid_file: Path, what: str) -> None:
    """Polls until `ready`; LabError with the program's last words where it died or took too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if running(pid_file) is None:
            raise LabError(f"{what} ended at once:\n{_last_words(pid_file)}")
        if time.monotonic() > deadline:
            raise LabError(f"{what} was not ready after {seconds:g} s:\n{_last_words(pid_file)}")
        time.sleep(0.05)


def _last_words(pid_file: Path) -> str:
    texts = [pid_file.parent / "output", pid_file.parent / "log" / "messages", pid_file.parent / "errors.log"]
    tails = ["\n".join(path.read_text(errors="replace").splitlines()[-8:]) for path in texts if path.is_file()]
    return "\n".join(tail for tail in tails if tail) or "(it said nothing)"


def stop(pid_file: Path, *, grace_s: float) -> bool:
    """Ends the program of a pid file, by force once the grace is over; False where it was not running."""
    pid = running(pid_file)
    if pid is None:
        pid_file.unlink(missing_ok=True)
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while running(pid_file) is not None and time.monotonic() < deadline:
        _reap(pid)
        time.sleep(0.05)
    if running(pid_file) is not None:
        os.killpg(pid, signal.SIGKILL)
        while running(pid_file) is not None:
            _reap(pid)
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)
    return True


def _reap(pid: int) -> None:
    """Where it is our own child (started and stopped by one command), take its exit status away."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
