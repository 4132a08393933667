"""The store of recordings: a folder, or a bucket of an S3-compatible store. Keys are made of our ids alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

from dialer.core.ids import RecordingId
from dialer.core.recording import valid_recording_id
from dialer.errors import ConfigError, StoreError
from dialer.settings import Recordings

#: What `key_for` makes; nothing else is ever asked of a store.
_KEY: Final = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/[A-Za-z0-9_-]{1,200}\.wav(?:\.sealed)?", re.ASCII)
_RETRIES: Final = 2
_RETRY_TIMEOUT: Final = timedelta(seconds=20)
_TIMEOUT: Final = timedelta(seconds=30)


class NotInStore(StoreError):
    """The store has no such file."""


class RecordingStore(Protocol):
    """Where finished recordings are."""

    async def put(self, key: str, parts: Iterable[bytes]) -> None:
        """Keep a file whole or not at all; one of the same key is replaced.

        Raises:
            StoreError: it is not there; the same may be tried again.
        """

    async def size(self, key: str) -> int:
        """How many bytes it has; raises `NotInStore`, or `StoreError`."""

    async def read(self, key: str, begin: int, end: int) -> bytes:
        """Bytes from `begin` up to but without `end`; raises as `size` does."""

    async def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error. Raises StoreError."""


class ObjectRecordings:
    """`RecordingStore` on a folder or a bucket."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    async def put(self, key: str, parts: Iterable[bytes]) -> None:
        """See `RecordingStore`; read and sent in a thread."""
        with _explained():
            await asyncio.to_thread(obstore.put, self._store, _checked(key), iter(parts))

    async def size(self, key: str) -> int:
        """See `RecordingStore`."""
        with _explained():
            return int((await obstore.head_async(self._store, _checked(key)))["size"])

    async def read(self, key: str, begin: int, end: int) -> bytes:
        """See `RecordingStore`."""
        with _explained():
            return bytes(await obstore.get_range_async(self._store, _checked(key), start=begin, end=end))

    async def delete(self, key: str) -> None:
        """See `RecordingStore`."""
        try:
            with _explained():
                await obstore.delete_async(self._store, _checked(key))
        except NotInStore:
            return


def open_store(settings: Recordings, data_dir: Path) -> ObjectRecordings:
    """The store of the settings.

    Raises:
        ConfigError: says which setting must be another.
    """
    where = settings.store or str(data_dir / "recordings")
    if not where.startswith("s3://"):
        if "://" in where:
            raise ConfigError("recordings.store must be a folder, or s3://bucket and perhaps a /prefix")
        try:
            return ObjectRecordings(LocalStore(Path(where).absolute(), mkdir=True))
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(f"recordings.store: {where} cannot be used as a folder ({error})") from error
    parts = urlsplit(where)
    if not parts.netloc or parts.query or parts.fragment:
        raise ConfigError("recordings.store must be a folder, or s3://bucket and perhaps a /prefix")
    endpoint = settings.s3_endpoint
    try:
        return ObjectRecordings(
            S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config={
                    "region": settings.s3_region,
                    "virtual_hosted_style_request": settings.s3_virtual_hosts,
                    **({"endpoint": endpoint} if endpoint else {}),
                    **(
                        {"access_key_id": settings.s3_access_key, "secret_access_key": settings.s3_secret_key}
                        if settings.s3_access_key
                        else {}
                    ),
                },
                client_options={"allow_http": endpoint.startswith("http://"), "timeout": _TIMEOUT},
                retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
            )
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(f"recordings.store: {where} cannot be used ({type(error).__name__})") from error


def key_for(recording: RecordingId, started_at: float, *, sealed: bool) -> str:
    """The key of a recording: the day in UTC, and its id.

    Raises:
        ValueError: the id is none of ours.
    """
    if not valid_recording_id(recording):
        raise ValueError("not the id of a recording")
    day = datetime.fromtimestamp(started_at, UTC).strftime("%Y/%m/%d")
    return f"{day}/{recording}.wav{'.sealed' if sealed else ''}"


def _checked(key: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise StoreError("not a key of a recording", retryable=False)
    return key


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NotInStore("the store of recordings does not have this file") from error
    except (BaseError, OSError) as error:
        # The class alone: texts may hold addresses with keys in them.
        raise StoreError(f"the store of recordings refused or is out of reach ({type(error).__name__})") from error
