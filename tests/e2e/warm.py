"""Commands in processes of their own that need not load everything first: they are forked from one that has.

python -m tests.e2e.warm    # orders on standard input, a JSON object a line; exit codes on standard output
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[2]
#: What commands load when they are run, besides what they are made of.
_LATER: Final = (
    "dialer.runtime.examination",
    "dialer.runtime.node",
    "dialer.storage.schema",
    "dialer.cli.client",
    "aiosqlite",
    "asyncpg",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)


class Warm:
    """The process that has loaded everything, started with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def run(
        self, arguments: Sequence[str], *, environ: Mapping[str, str], cwd: Path, timeout_s: float
    ) -> tuple[int, str, str]:
        """Run `cadencia …` to its end: exit code, standard output, standard error.

        Raises:
            AssertionError: it was still running after `timeout_s`.
        """
        with self._turn, tempfile.TemporaryDirectory(prefix="warm-") as folder:
            process = self._started(environ)
            assert process.stdin is not None
            assert process.stdout is not None
            out, err = Path(folder) / "out", Path(folder) / "err"
            order = {
                "arguments": list(arguments),
                "environ": dict(environ),
                "cwd": str(cwd),
                "out": str(out),
                "err": str(err),
                "timeout_s": timeout_s,
            }
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            told = process.stdout.readline()
            assert told, "the process that commands are forked from has ended"
            code = int(told)
            said, complaints = out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
            assert code >= 0, f"{arguments} ended by signal {-code}: {complaints} {said}"
            return code, said, complaints

    def _started(self, environ: Mapping[str, str]) -> subprocess.Popen[str]:
        if self._process is None:
            # It ends with its standard input, so with us, however we end.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.warm"],
                cwd=ROOT,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            atexit.register(self._end, self._process)
        return self._process

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        with process:
            assert process.stdin is not None
            process.stdin.close()


def _serve() -> None:
    """Fork a process for each order."""
    main = importlib.import_module("dialer.cli.application").main
    for name in _LATER:
        importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(main, order)
        watch = threading.Timer(order["timeout_s"], _kill, (child,))
        watch.start()
        _, status = os.waitpid(child, 0)
        watch.cancel()
        watch.join()
        print(os.waitstatus_to_exitcode(status), flush=True)


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)


def _be(main: Callable[[], object], order: Mapping[str, Any]) -> NoReturn:
    """The command, in the child; never returns."""
    code = 1
    try:
        for number, (path, flags) in enumerate(
            (
                (os.devnull, os.O_RDONLY),
                (order["out"], os.O_WRONLY | os.O_CREAT),
                (order["err"], os.O_WRONLY | os.O_CREAT),
            )
        ):
            opened = os.open(path, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        os.environ.clear()
        os.environ.update(order["environ"])
        os.chdir(order["cwd"])
        random.seed()
        sys.argv = ["cadencia", *order["arguments"]]
        main()
        code = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
