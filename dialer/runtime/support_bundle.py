"""What somebody who helps needs to know of an installation, in one archive: without secrets and without people.

Each part is collected by itself: where a node, Redis or the database is away, the archive says so and has the rest.
Nothing is changed by the look. What is safe is known by its form (figures, names of things, words of the trade); the
settings' secrets are looked for in every text once more at the end.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import platform
import re
import sys
import tarfile
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from redis.exceptions import RedisError
from sqlalchemy import func, select

from dialer.errors import DialerError
from dialer.queues.connection import connect, connect_blocking, redis_errors
from dialer.queues.keys import Keys
from dialer.runtime.examination import examine
from dialer.runtime.logs import kept_files, masked_text
from dialer.runtime.plain_words import plain, vocabulary
from dialer.runtime.shown_settings import HIDDEN, hidden_texts, shown
from dialer.runtime.worker_figures import look
from dialer.settings import Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.opening import open_database
from dialer.storage.schema import version as schema_version
from dialer.storage.tables import metadata

_README: Final = """Support bundle of Cadencia.

about.json      versions of Cadencia, Python, packages and the system
settings.json   figures, switches and names of things; other texts only say "(set)"
doctor.json     what `cadencia doctor` finds
schema.json     version of the tables, and how many rows each has
queues.json     entries of the streams and what waits in them, contacts that wait, jobs
ready.json      what the node says of itself, where it answered
metrics.txt     the node's metrics, where it answered
logs/           the last lines of the nodes on this machine, where they keep any (log.keep_mb)

There are no secrets, phone numbers, names, contacts, notes or recordings in it. Of free texts, such as those of
errors, words are left that Cadencia and its libraries use; the rest is "…". Look through it before you send it.
"""
_PART_TIMEOUT_S: Final = 20.0
_COUNT_TIMEOUT_S: Final = 5.0
_LINES: Final = 5_000
#: Streams that something has to be read from.
_STREAMS: Final = (
    "contacts",
    "removals",
    "dnc",
    "callbacks",
    "dispositions",
    "segments",
    "attempts",
    "refusals",
    "results",
)
#: Of a line in the log: texts that are names of things.
_NAMES: Final = frozenset(
    {
        *("timestamp", "level", "logger", "call", "campaign", "node", "server", "trunk", "stream", "queue", "source"),
        *("registry", "schedule", "rule", "action", "outcome", "job", "recording", "state", "version", "code"),
    }
)
_ID: Final = re.compile(r"[A-Za-z0-9_.:+-]{1,80}")
_FRAME: Final = re.compile(r'^\s*File ".*?([^/\\"]+)", line (\d+), in (\S+)')
_KEY: Final = re.compile(r"\bcad_[A-Za-z0-9_-]{10,}")
_MAIL: Final = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"']+")


async def collect(settings: Settings, now: float) -> dict[str, str]:
    """The files of the archive, by name.

    Args:
        settings: of the installation, with their secrets, which are looked for in everything.
        now: the moment, unix seconds.
    """
    campaigns, schema = await _database(settings)
    names = {*_names_in(shown(settings)), *campaigns}
    files = {
        "README.txt": _README,
        "about.json": _json(_about(now)),
        "settings.json": _json(shown(settings)),
        "doctor.json": _json(await _guarded(_doctor(settings, names))),
        "schema.json": _json(schema),
        "queues.json": _json(await _guarded(_queues(settings, campaigns))),
    }
    node = _node_access(settings)
    files["ready.json"] = await _guarded_text(_ready(node, names))
    files["metrics.txt"] = await _guarded_text(_fetch(node, "/metrics"))
    for path, lines in _logs(settings):
        files[f"logs/{path}"] = "".join(f"{line}\n" for line in _log_lines(lines, names))
    # A user who is called as the program is would make every text unreadable, and tells nothing.
    hidden = {text for text in hidden_texts(settings) if text.lower() not in vocabulary()}
    secrets = sorted(hidden | {node["api_key"]} if node else hidden, key=len, reverse=True)
    return {name: text if name == "README.txt" else _scrubbed(text, secrets) for name, text in files.items()}


def pack(files: Mapping[str, str], target: Path, now: float) -> None:
    """Write the archive, readable for its owner alone.

    Raises:
        DialerError: it cannot be written, or is there already.
    """
    content = io.BytesIO()
    folder = f"cadencia-support-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}"
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(now), 0o600
            archive.addfile(entry, io.BytesIO(data))
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content.getvalue())
    except FileExistsError as error:
        raise DialerError(f"{target} is there already: name another file with --output") from error
    except OSError as error:
        raise DialerError(f"cannot write {target}: {error.strerror}") from error


# ---- parts


def _about(now: float) -> dict[str, Any]:
    packages = {}
    for requirement in distribution("cadencia").requires or ():
        name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed
    return {
        "at": datetime.fromtimestamp(now, UTC).isoformat(),
        "cadencia": version("cadencia"),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": packages,
    }


async def _doctor(settings: Settings, names: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"part": plain(found.part, names), "ok": found.ok, "says": plain(found.says, names), "mend": found.mend}
        for found in await examine(settings)
    ]


async def _database(settings: Settings) -> tuple[set[str], dict[str, Any]]:
    """Names of the campaigns, and what is to be known of the tables."""
    database = open_database(settings)
    found: dict[str, Any] = {"dialect": database.dialect}
    if database.path is not None and not database.path.exists():
        return set(), found | {"problem": "the file does not exist"}
    try:
        at = await schema_version(database)
        found |= {"current": at.current, "needed": at.head, "rows": {}}
        for name, table in sorted(metadata.tables.items()):
            found["rows"][name] = None
            try:
                async with asyncio.timeout(_COUNT_TIMEOUT_S), database.read() as connection:
                    found["rows"][name] = (await connection.execute(select(func.count()).select_from(table))).scalar()
            except (TimeoutError, DialerError):
                continue  # too large to be counted now, or of another version
        return ({stored.campaign.id for stored in await Campaigns(database).all()} if at.ready else set()), found
    except DialerError as error:
        return set(), found | {"problem": plain(str(error))}
    finally:
        await database.close()


async def _queues(settings: Settings, campaigns: Iterable[str]) -> dict[str, Any]:
    if settings.redis.url == "embedded":
        return {"note": "Redis belongs to the node: see the queue depths and hoppers in metrics.txt"}
    keys, client = Keys(settings.redis.prefix), connect(settings.redis.url, name="cadencia-support")
    found: dict[str, Any] = {"streams": {}, "hoppers": {}}
    try:
        with redis_errors():
            for name in _STREAMS:
                if await client.exists(keys[name]):
                    groups: Any = await client.xinfo_groups(keys[name])
                    found["streams"][name] = {
                        "entries": await client.xlen(keys[name]),
                        "groups": {
                            _text(each["name"]): {"pending": each["pending"], "lag": each.get("lag")} for each in groups
                        },
                    }
            for campaign in sorted(campaigns):
                found["hoppers"][campaign] = {
                    name: await client.zcard(keys.of(name, campaign)) for name in ("ready", "later", "reserved")
                }
    finally:
        await client.aclose()
    found["workers"] = await asyncio.to_thread(_workers, settings.redis.url)
    return found


def _workers(url: str) -> dict[str, Any]:
    client = connect_blocking(url, protocol=2, socket_timeout=5.0, socket_connect_timeout=3.0)
    try:
        figures = look(client)
    except (RedisError, OSError) as error:
        return {"problem": type(error).__name__}
    finally:
        client.close()
    return {"workers": figures.workers, "jobs": dict(figures.jobs)}


def _node_access(settings: Settings) -> dict[str, str]:
    """What `cadencia serve` left for commands on this machine; empty where it left nothing."""
    try:
        found = json.loads((Path(settings.data_dir) / "node.json").read_text(encoding="utf-8"))
        return {"api_url": str(found["api_url"]), "api_key": str(found["api_key"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


async def _ready(node: Mapping[str, str], names: Iterable[str]) -> str:
    told = json.loads(await _fetch(node, "/readyz"))
    checks = [
        {"name": plain(str(each["name"]), names), "ok": bool(each["ok"]), "problem": plain(str(each["problem"]), names)}
        for each in told["checks"]
    ]
    return _json({"ready": bool(told["ready"]), "checks": checks})


async def _fetch(node: Mapping[str, str], path: str) -> str:
    if not node:
        raise DialerError("no node is known on this machine")
    headers = {"Authorization": f"Bearer {node['api_key']}"}
    timeout = aiohttp.ClientTimeout(total=_PART_TIMEOUT_S / 2)
    # A certificate of the node's own need not name this machine; only a machine's own node is asked.
    local = urlsplit(node["api_url"]).scheme == "https"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(f"{node['api_url']}{path}", ssl=not local) as response,
        ):
            return await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DialerError(f"the node does not answer ({type(error).__name__})") from error


def _logs(settings: Settings) -> Iterator[tuple[str, list[str]]]:
    by_node: dict[str, list[str]] = {}
    for path in kept_files(Path(settings.data_dir)):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue  # rotated away meanwhile
        by_node.setdefault(path.name.partition(".jsonl")[0], []).extend(lines)
    for node, lines in by_node.items():
        yield f"{node}.jsonl", lines[-_LINES:]


def _log_lines(lines: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the half of a line that a crash left
        if isinstance(event, dict):
            yield json.dumps(dict(_log_items(event, names)), ensure_ascii=False)


def _log_items(event: Mapping[str, Any], names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for key, value in event.items():
        if _ID.fullmatch(key) is None:
            continue
        if value is None or isinstance(value, bool | int | float):
            yield key, value
        elif key in _NAMES and isinstance(value, str) and _ID.fullmatch(value) is not None:
            yield key, masked_text(value)
        elif key == "exception":
            yield key, _frames(str(value))
        elif isinstance(value, str):
            yield key, plain(value, names)
        else:
            yield key, HIDDEN


def _frames(trace: str) -> list[str]:
    """Where it happened and what kind of error it was; neither source lines nor what the error said."""
    found = []
    for line in trace.splitlines():
        frame = _FRAME.match(line.lstrip("| +-"))
        if frame is not None:
            found.append(":".join(frame.groups()))
        elif re.match(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Refused|Group)\b", line.lstrip("| +-")):
            found.append(line.lstrip("| +-").partition(":")[0])
    return found


# ---- forms


async def _guarded(part: Coroutine[Any, Any, Any]) -> Any:
    try:
        async with asyncio.timeout(_PART_TIMEOUT_S):
            return await part
    except (DialerError, TimeoutError, ValueError, KeyError, TypeError) as error:
        return {"problem": plain(str(error)) or type(error).__name__}


async def _guarded_text(part: Coroutine[Any, Any, str]) -> str:
    found = await _guarded(part)
    return found if isinstance(found, str) else _json(found)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n"


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _names_in(value: Any) -> Iterator[str]:
    """Every text of the settings that is shown."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _names_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _names_in(each)
    elif isinstance(value, str) and value not in {"", HIDDEN}:
        yield value


def _scrubbed(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "(hidden)")
    return masked_text(_MAIL.sub("(hidden)", _KEY.sub("(hidden)", text)))
