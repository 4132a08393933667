"""The text of one script from its parts: keys for ``K.name``, and functions only where they may be called; pure.

A script is run from its beginning every time. To make some seventy functions and a table of all keys takes a server
twenty microseconds and more, which is more than most scripts take for what they do. So what a script does not call
goes, and what only a function needs that is marked ``-- rarely`` is made when that one is called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_KEY: Final = re.compile(r"\bK\.(\w+)")
#: A function of a part: on one line, or up to the line that ends it.
_FUNCTION: Final = re.compile(
    r"^local function (\w+)\(.*?(?: end|(?P<rarely>\) -- rarely)?\n(?:.*\n)*?end)$", re.MULTILINE
)
_COMMENT: Final = re.compile(r"^\s*--.*\n", re.MULTILINE)
#: A string, or a name.
_WORD: Final = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\w+""")


def script_text(parts: Sequence[str], keys: Mapping[str, str]) -> str:
    """The script that these parts make, one behind the other.

    Args:
        parts: Lua. What one has defined the next may use.
        keys: what ``K.name`` stands for, by name; none has a quote or a backslash.

    Raises:
        KeyError: a part names a key that there is not.
    """
    text = "\n".join(_COMMENT.sub("", part) for part in parts)
    functions = {found[1]: found for found in _FUNCTION.finditer(text)}
    spoken_of = {name: set(_WORD.findall(found[0])) & functions.keys() - {name} for name, found in functions.items()}
    of_rest = set(_WORD.findall(_FUNCTION.sub("", text))) & functions.keys()
    made = {name: functions[name][0] for name in _needed(of_rest, spoken_of)}
    inner: set[str] = set()
    for door in [name for name in functions if name in made and functions[name]["rarely"]]:
        own = _needed_by(door, made, spoken_of, of_rest) - inner
        first_line, rest = made[door].split("\n", 1)
        made[door] = "\n".join((first_line, *(made[name] for name in functions if name in own), rest))
        inner |= own
    text = _FUNCTION.sub(lambda found: "" if found[1] in inner else made.get(found[1], ""), text)
    return _KEY.sub(lambda found: f"'{keys[found[1]]}'", text)


def _needed(names: set[str], spoken_of: Mapping[str, set[str]]) -> set[str]:
    """These functions, and all that they may call."""
    found, left = set(names), list(names)
    while left:
        new = spoken_of[left.pop()] - found
        found |= new
        left += new
    return found


def _needed_by(door: str, made: Mapping[str, str], spoken_of: Mapping[str, set[str]], of_rest: set[str]) -> set[str]:
    """The functions that nobody calls but this one, or each other for it."""
    found = _needed(spoken_of[door], spoken_of) - of_rest - {door}
    while others := {name for name in made if name not in found and name != door}:
        shared = found & set().union(*(spoken_of[name] for name in others))
        if not shared:
            break
        found -= shared
    return found
