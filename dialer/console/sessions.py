"""Who looks at the console: a signed cookie that stands for a user or an API key, and a token that our own pages know.

The cookie holds no secret: a user's name with the version of their account, or the SHA-256 of a key. Both are looked up
at every request, so that a change of password or role, and a key that is revoked or has expired, end their sessions
within seconds. It is signed, ends by itself, and goes back to this site alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

COOKIE: Final = "cadencia_session"
#: A working day, with its breaks.
LASTS_S: Final = 12 * 3_600
_SECRET_BYTES: Final = 32
_FILE: Final = "console.secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a cookie of ours says."""

    #: For forms and requests of our own pages.
    csrf: str
    #: SHA-256 of the API key, hexadecimal; empty: of a user.
    digest: str = ""
    #: Name of the user, and the version of their account that it is good for.
    user: str = ""
    version: int = 0


class Sessions:
    """Makes cookies and reads them.

    Args:
        secret: 32 bytes that nobody else knows; whoever has them can sign in as anybody.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret: Final = secret
        self._signer: Final = URLSafeTimedSerializer(secret, salt="cadencia-session")
        self._promises: Final = URLSafeTimedSerializer(secret, salt="cadencia-promise")

    def begin(self, key: str) -> str:
        """A cookie for whoever has this key. Two cookies of one key have different tokens."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self._signer.dumps([digest, "", 0, secrets.token_urlsafe(12)])

    def begin_user(self, name: str, version: int) -> str:
        """A cookie for a user, good until their account has another version."""
        return self._signer.dumps(["", name, version, secrets.token_urlsafe(12)])

    def promise(self, session: Session, text: str) -> str:
        """`text` in a form that comes back through a page of this very session, and cannot be another."""
        return self._promises.dumps([session.csrf, text])

    def promised(self, session: Session, given: str, lasts_s: int) -> str | None:
        """What `promise` was given; None where it is not from there, or too old."""
        try:
            csrf, text = self._promises.loads(given[:2_000], max_age=lasts_s)
        except (BadData, ValueError, TypeError):
            return None
        return str(text) if csrf == session.csrf else None

    def read(self, cookie: str | None) -> Session | None:
        """What a cookie says; None where it is none of ours, or an old one."""
        if not cookie or len(cookie) > 1_000:
            return None
        try:
            digest, user, version, nonce = self._signer.loads(cookie, max_age=LASTS_S)
        except (BadData, ValueError, TypeError):
            return None
        token = hmac.new(self._secret, f"csrf:{digest}{user}:{nonce}".encode(), hashlib.sha256).hexdigest()
        return Session(csrf=token, digest=digest, user=user, version=version)


def former_secret(folder: Path) -> bytes | None:
    """The secret that a node kept in `folder` for itself before all shared one; None: there is none that is of use."""
    try:
        found = (folder / _FILE).read_bytes()
    except OSError:
        return None
    return found if len(found) == _SECRET_BYTES else None
