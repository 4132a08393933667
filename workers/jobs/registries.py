"""Builds of do-not-call registries. The dotted names of this package stand in Redis: they never change."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import structlog
from redis.exceptions import RedisError
from rq import get_current_job

from dialer.compliance.registry_build import BuildOrder, BuildProgress
from dialer.compliance.registry_build import build_registry as build
from dialer.compliance.registry_report import progress_as_json, report_as_json
from dialer.compliance.registry_store import RegistryStore
from dialer.errors import ConfigError, InputError
from dialer.runtime.clock import Clock
from workers.settings import load_settings

_log = structlog.get_logger(__name__)

_META_EVERY_S: Final = 0.5


def build_registry(
    name: str,
    path: str,
    source_date: str,
    source: str = "",
    column: str = "",
    region: str = "",
    max_bad_share: float = 0.01,
    max_shrink: float = 0.1,
    use: bool = True,
) -> dict[str, object]:
    """Build a version of a registry from the file at `path`, and put it in force; the same call again changes nothing.

    How far it is stands in the job's meta under ``progress``. A source that cannot be used is a result (``error``), not
    a failure: trying again would not help.

    Args:
        name: of the registry.
        path: of a file that this worker can read.
        source_date: ISO 8601 day on which the source was published or fetched.
        source: where it came from; empty: the name of the file.
        column: of the numbers; empty: found by itself.
        region: whose national numbers those without a plus sign are.
        max_bad_share: of lines, above which the source is refused.
        max_shrink: share of the numbers in force that may be missing.
        use: put it in force; else it is only kept.

    Raises:
        DialerError: the folder of the registries cannot be written.
    """
    settings = load_settings()
    store = RegistryStore(settings.registries_folder, settings.registries.keep)
    clock = Clock()
    try:
        order = BuildOrder(
            registry=name,
            path=Path(path),
            source_date=_day(source_date),
            source=source,
            column=column,
            region=region,
            max_bad_share=max_bad_share,
            max_shrink=max_shrink,
            use=use,
        )
        report = build(store, order, clock.now, _telling(clock))
    except (InputError, ConfigError) as error:
        return {"error": str(error)}
    _log.info(
        "registry built",
        registry=name,
        version=report.header.version,
        count=report.header.count,
        bad=report.bad,
        in_force=report.in_force,
        held_back=report.held_back,
    )
    return report_as_json(report)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"source date {text!r} is no day, such as 2030-01-31") from error


def _telling(clock: Clock) -> Callable[[BuildProgress], None]:
    """Puts progress into the meta of the job that runs, twice a second at most."""
    job = get_current_job()
    told_at = 0.0

    def tell(progress: BuildProgress) -> None:
        nonlocal told_at
        now = clock.now()
        if job is not None and now - told_at >= _META_EVERY_S:
            told_at = now
            job.meta["progress"] = progress_as_json(progress)
            # How far it is need not be told for it to go on.
            with contextlib.suppress(RedisError, OSError):
                job.save_meta()  # type: ignore[no-untyped-call]  # of rq

    return tell
