"""The key by which commands on this machine reach the node: a file that its own user alone can read."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dialer.runtime.node import Node
from dialer.storage.keys import Keys

_NAME = "node.json"


async def local_access(node: Node, folder: Path) -> Path:
    """Write ``node.json`` with the API's URL and a manager's key; the key of the run before is revoked."""
    keys = Keys(node.database)
    now = node.clock.now()
    name = f"local:{node.settings.node}"
    for old in await keys.all():
        if old.name == name and old.revoked_at is None:
            await keys.revoke(old.id, now)
    _, secret = await keys.create("manager", name, now=now)
    path = folder / _NAME
    access = {"api_url": node.api_url, "api_key": secret, "node": node.settings.node}
    if node.settings.api.tls_certificate_file:  # it names the site, not this machine: commands here know it by itself
        access["certificate_file"] = _absolute(node.settings.api.tls_certificate_file)
    write_private(path, access)
    return path


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def write_private(path: Path, content: object) -> None:
    """Write JSON that only this user can read, in one step."""
    part = path.with_suffix(".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    part.replace(path)
