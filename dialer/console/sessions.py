"""Who looks at the console: a signed cookie that stands for an API key, and a token that only our own pages know.

The cookie holds no secret: the key's SHA-256, under which the key is looked up at every request, so that a key that is
revoked or has expired ends its sessions within seconds. It is signed, ends by itself, and goes back to this site alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from dialer.errors import ConfigError

COOKIE: Final = "cadencia_session"
#: A working day, with its breaks.
LASTS_S: Final = 12 * 3_600
_SECRET_BYTES: Final = 32
_FILE: Final = "console.secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a cookie of ours says."""

    #: SHA-256 of the API key, hexadecimal.
    digest: str
    #: For forms and requests of our own pages.
    csrf: str


class Sessions:
    """Makes cookies and reads them.

    Args:
        secret: 32 bytes that nobody else knows; whoever has them can sign in as any key whose hash they know.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret: Final = secret
        self._signer: Final = URLSafeTimedSerializer(secret, salt="cadencia-session")

    def begin(self, key: str) -> str:
        """A cookie for whoever has this key. Two cookies of one key have different tokens."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self._signer.dumps([digest, secrets.token_urlsafe(12)])

    def read(self, cookie: str | None) -> Session | None:
        """What a cookie says; None where it is none of ours, or an old one."""
        if not cookie or len(cookie) > 1_000:
            return None
        try:
            digest, nonce = self._signer.loads(cookie, max_age=LASTS_S)
        except (BadData, ValueError, TypeError):
            return None
        token = hmac.new(self._secret, f"csrf:{digest}:{nonce}".encode(), hashlib.sha256).hexdigest()
        return Session(digest=digest, csrf=token)


def kept_secret(folder: Path) -> bytes:
    """The secret of this node's sessions: made once, kept in `folder` for nobody but its owner.

    Raises:
        ConfigError: the file cannot be read or made, or is not what was written.
    """
    path = folder / _FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            found = path.read_bytes()
        else:
            found = secrets.token_bytes(_SECRET_BYTES)
            with os.fdopen(handle, "wb") as file:
                file.write(found)
    except OSError as error:
        raise ConfigError(f"the console's secret {path} cannot be read or made: {error.strerror}") from error
    if len(found) != _SECRET_BYTES:
        raise ConfigError(f"the console's secret {path} is not {_SECRET_BYTES} bytes long: delete the file")
    return found
