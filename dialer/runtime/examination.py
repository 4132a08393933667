"""What `cadencia doctor` looks at: every part that a node needs, each by itself, none changed by the look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from dialer.ami import Action, actions
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.registry_store import RegistryStore
from dialer.compliance.registry_watch import look
from dialer.core.campaign import Campaign
from dialer.errors import ConfigError, DialerError
from dialer.queues.connection import connect, redis_errors
from dialer.queues.embedded import find_server
from dialer.runtime.clock import Clock
from dialer.runtime.finding import Finding
from dialer.runtime.node_registries import demands_of
from dialer.runtime.recording_checks import recording_findings
from dialer.runtime.spending import destinations_of, spending_of, trunk_limits
from dialer.settings import Asterisk, Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.field_seal import seal_of
from dialer.storage.opening import open_database
from dialer.storage.recordings import Recordings
from dialer.storage.resealing import unsealed_users
from dialer.storage.schema import version
from dialer.switch import native, phone_keys
from dialer.switch.link import Answer, Link

_TIMEOUT_S = 8.0
#: Contexts of config/asterisk/extensions.conf that calls are sent to.
CONTEXTS = (
    "cadencia-agent",
    "cadencia-wait",
    "cadencia-amd",
    "cadencia-connect",
    "cadencia-message",
    "cadencia-goodbye",
    "cadencia-announcer",
    "cadencia-announce",
)
#: Below this nothing was ever tried; 22 is what this version was tested with.
_OLDEST = 18


async def examine(settings: Settings) -> list[Finding]:
    """Look at Redis, the database and every Asterisk server."""
    findings = [
        *await _guarded("redis", lambda: _redis(settings)),
        *await _guarded("database", lambda: _database(settings)),
    ]
    findings += await _guarded("registries", lambda: registries(settings, Clock().now()))
    findings += await _guarded("recordings", lambda: _recordings(settings))
    findings += await _guarded("privacy", lambda: _privacy(settings))
    findings += await _guarded("costs", lambda: _costs(settings))
    if not settings.asterisk:
        findings.append(
            Finding(
                part="asterisk",
                ok=False,
                says="no server is configured",
                mend="add an [[asterisk]] section with host, username, secret and a trunk (see config/cadencia.toml)",
            )
        )
    for server in settings.asterisk:
        findings += await _guarded(f"asterisk {server.name}", partial(_asterisk, settings, server))
    return findings


async def _guarded(part: str, look: Callable[[], Coroutine[Any, Any, list[Finding]]]) -> list[Finding]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await look()
    except TimeoutError:
        return [
            Finding(part=part, ok=False, says=f"no answer within {_TIMEOUT_S:.0f} s", mend="look at network and load")
        ]
    except DialerError as error:
        return [Finding(part=part, ok=False, says=str(error))]


async def _redis(settings: Settings) -> list[Finding]:
    if settings.redis.url == "embedded":
        return [Finding(part="redis", ok=True, says=f"embedded; its program is {find_server()}")]
    client = connect(settings.redis.url, name="cadencia-doctor")
    try:
        with redis_errors():
            server: Any = await client.info("server")
            memory: Any = await client.info("memory")
            keeping: Any = await client.info("persistence")
            fsync: Any = await client.config_get("appendfsync")
    finally:
        await client.aclose()
    name = server.get("server_name", "redis")
    found = [
        Finding(part="redis", ok=True, says=f"{name} {server.get('valkey_version') or server.get('redis_version')}")
    ]
    if not keeping.get("aof_enabled"):
        mend = "set appendonly yes; without it a restart costs every attempt that is not in the database yet"
        found.append(Finding(part="redis", ok=False, says="keeps nothing over a restart", mend=mend))
    elif fsync.get("appendfsync") != "always":
        says = "a power cut may lose the last second of removals and do-not-call entries"
        mend = "set appendfsync always, if that second matters"
        found.append(Finding(part="redis", ok=True, says=says, mend=mend))
    if memory.get("maxmemory_policy") != "noeviction":
        mend = "set maxmemory-policy noeviction: contacts and do-not-call entries must not be dropped"
        found.append(Finding(part="redis", ok=False, says=f"evicts keys ({memory.get('maxmemory_policy')})", mend=mend))
    return found


async def _database(settings: Settings) -> list[Finding]:
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        # Opening it would make it, and a look changes nothing.
        says, mend = f"{database.where} does not exist yet", "run `cadencia db upgrade`"
        return [Finding(part="database", ok=False, says=says, mend=mend)]
    try:
        found = await version(database)
    finally:
        await database.close()
    if found.ready:
        return [Finding(part="database", ok=True, says=f"{database.where}, revision {found.current}")]
    says = (
        "has no tables" if found.current is None else f"is at revision {found.current}, this version needs {found.head}"
    )
    return [Finding(part="database", ok=False, says=f"{database.where} {says}", mend="run `cadencia db upgrade`")]


async def registries(settings: Settings, now: float) -> list[Finding]:
    """The do-not-call registries of the settings, and whether those are there that the law of the campaigns demands."""
    store = RegistryStore(settings.registries_folder, settings.registries.keep)
    in_force = await asyncio.to_thread(look, store, settings.registries.lists)
    found = []
    for status in in_force.status(now):
        part = f"registry {status.name}"
        if status.edition is None or status.refuses or status.problem:
            says = status.refuses or status.problem or "no version is in force"
            found.append(Finding(part=part, ok=False, says=says, mend=f"cadencia registry build {status.name} FILE …"))
        else:
            age = f"{int(status.age_days)} days old" if status.age_days is not None else "of no age"
            found.append(Finding(part=part, ok=True, says=f"{status.edition.count:,} numbers, {age}"))
    try:
        folder = Path(settings.compliance.rules) if settings.compliance.rules else find_folder(None)
        book = await asyncio.to_thread(load_rule_book, folder)
    except ConfigError as error:
        return [*found, Finding(part="jurisdictions", ok=False, says=str(error))]
    for demand in demands_of(book, in_force, await _campaigns(settings), now):
        if demand.problem:
            mend = "build it, or have a named person set the rule aside (docs/compliance.md)"
            found.append(Finding(part=f"campaign {demand.campaign}", ok=False, says=demand.problem, mend=mend))
    return found


async def _recordings(settings: Settings) -> list[Finding]:
    campaigns = await _campaigns(settings)
    sealed = False
    if campaigns:
        database = open_database(settings)
        try:
            sealed = await Recordings(database).any_sealed()
        finally:
            await database.close()
    return await recording_findings(settings, campaigns, sealed=sealed)


async def _costs(settings: Settings) -> list[Finding]:
    destinations_of(settings)
    priced = sum(trunk.tariff is not None for trunk in await asyncio.to_thread(trunk_limits, settings))
    trunks = sum(len(server.trunks) for server in settings.asterisk)
    says = f"{priced} of {trunks} trunks have a tariff"
    if spending_of(settings).limited:
        return [Finding(part="costs", ok=True, says=f"{says}; what a day's calls may cost is capped")]
    mend = "set costs.cap, so that whoever steals a key cannot call for any amount (docs/costs.md)"
    return [Finding(part="costs", ok=True, says=f"{says}; a day's calls may cost anything; {mend}")]


async def _privacy(settings: Settings) -> list[Finding]:
    seal = seal_of(settings.privacy)
    if seal is None:
        mend = "set privacy.encryption_key, so that second factors are sealed in the database and its backups"
        return [Finding(part="privacy", ok=True, says=f"nothing is sealed in the database; {mend}")]
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        return []
    try:
        if not (await version(database)).ready:
            return []
        left = await unsealed_users(database, seal)
    finally:
        await database.close()
    fields = ", ".join(sorted(seal.fields)) or "none"
    if left:
        says = f"{left} second factors are not sealed with the key in use"
        return [Finding(part="privacy", ok=False, says=says, mend="run `cadencia db reseal`")]
    return [Finding(part="privacy", ok=True, says=f"second factors are sealed; sealed fields of contacts: {fields}")]


async def _campaigns(settings: Settings) -> list[Campaign]:
    """Those on record; none where the database is not there or not ready, which is found elsewhere."""
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        return []
    try:
        if not (await version(database)).ready:
            return []
        return [stored.campaign for stored in await Campaigns(database).all()]
    except DialerError:
        return []
    finally:
        await database.close()


async def _asterisk(settings: Settings, server: Asterisk) -> list[Finding]:
    part = f"asterisk {server.name}"
    link = Link(server=server, ami=settings.ami, events="off")
    await native.connect(link, server)
    try:
        await link.opened()
        found = [await _asterisk_version(part, link)]
        contexts = (*CONTEXTS, phone_keys.CONTEXT) if server.webrtc.url else CONTEXTS
        answers = {context: await link.ask(Action("ShowDialPlan", (("Context", context),))) for context in contexts}
        missing = [context for context, answer in answers.items() if not answer.ok]
        refused = next((said for said in map(_refusal, answers.values()) if said), "")
        if refused:
            mend = "give its user read and write class reporting in manager.conf, and try again"
            found.append(Finding(part=part, ok=False, says=f"does not show its dialplan: {refused}", mend=mend))
        elif missing:
            mend = "install config/asterisk/extensions.conf and reload the dialplan (docs/asterisk.md)"
            if missing == [phone_keys.CONTEXT]:
                mend = "install config/asterisk/webrtc (docs/webrtc.md), or leave asterisk.webrtc.url out"
            found.append(Finding(part=part, ok=False, says=f"dialplan lacks {', '.join(missing)}", mend=mend))
        else:
            found.append(Finding(part=part, ok=True, says="dialplan has all contexts"))
        found += _trunks(part, server)
    finally:
        await link.close()
    return found


async def _asterisk_version(part: str, link: Link) -> Finding:
    answer = await link.ask(actions.core_settings())
    text = answer.message.get("AsteriskVersion", "") if answer.ok and answer.message is not None else ""
    digits = "".join(c if c.isdigit() else " " for c in text).split()
    if not digits:
        says = f"does not tell its version ({answer.problem or 'CoreSettings refused'})"
        return Finding(part=part, ok=False, says=says, mend="give its user write class reporting in manager.conf")
    # Certified builds are numbered like 18.9-cert5, Debian's like 22.10.1~dfsg.
    major = int(digits[0])
    if major < _OLDEST:
        return Finding(part=part, ok=False, says=f"version {text}", mend=f"upgrade to Asterisk {_OLDEST} or newer")
    return Finding(part=part, ok=True, says=f"logged in, version {text}")


def _refusal(answer: Answer) -> str:
    """Why a context was not shown, where that is not because there is none; else ""."""
    if answer.ok:
        return ""
    said = answer.message.get("Message", "") if answer.message is not None else answer.problem or "no answer"
    return "" if "context" in said.lower() else said


def _trunks(part: str, server: Asterisk) -> list[Finding]:
    if not server.trunks:
        mend = "add [[asterisk.trunks]] with a dial string"
        return [Finding(part=part, ok=False, says="no trunk is configured: nobody can be called", mend=mend)]
    return [Finding(part=part, ok=True, says=f"trunks: {', '.join(trunk.name for trunk in server.trunks)}")]
