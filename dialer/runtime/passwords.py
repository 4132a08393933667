"""Passwords: which may be chosen, and argon2id of them, in threads and a few at a time.

A hash costs a quarter of a second and 64 MiB by design, so it is never made in the event loop, and whoever sends many
waits in a line that has an end.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dialer.errors import InputError, RetryableError

T = TypeVar("T")

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 32
_FEWEST_DIFFERENT: Final = 5

#: Words that long passwords are made of most often, in the languages of our users, and on their keyboards' rows.
_WORDS: Final = """\
    password passwort passw0rd contraseña contrasena clave welcome bienvenido letmein iloveyou teamo tequiero admin
    administrator administrador qwerty qwertyuiop qwertzuiop asdfghjkl zxcvbnm abc abcd abcdef abcdefgh abcdefghijkl
    football futbol baseball superman batman dragon monkey sunshine princess princesa master shadow trustno secret
    secreto changeme default cadencia asterisk dialer marcador callcenter supervisor manager agent agente console
"""
_COMMON: Final = re.compile("|".join(sorted(_WORDS.split(), key=len, reverse=True)))
_DIGITS: Final = "012345678901234567890123456789 987654321098765432109876543210"

PROBLEMS: Final = {
    "short": f"must have at least {MIN_LENGTH} characters",
    "long": f"may have at most {MAX_LENGTH} characters",
    "name": "must not be made of the name",
    "common": "is too easy to guess: take some words that do not belong together",
}


def weakness(name: str, password: str) -> str:
    """Why nobody called `name` may have this password, in a word of `PROBLEMS`; empty: they may."""
    if len(password) < MIN_LENGTH:
        return "short"
    if len(password) > MAX_LENGTH:
        return "long"
    plain = _form(password).casefold()
    rest = plain.replace(name.casefold(), "") if name else plain
    letters = re.sub(r"[\W\d_]+", "", rest)
    if rest != plain and len(letters) < 4:
        return "name"
    if (
        len(set(plain)) < _FEWEST_DIFFERENT
        or plain in _DIGITS
        or _of_common_words(letters)
        or (not letters and len(set(plain)) < 2 * _FEWEST_DIFFERENT)
    ):
        return "common"
    return ""


class Passwords:
    """Makes hashes and checks them.

    Args:
        hasher: argon2id with its costs; the library's are those of RFC 9106 for little memory.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher: Final = hasher or PasswordHasher()
        self._room: Final = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._decoy = ""

    async def hash(self, name: str, password: str) -> str:
        """The hash of a password that somebody chose.

        Raises:
            InputError: nobody may choose it.
            RetryableError: too many wait.
        """
        if problem := weakness(name, password):
            raise InputError(f"password: {PROBLEMS[problem]}", word=f"password_{problem}", code=f"password_{problem}")
        return await self.again(password)

    async def again(self, password: str) -> str:
        """The hash of a password that is in use already, whatever is thought of it today.

        Raises:
            RetryableError: too many wait.
        """
        return await self._thread(lambda: self._hasher.hash(_form(password)))

    async def check(self, hash: str | None, password: str) -> bool:
        """Whether a password is the one of this hash; None, as where there is no such user, takes as long and is wrong.

        Raises:
            RetryableError: too many wait.
        """
        if not self._decoy:
            self._decoy = await self._thread(lambda: self._hasher.hash("a password that nobody has"))
        known, given = hash or self._decoy, _form(password[:MAX_LENGTH])

        def verify() -> bool:
            try:
                return self._hasher.verify(known, given)
            except (VerificationError, InvalidHashError):
                return False

        return await self._thread(verify) and hash is not None and len(password) <= MAX_LENGTH

    def outdated(self, hash: str) -> bool:
        """Whether it was made with other costs than those of now."""
        return self._hasher.check_needs_rehash(hash)

    async def _thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise RetryableError("too many sign in at once")
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _form(password: str) -> str:
    """The same characters, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()


def _of_common_words(letters: str) -> bool:
    """Whether nothing is left of it but common words, such as passwordpassword or qwertycontraseña."""
    found = _COMMON.sub("", letters)
    return bool(letters) and len(found) < 4 and len(found) < len(letters)
