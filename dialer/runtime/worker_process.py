"""A worker beside a node that has its Redis for itself: started with the first job, ended with the node.

Nodes with a Redis of their own share workers that an operator runs (`cadencia worker`); then there is none here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

import structlog

_log = structlog.get_logger(__name__)

#: By name: the workers stand above the dialer, and nothing below imports them.
_MODULE = "workers.app"
#: Time for the job under way to end by itself; one that takes longer is run again at the next start.
_STOP_TIMEOUT_S = 1.5
_COLD_STOP_TIMEOUT_S = 3.0
_AGAIN_S = 1.0
# The kernel ends the worker with the process that started it, however that ends.
_WATCHED = (
    "import ctypes, os, runpy, signal, sys\n"
    "getattr(ctypes.CDLL(None), 'prctl', lambda *_: 0)(1, signal.SIGTERM)\n"
    "os.getppid() == int(sys.argv[1]) or sys.exit(1)\n"
    "runpy.run_module(sys.argv[2], run_name='__main__', alter_sys=True)\n"
)


class WorkerProcess:
    """One worker as a child process."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings`: overrides for its environment (the embedded server's URL)."""
        self._environment = {**os.environ, **settings}
        self._wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    def wake(self) -> None:
        """There is work: let it be started, if it does not run."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep it running from the first job on, until cancelled; then end it."""
        await self._wanted.wait()
        try:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", _WATCHED, str(os.getpid()), _MODULE),
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
                code = await self._process.wait()
                _log.warning("worker has ended, started again", code=code)
                await asyncio.sleep(_AGAIN_S)
        finally:
            await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            # The second signal ends the job as well, which runs in a process of its own.
            for timeout_s in (_STOP_TIMEOUT_S, _COLD_STOP_TIMEOUT_S):
                process.terminate()
                try:
                    async with asyncio.timeout(timeout_s):
                        await process.wait()
                        return
                except TimeoutError:
                    continue
            process.kill()
            await process.wait()
        finally:
            # Its scheduler is a process of its own too, and would miss Redis loudly when that ends next.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
