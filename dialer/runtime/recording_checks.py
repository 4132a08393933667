"""What `cadencia doctor` finds about recordings: folders, keys, the store, and the room left. Nothing is changed."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dialer.core.campaign import Campaign, RecordingMode
from dialer.core.ids import CallId
from dialer.core.recording import FOLDER, recording_id
from dialer.core.saying import Saying, of_error, say
from dialer.errors import ConfigError, StoreError
from dialer.recordings.sealing import key_of
from dialer.recordings.store import NotInStore, key_for, open_store
from dialer.runtime.finding import Finding
from dialer.settings import Asterisk, Recordings, Settings

#: Below either of these somebody should look: 16 kB a second for each talk, on Asterisk's disk until it is moved.
LEAST_FREE_BYTES: Final = 1_000_000_000
LEAST_FREE_SHARE: Final = 0.05
_NOBODYS: Final = recording_id(CallId("doctor-0"), 1)


async def recording_findings(settings: Settings, campaigns: Sequence[Campaign], *, sealed: bool) -> list[Finding]:
    """How recordings would fare; nothing where neither settings nor campaigns are about them.

    Args:
        settings: of the installation.
        campaigns: those on record.
        sealed: the store has recordings that only open with a key.
    """
    recorded = sorted(campaign.id for campaign in campaigns if campaign.recording is not RecordingMode.OFF)
    folders = [server for server in settings.asterisk if server.recordings]
    if not recorded and not folders and not settings.recordings.store:
        return []
    found = [_no_folder(server, recorded) for server in settings.asterisk if recorded and not server.recordings]
    for server in folders:
        found += await asyncio.to_thread(_folder, server)
    found += _keys(settings.recordings, sealed=sealed)
    found += await _store(settings.recordings, Path(settings.data_dir))
    return found


def _no_folder(server: Asterisk, recorded: Sequence[str]) -> Finding:
    return Finding(
        part=f"recordings {server.name}",
        ok=False,
        said=say(
            f"campaign {recorded[0]} records talks, and nobody knows where this server writes them",
            code="recordings_nowhere",
            campaign=recorded[0],
        ),
        fix=say(
            f'set recordings = "…/monitor" in the [[asterisk]] section of {server.name} (docs/recording.md)',
            code="mend_recordings_nowhere",
            server=server.name,
        ),
    )


def _folder(server: Asterisk) -> list[Finding]:
    part, folder = f"recordings {server.name}", Path(server.recordings)
    if not folder.is_dir():
        fix = say(
            "mount the folder (astspooldir/monitor) of that Asterisk here, or correct `recordings`",
            code="mend_folder_missing",
        )
        said = say(f"{folder} is not there", code="folder_missing", folder=str(folder))
        return [Finding(part=part, ok=False, said=said, fix=fix)]
    ours = folder / FOLDER
    # Asterisk makes it with the first recording.
    written = ours if ours.is_dir() else folder
    if not os.access(written, os.R_OK | os.X_OK):
        fix = say("let this user read there: what cannot be read is not moved into the store", code="mend_unreadable")
        said = say(f"{written} cannot be read", code="folder_unreadable", folder=str(written))
        return [Finding(part=part, ok=False, said=said, fix=fix)]
    if ours.is_dir() and not os.access(ours, os.W_OK):
        fix = say(
            "let this user delete there: recordings stay in the clear on Asterisk's disk", code="mend_undeletable"
        )
        said = say(f"nothing can be deleted from {ours}", code="folder_undeletable", folder=str(ours))
        return [Finding(part=part, ok=False, said=said, fix=fix)]
    return [
        Finding(part=part, ok=True, said=say(f"{folder} can be read", code="folder_readable", folder=str(folder))),
        *_space(part, folder, "on Asterisk's disk", "space_at_asterisk"),
    ]


def _keys(settings: Recordings, *, sealed: bool) -> list[Finding]:
    part = "recordings key"
    try:
        for key in (settings.encryption_key, *settings.former_keys):
            if key:
                key_of(key)
    except ConfigError as error:
        return [Finding(part=part, ok=False, said=of_error(error))]
    if sealed and not settings.encryption_key and not settings.former_keys:
        said = say("recordings in the store are sealed, and there is no key", code="recordings_key_lost")
        fix = say(
            "set recordings.encryption_key, or former_keys: without the key they are lost",
            code="mend_recordings_key_lost",
        )
        return [Finding(part=part, ok=False, said=said, fix=fix)]
    if not settings.encryption_key and settings.store.startswith("s3://"):
        said = say("none: recordings lie in the store as they are", code="recordings_in_the_clear")
        return [Finding(part=part, ok=True, said=said)]
    return []


async def _store(settings: Recordings, data_dir: Path) -> list[Finding]:
    part = "recordings store"
    where = settings.store or str(data_dir / "recordings")
    if "://" not in where:
        return await asyncio.to_thread(_store_folder, part, Path(where))
    try:
        await open_store(settings, data_dir).size(key_for(_NOBODYS, 0.0, sealed=False))
    except NotInStore:
        pass
    except StoreError as error:
        fix = say(
            "look at address, keys and rights (to read, write, delete and list); until then recordings wait",
            code="mend_store_away",
        )
        return [Finding(part=part, ok=False, said=of_error(error), fix=fix)]
    except ConfigError as error:
        return [Finding(part=part, ok=False, said=of_error(error))]
    return [Finding(part=part, ok=True, said=say(f"{where} answers", code="store_answers", store=where))]


def _store_folder(part: str, given: Path) -> list[Finding]:
    there = folder = given.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        fix = say("let this user write there, or name another folder in recordings.store", code="mend_unwritable")
        said = say(f"{folder} cannot be written", code="folder_unwritable", folder=str(folder))
        return [Finding(part=part, ok=False, said=said, fix=fix)]
    if there == folder:
        said = say(f"{folder} can be written", code="folder_writable", folder=str(folder))
    else:
        said = say(f"{folder} will be made by the first recording", code="folder_to_come", folder=str(folder))
    return [Finding(part=part, ok=True, said=said), *_space(part, there, "for recordings", "space_for_recordings")]


def _space(part: str, folder: Path, what: str, code: str) -> list[Finding]:
    usage = shutil.disk_usage(folder)
    if usage.free >= LEAST_FREE_BYTES and usage.free >= LEAST_FREE_SHARE * usage.total:
        return []
    share = usage.free / usage.total if usage.total else 0.0
    said = Saying(
        f"{usage.free / 1e9:.1f} GB are free {what}, {share:.0%} of all",
        code,
        {"free_gb": round(usage.free / 1e9, 1), "share_percent": round(100 * share)},
    )
    return [
        Finding(part=part, ok=False, said=said, fix=say("make room: a full disk records nothing", code="mend_space"))
    ]
