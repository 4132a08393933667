"""What is in force on this node, kept up to date: a new version is opened and looked through in a thread, then swapped
in between two look-ups. Whatever is wrong with it, the old one stays in force, and somebody is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from dialer.compliance.registry import Consulted, Edition, Registries, RegistryPolicy
from dialer.compliance.registry_store import RegistryStore
from dialer.core.saying import Saying, of_error, say
from dialer.errors import InputError

_log = structlog.get_logger(__name__)

#: What tells one ``current`` and the file that it names from others: inode, time and size of both, as far as there.
_Mark = tuple[int, ...]
_UNSEEN: Final[_Mark] = (-1,)


class RegistryWatch:
    """Holds `Registries`; whoever checks takes `registries` anew for every check or batch.

    Args:
        store: where versions come from.
        policies: of the registries that some campaign must ask.
        poll_s: seconds between two looks at the folder.
    """

    def __init__(self, store: RegistryStore, policies: Sequence[RegistryPolicy], poll_s: float = 5.0) -> None:
        self._store = store
        self._policies = tuple(policies)
        self._poll_s = poll_s
        self._marks: dict[str, _Mark] = {policy.name: _UNSEEN for policy in self._policies}
        self._registries = Registries(self._policies, {})

    @property
    def registries(self) -> Registries:
        """What is in force now; does not change, another takes its place."""
        return self._registries

    def refresh(self) -> bool:
        """Look at the folder, and open what is new; whether anything has changed. Reads whole files: not in the loop.

        Where a file cannot be used it is not read again before it or ``current`` changes: the problem stays told.
        """
        editions = dict(self._registries.editions)
        problems = dict(self._registries.problems)
        changed = False
        for name, seen in list(self._marks.items()):
            mark = self._mark(name)
            if mark == seen:
                continue
            changed = True
            self._marks[name] = mark
            try:
                edition = open_current(self._store, name)
            except InputError as error:
                problems[name] = of_error(error)
                kept = editions.get(name)
                _log.error(
                    "registry cannot be used",
                    registry=name,
                    error=str(error),
                    in_force=None if kept is None else kept.consulted.version,
                )
                continue
            problems.pop(name, None)
            if edition is not None:
                editions[name] = edition
                _log.info("registry in force", registry=name, version=edition.consulted.version, count=edition.count)
            elif name in editions:
                problems[name] = say(
                    "its folder no longer says which version is in force; the last one stays",
                    code="registry_lost_its_word",
                )
                _log.error("registry without a version in force", registry=name)
        if changed:
            self._registries = Registries(self._policies, editions, problems)
        return changed

    async def run(self) -> None:
        """Follow the folder until cancelled. Call `refresh` once before the first check."""
        while True:
            await asyncio.sleep(self._poll_s)
            await asyncio.to_thread(self.refresh)

    def _mark(self, name: str) -> _Mark:
        mark = _stat(self._store.current_path(name))
        try:
            version = self._store.current(name)
        except InputError:
            return mark
        # A folder that is copied to nodes may bring the file after the word.
        return mark if version is None else mark + _stat(self._store.path_of(name, version))


def open_current(store: RegistryStore, name: str) -> Edition | None:
    """The version of a registry that is in force, looked through; None where none has ever been.

    Raises:
        InputError: it cannot be used.
    """
    version = store.current(name)
    if version is None:
        return None
    file = store.open(name, version)
    # Also brings its pages into memory: no look-up in the event loop waits for the disk.
    file.verify()
    header = file.header
    return Edition(
        consulted=Consulted(registry=name, version=version, source_date=header.source_date),
        numbers=file,
        count=header.count,
        prefixes=file.prefixes,
        source=header.source,
    )


def look(store: RegistryStore, policies: Sequence[RegistryPolicy]) -> Registries:
    """What is in force at this moment, for one who does not stay."""
    editions: dict[str, Edition] = {}
    problems: dict[str, Saying] = {}
    for policy in policies:
        try:
            edition = open_current(store, policy.name)
        except InputError as error:
            problems[policy.name] = of_error(error)
            continue
        if edition is not None:
            editions[policy.name] = edition
    return Registries(policies, editions, problems)


def _stat(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
