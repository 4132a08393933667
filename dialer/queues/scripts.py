"""The Lua scripts: read from the package, completed with the key names of one prefix, known by their SHA-1.

They are called by EVALSHA alone. A server that does not know a script is not the server that was prepared, and that is
how a restart is noticed: nothing here ever loads a script because it was missing (see `GateNotReady`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

from dialer.queues.keys import Keys
from dialer.queues.lua_text import script_text

#: Script -> the files before it.
_PARTS: Final = {
    "gate": ("prelude", "numbers", "ranks", "promises", "caps", "lists", "law", "draining"),
    "drain": ("prelude", "lists", "draining"),
    "offer": ("prelude", "numbers", "ranks", "lists"),
    "finish": ("prelude", "numbers", "ranks", "promises", "caps"),
    "release": ("prelude", "numbers", "ranks", "promises", "caps"),
    "refuse": ("prelude", "ranks", "promises", "caps"),
    "promise": ("prelude",),
    "due": ("prelude", "ranks", "promises"),
    "lend": ("prelude",),
    "mark": ("prelude",),
    "recover": ("prelude",),
    "relive": ("prelude", "caps"),
    "ghosts": ("prelude", "caps"),
    "load": ("prelude", "numbers", "caps", "lists"),
    "count": ("prelude", "caps"),
    "filter": ("prelude",),
    "rank": ("prelude", "ranks"),
    "erase": ("prelude", "caps", "lists", "draining"),
    "open": ("prelude",),
    "publish": ("prelude",),
    "spend": ("prelude",),
    "spend_read": ("prelude",),
    "trim": ("prelude",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script as the server knows it."""

    name: str
    text: str
    sha: str


class Scripts:
    """All scripts for one prefix."""

    def __init__(self, keys: Keys) -> None:
        folder = resources.files("dialer.queues") / "lua"
        texts = {
            name: (folder / f"{name}.lua").read_text("utf-8")
            for name in {*_PARTS, *(part for parts in _PARTS.values() for part in parts)}
        }
        self._scripts: dict[str, Script] = {}
        for name, before in _PARTS.items():
            text = script_text([texts[part] for part in (*before, name)], keys.all())
            # The name under which Redis knows a script; nothing is protected by it.
            sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self._scripts[name] = Script(name=name, text=text, sha=sha)

    def __getitem__(self, name: str) -> str:
        """The SHA-1 of a script."""
        return self._scripts[name].sha

    def text(self, name: str) -> str:
        """The text of a script, for the few that may run on any server at any time."""
        return self._scripts[name].text

    def all(self) -> tuple[Script, ...]:
        """Every script, for loading."""
        return tuple(self._scripts.values())
