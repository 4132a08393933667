"""Logging: structured, to standard error; whatever looks like a phone number is masked as a last line of defence.

A node keeps its last lines in a file of its own as well, as JSON, so that `cadencia support-bundle` finds them wherever
standard error goes, and after a crash. That file is written by a thread: a disk that stalls must not stall calls.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from queue import Queue
from typing import Any, Final

import structlog

from dialer.core.ids import masked
from dialer.errors import ConfigError
from dialer.settings import Log

_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
#: As numbers stand in dial strings and names of channels: E.164 without plus.
_DIALED: Final = re.compile(r"(?<=/)[1-9][0-9]{6,14}(?=@|\b)")
_FOLDER: Final = "logs"
#: Files of this many: the one that is written, and those before it.
_FILES: Final = 4
#: Lines that wait for the disk; beyond, the file has a gap, standard error has not.
_WAITING: Final = 10_000


def configure(settings: Log, keep: Path | None = None) -> None:
    """Set up structlog and the standard library's logging for the whole process.

    Args:
        settings: level and form.
        keep: file for the last lines; it is made readable for its owner alone. None: none is kept.

    Raises:
        ConfigError: that file cannot be made.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_phones,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if settings.json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    kept: list[structlog.types.Processor] = []
    if keep is not None and settings.keep_mb:
        kept = [_Kept(keep, int(settings.keep_mb * 1_000_000))]
    structlog.configure(
        processors=[*shared, *kept, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries say takes the same way: structured, masked, kept.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *kept, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def kept_log(data_dir: Path, node: str) -> Path:
    """Where a node keeps its last lines."""
    return data_dir / _FOLDER / f"{node}.jsonl"


def kept_files(data_dir: Path) -> list[Path]:
    """The files of all nodes that keep their lines below this folder, of each node the oldest first."""
    found = [path for path in (data_dir / _FOLDER).glob("*.jsonl*") if path.is_file()]
    return sorted(found, key=lambda path: (path.name.partition(".jsonl")[0], path.stat().st_mtime))


def mask_phones(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask numbers in every text of a log event, however deep it stands."""
    for key, value in event.items():
        if not isinstance(value, int | float):
            event[key] = _masked(value)
    return event


def masked_text(text: str) -> str:
    """A text without the numbers in it."""
    if "+" in text:
        text = _PHONE.sub(lambda match: masked(match.group()), text)
    return _DIALED.sub(lambda match: masked(f"+{match.group()}"), text) if "/" in text else text


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {_masked(key): _masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(each) for each in value]
    return value


class _Kept:
    """A step that copies every event into a file that does not grow without end."""

    def __init__(self, path: Path, size: int) -> None:
        try:
            # The mode of `mkdir` is not that of the parents which it makes.
            path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise ConfigError(
                f"cannot keep the log in {path}: {error.strerror}; correct data_dir, or set log.keep_mb = 0"
            ) from error
        file = RotatingFileHandler(path, maxBytes=max(1, size // _FILES), backupCount=_FILES - 1, encoding="utf-8")
        waiting: Queue[logging.LogRecord] = Queue(_WAITING)
        self._handler: Final = _Bounded(waiting)
        listener = QueueListener(waiting, file)
        listener.start()
        atexit.register(listener.stop)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line = json.dumps(event, ensure_ascii=False, default=str)
        self._handler.emit(logging.makeLogRecord({"msg": line, "levelno": logging.INFO}))
        return event


class _Bounded(QueueHandler):
    """Leaves a line out where too many wait."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Add it, or not."""
        if not self.queue.full():  # type: ignore[attr-defined]  # typed as anything that can put
            self.queue.put_nowait(record)
