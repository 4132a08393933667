"""Values that are sealed in the database: second factors, and the fields of contacts that an operator names.

AES-256-GCM under a key that is derived from the one of the settings; each value has a nonce of its own and is bound to
the name of its field. ``sealed:v1:<key>:<nonce and ciphertext in base64>`` stands in the value's place, and so in every
backup. Whoever reads through a `dialer.storage.database.Database` with the key finds the values as they were.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dialer.errors import ConfigError, StorageError
from dialer.settings import Privacy
from dialer.storage.text import from_json, to_json

_MARK: Final = "sealed:v1:"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NAME_CHARS: Final = 8


class FieldSeal:
    """Seals with the first key, opens with any.

    Args:
        keys: 32 bytes each; that in use first, then former ones.
        fields: names of contacts' fields that are sealed.
    """

    def __init__(self, keys: Sequence[bytes], fields: Collection[str] = ()) -> None:
        self.fields = frozenset(fields)
        self._ciphers: dict[str, AESGCM] = {}
        for key in keys:
            derive = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"cadencia fields at rest")
            derived = derive.derive(key)
            name = hashlib.sha256(derived).hexdigest()[:_NAME_CHARS]
            self._ciphers.setdefault(name, AESGCM(derived))
        self._current = next(iter(self._ciphers), "")

    def seal(self, value: object, field: str) -> str:
        """A JSON value, sealed as that of a field."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, to_json(value).encode(), field.encode())
        return f"{_MARK}{self._current}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, field: str) -> object:
        """The value that was sealed.

        Raises:
            StorageError: no key fits, or it was changed, or belongs to another field.
        """
        name, _, text = sealed.removeprefix(_MARK).partition(":")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise StorageError(f"{field} is sealed with a key that is not in privacy.encryption_key or former_keys")
        try:
            data = base64.b64decode(text, validate=True)
            return from_json(cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], field.encode()))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise StorageError(f"{field} was changed in the database: it does not open") from error

    def is_current(self, text: str) -> bool:
        """Whether a text is sealed with the key in use."""
        return text.startswith(f"{_MARK}{self._current}:")

    # ---- JSON columns

    def dump(self, value: object) -> str:
        """JSON text of a value, named fields of an object sealed."""
        return to_json(self.sealed(value) if isinstance(value, dict) else value)

    def sealed(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Fields, those that are named sealed with the key in use."""
        return {name: self._sealed(value, name) if name in self.fields else value for name, value in fields.items()}

    def seal_text(self, text: str) -> str:
        """The same of JSON text."""
        value = from_json(text)
        return self.dump(value) if isinstance(value, dict) else text

    def load(self, text: str | bytes) -> Any:
        """The value of JSON text, whatever is sealed in it opened; what does not open stays as it is."""
        value = from_json(text)
        if isinstance(value, dict) and (_MARK in text if isinstance(text, str) else _MARK.encode() in text):
            return {name: self._opened(each, name) for name, each in value.items()}
        return value

    def _opened(self, value: object, field: str) -> object:
        if not (isinstance(value, str) and value.startswith(_MARK)):
            return value
        try:
            return self.open(value, field)
        except StorageError:
            # Somebody's text that only looks sealed, or sealed for whoever has another key.
            return value

    def _sealed(self, value: object, field: str) -> object:
        if isinstance(value, str) and value.startswith(_MARK):
            opened = self._opened(value, field)
            # Sealed with the key in use, or for whoever has another one.
            if self.is_current(value) or opened is value:
                return value
            return self.seal(opened, field)
        return self.seal(value, field)


def is_sealed(text: str) -> bool:
    """Whether a text is in the form of a sealed value."""
    return text.startswith(_MARK)


def seal_of(privacy: Privacy) -> FieldSeal | None:
    """The seal of the settings; None where there is no key.

    Raises:
        ConfigError: a key is none, or fields are named without one.
    """
    if not privacy.encryption_key:
        if privacy.encrypted_fields:
            raise ConfigError("privacy.encrypted_fields needs privacy.encryption_key (openssl rand -base64 32)")
        return None
    keys = [_key(text) for text in (privacy.encryption_key, *privacy.former_keys)]
    return FieldSeal(keys, privacy.encrypted_fields)


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("privacy.encryption_key must be base64: openssl rand -base64 32 makes one") from error
    if len(key) != _KEY_BYTES:
        raise ConfigError("privacy.encryption_key must be 32 bytes in base64: openssl rand -base64 32 makes one")
    return key
