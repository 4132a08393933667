"""Encryption of files at rest: AES-256-GCM in chunks, so that a player can begin in the middle.

A sealed file is a header (magic, salt) and chunks of `CHUNK_BYTES` of sound, each with its tag. The key of a file
comes from the master key, its salt and its name (HKDF-SHA256), so that no two files share one and a nonce is simply the
number of a chunk; the last chunk is marked in its nonce (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
Vizár, 2015). A chunk that was changed, moved, left out or cut off at the end, or that stands in another file, does not
open.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dialer.errors import ConfigError, InputError

CHUNK_BYTES: Final = 65_536
_MAGIC: Final = b"CADSEAL1"
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
HEADER_BYTES: Final = len(_MAGIC) + _SALT_BYTES
_SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + _TAG_BYTES


def key_of(text: str) -> bytes:
    """A master key as it stands in the settings: 32 bytes in base64.

    Raises:
        ConfigError: it is none; the text says how to make one.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("recordings.encryption_key must be base64: openssl rand -base64 32 makes one") from error
    if len(key) != _KEY_BYTES:
        raise ConfigError("recordings.encryption_key must be 32 bytes in base64: openssl rand -base64 32 makes one")
    return key


def sealed_bytes(plain_bytes: int) -> int:
    """How long a file of `plain_bytes` is once it is sealed."""
    return HEADER_BYTES + plain_bytes + _chunks(plain_bytes) * _TAG_BYTES


def seal(parts: Iterable[bytes], key: bytes, name: str) -> Iterator[bytes]:
    """The sealed file, piece by piece, whatever the sizes of `parts`."""
    salt = secrets.token_bytes(_SALT_BYTES)
    cipher = _cipher(key, salt, name)
    yield _MAGIC + salt
    waiting = bytearray()
    number = 0
    for part in parts:
        waiting += part
        # One is always kept back: only the end tells which is the last.
        while len(waiting) > CHUNK_BYTES:
            yield cipher.encrypt(_nonce(number, last=False), bytes(waiting[:CHUNK_BYTES]), None)
            del waiting[:CHUNK_BYTES]
            number += 1
    yield cipher.encrypt(_nonce(number, last=True), bytes(waiting), None)


class Opener:
    """Opens chunks of one sealed file, in any order.

    Args:
        header: its first `HEADER_BYTES`.
        keys: master keys that it may have been sealed with; that which fits is found at the first chunk.
        name: as it was sealed.
        plain_bytes: how long the sound is.

    Raises:
        InputError: the file is not sealed, or there is no key.
    """

    def __init__(self, header: bytes, keys: Sequence[bytes], name: str, plain_bytes: int) -> None:
        if len(header) != HEADER_BYTES or not header.startswith(_MAGIC):
            raise InputError("this file is not sealed as its record says")
        if not keys:
            raise InputError("this recording is encrypted, and recordings.encryption_key is not set")
        self._ciphers = [_cipher(key, header[len(_MAGIC) :], name) for key in keys]
        self._last = _chunks(plain_bytes) - 1

    def open(self, number: int, sealed: bytes) -> bytes:
        """The sound of chunk `number`.

        Raises:
            InputError: it was changed, or no key fits.
        """
        nonce = _nonce(number, last=number == self._last)
        for cipher in list(self._ciphers):
            try:
                plain = cipher.decrypt(nonce, sealed, None)
            except InvalidTag:
                continue
            self._ciphers = [cipher]
            return plain
        raise InputError("this recording was changed in the store, or sealed with a key that is not in the settings")


def place_of_chunk(number: int, plain_bytes: int) -> tuple[int, int]:
    """Where chunk `number` lies in the sealed file: from, and up to but without."""
    begin = HEADER_BYTES + number * _SEALED_CHUNK_BYTES
    return begin, min(begin + _SEALED_CHUNK_BYTES, sealed_bytes(plain_bytes))


def _chunks(plain_bytes: int) -> int:
    return max(1, -(-plain_bytes // CHUNK_BYTES))


def _cipher(key: bytes, salt: bytes, name: str) -> AESGCM:
    info = b"cadencia recording " + name.encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=info).derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">QI", number, int(last))
