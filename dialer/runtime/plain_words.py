"""Free text with nothing in it but words of the trade: what a stranger may read of an error.

Names of people have no form that could be looked for. So it goes the other way round: what stays is what this program,
the libraries that it talks to, and the system say themselves; everything else becomes "…". Whatever a person typed,
or a CRM sent, is not among these words unless it is an ordinary one.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import dialer

LEFT_OUT: Final = "…"
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_HUMP: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\WA-Z]+")
#: What is kept or left out as one: words, numbers, and anything that joins them, such as addresses and paths.
_TOKEN: Final = re.compile(r"\S+")
_PIECE: Final = re.compile(r"[^\W_]+|[\W_]+")
_FIGURES: Final = 5
#: Words of one letter: "a trunk", "a day's calls".
_LETTERS: Final = frozenset({"a", "s"})
#: Folders of ours with invented people in them.
_PEOPLE: Final = frozenset({"simulation", "twin", "testing.py"})
#: Modules whose texts reach our errors.
_MODULES: Final = ("redis.exceptions", "sqlalchemy.exc", "asyncpg.exceptions", "aiohttp.client_exceptions")
#: Of SQLite, which is not written in Python.
_SQLITE: Final = """database is locked disk I/O error full image malformed unable to open file attempt to write
readonly constraint failed no such table column syntax near not unique foreign key interrupted out of memory schema
has changed"""


@cache
def vocabulary() -> frozenset[str]:
    """Words in lower case; reads the sources, which takes a second."""
    words = {word.lower() for name in dir(builtins) for word in _split(name)}
    root = Path(dialer.__file__).parent
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] in _PEOPLE:
            continue
        words.update(word.lower() for word in _split(path.read_text(encoding="utf-8")))
    for name in _MODULES:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            words.update(word.lower() for word in _split(Path(found.origin).read_text(encoding="utf-8")))
    for code in range(1, 135):
        words.update(word.lower() for word in _split(os.strerror(code)))
    words.update(word.lower() for word in _split(_SQLITE))
    return frozenset(words)


def plain(text: str, names: Iterable[str] = ()) -> str:
    """`text` with everything left out that is not a word of the vocabulary, a short number, or one of `names`."""
    known, named = vocabulary(), frozenset(names)

    def token(match: re.Match[str]) -> str:
        whole = match.group()
        if whole.strip("'\"()[]{}<>,.:;") in named:
            return whole
        if "@" in whole:
            return LEFT_OUT
        return "".join(_kept(piece, known) for piece in _PIECE.findall(whole))

    return re.sub(rf"{LEFT_OUT}(?:\W*{LEFT_OUT})+", LEFT_OUT, _TOKEN.sub(token, text))


def _kept(piece: str, known: frozenset[str]) -> str:
    if piece in _LETTERS or not any(char.isalnum() for char in piece):
        return piece
    if piece.isascii() and piece.isdigit():
        return piece if len(piece) < _FIGURES else LEFT_OUT
    words = _split(piece)
    return piece if words and piece.isascii() and all(word.lower() in known for word in words) else LEFT_OUT


def _split(text: str) -> list[str]:
    """Words, those of CamelCase apart."""
    return [part for word in _WORD.findall(text) for part in _HUMP.findall(word)]
