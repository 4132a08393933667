"""Logging: structured, to standard error; whatever looks like a phone number is masked as a last line of defence."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from dialer.core.ids import masked
from dialer.settings import Log

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


def configure(settings: Log) -> None:
    """Set up structlog and the standard library's logging for the whole process."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_phones,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )


def mask_phones(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask E.164 numbers in every text of a log event."""
    for key, value in event.items():
        if isinstance(value, str) and "+" in value:
            event[key] = _PHONE.sub(lambda match: masked(match.group()), value)
    return event
