"""Cursors of the API's pages: the sort key of the last row that was seen, opaque to the caller."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from dialer.errors import InputError

T = TypeVar("T")
K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some rows, and where to go on."""

    items: Sequence[T]
    #: None: these were the last.
    next: str | None


def encode_cursor(key: Sequence[float | str]) -> str:
    """The cursor behind the row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).decode().rstrip("=")


def decode_cursor(cursor: str, kind: type[K]) -> K:
    """The sort key that `cursor` was made from, checked to be of type `kind`.

    Raises:
        InputError: no cursor of ours.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (UnicodeError, binascii.Error, msgspec.MsgspecError) as error:
        raise InputError("cursor is not one that this API gave: start again without it") from error
