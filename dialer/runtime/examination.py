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
from dialer.core.saying import Saying, of_error, say
from dialer.errors import ConfigError, DialerError
from dialer.queues.connection import connect, redis_errors
from dialer.queues.embedded import find_server
from dialer.runtime.clock import Clock
from dialer.runtime.cluster_checks import cluster_findings
from dialer.runtime.finding import Finding
from dialer.runtime.node_registries import demands_of
from dialer.runtime.phone_checks import phone_findings
from dialer.runtime.recording_checks import recording_findings
from dialer.runtime.shard_checks import shard_findings
from dialer.runtime.spending import destinations_of, spending_of, trunk_limits
from dialer.runtime.tracing_checks import tracing_findings
from dialer.settings import Asterisk, Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.field_seal import seal_of
from dialer.storage.opening import open_database
from dialer.storage.recordings import Recordings
from dialer.storage.resealing import unsealed_users, unsealed_webhooks
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
    "cadencia-comforter",
    "cadencia-comfort",
)
#: Below this nothing was ever tried; 22 is what this version was tested with.
_OLDEST = 18
_UPGRADE = say("run `cadencia db upgrade`", code="mend_database")


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
    findings += await _guarded("nodes", lambda: cluster_findings(settings))
    findings += await _guarded("shards", lambda: shard_findings(settings))
    findings += await _guarded("traces", lambda: tracing_findings(settings))
    if not settings.asterisk:
        findings.append(
            Finding(
                part="asterisk",
                ok=False,
                said=say("no server is configured", code="no_server"),
                fix=say(
                    "add an [[asterisk]] section with host, username, secret and a trunk (see config/cadencia.toml)",
                    code="mend_no_server",
                ),
            )
        )
    for server in settings.asterisk:
        findings += await _guarded(f"asterisk {server.name}", partial(_asterisk, settings, server))
        findings += await _guarded(f"webrtc {server.name}", partial(phone_findings, server, Clock().now()))
    return findings


async def _guarded(part: str, look: Callable[[], Coroutine[Any, Any, list[Finding]]]) -> list[Finding]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await look()
    except TimeoutError:
        said = say(f"no answer within {_TIMEOUT_S:.0f} s", code="no_answer", within_s=_TIMEOUT_S)
        return [Finding(part=part, ok=False, said=said, fix=say("look at network and load", code="mend_no_answer"))]
    except DialerError as error:
        return [Finding(part=part, ok=False, said=of_error(error))]


async def _redis(settings: Settings) -> list[Finding]:
    if settings.redis.url == "embedded":
        program = find_server()
        said = say(f"embedded; its program is {program}", code="redis_embedded", program=str(program))
        return [Finding(part="redis", ok=True, said=said)]
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
    # A name and a version are the same in every language.
    found = [
        Finding(
            part="redis",
            ok=True,
            said=Saying(f"{name} {server.get('valkey_version') or server.get('redis_version')}"),
        )
    ]
    if not keeping.get("aof_enabled"):
        said = say("keeps nothing over a restart", code="redis_forgets")
        fix = say(
            "set appendonly yes; without it a restart costs every attempt that is not in the database yet",
            code="mend_redis_forgets",
        )
        found.append(Finding(part="redis", ok=False, said=said, fix=fix))
    elif fsync.get("appendfsync") != "always":
        said = say(
            "a power cut may lose the last second of removals and do-not-call entries", code="redis_loses_a_second"
        )
        fix = say("set appendfsync always, if that second matters", code="mend_redis_loses_a_second")
        found.append(Finding(part="redis", ok=True, said=said, fix=fix))
    policy = memory.get("maxmemory_policy")
    if policy != "noeviction":
        said = say(f"evicts keys ({policy})", code="redis_evicts", policy=str(policy))
        fix = say(
            "set maxmemory-policy noeviction: contacts and do-not-call entries must not be dropped",
            code="mend_redis_evicts",
        )
        found.append(Finding(part="redis", ok=False, said=said, fix=fix))
    return found


async def _database(settings: Settings) -> list[Finding]:
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        # Opening it would make it, and a look changes nothing.
        said = say(f"{database.where} does not exist yet", code="database_missing", where=database.where)
        return [Finding(part="database", ok=False, said=said, fix=_UPGRADE)]
    try:
        found = await version(database)
    finally:
        await database.close()
    if found.ready:
        said = say(
            f"{database.where}, revision {found.current}",
            code="database_ready",
            where=database.where,
            revision=found.current,
        )
        return [Finding(part="database", ok=True, said=said)]
    if found.current is None:
        said = say(f"{database.where} has no tables", code="database_empty", where=database.where)
    else:
        said = say(
            f"{database.where} is at revision {found.current}, this version needs {found.head}",
            code="database_old",
            where=database.where,
            revision=found.current,
            head=found.head,
        )
    return [Finding(part="database", ok=False, said=said, fix=_UPGRADE)]


async def registries(settings: Settings, now: float) -> list[Finding]:
    """The do-not-call registries of the settings, and whether those are there that the law of the campaigns demands."""
    store = RegistryStore(settings.registries_folder, settings.registries.keep)
    in_force = await asyncio.to_thread(look, store, settings.registries.lists)
    found = []
    for status in in_force.status(now):
        part = f"registry {status.name}"
        if status.edition is None or status.refuses or status.problem:
            said = status.refuses or status.problem or say("no version is in force", code="registry_no_version")
            fix = Saying(f"cadencia registry build {status.name} FILE …")
            found.append(Finding(part=part, ok=False, said=said, fix=fix))
        else:
            age = int(status.age_days or 0)
            count = status.edition.count
            said = say(f"{count:,} numbers, {age} days old", code="registry_well", count=count, age_days=age)
            found.append(Finding(part=part, ok=True, said=said))
    try:
        folder = Path(settings.compliance.rules) if settings.compliance.rules else find_folder(None)
        book = await asyncio.to_thread(load_rule_book, folder)
    except ConfigError as error:
        return [*found, Finding(part="jurisdictions", ok=False, said=of_error(error))]
    for demand in demands_of(book, in_force, await _campaigns(settings), now):
        if demand.problem:
            fix = say(
                "build it, or have a named person set the rule aside (docs/compliance.md)", code="mend_registry_demand"
            )
            found.append(Finding(part=f"campaign {demand.campaign}", ok=False, said=demand.problem, fix=fix))
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
        said = say(f"{says}; what a day's calls may cost is capped", code="costs_capped", priced=priced, trunks=trunks)
        return [Finding(part="costs", ok=True, said=said)]
    said = say(
        f"{says}; a day's calls may cost anything; set costs.cap, so that whoever steals a key cannot call for any "
        "amount (docs/costs.md)",
        code="costs_open",
        priced=priced,
        trunks=trunks,
    )
    return [Finding(part="costs", ok=True, said=said)]


async def _privacy(settings: Settings) -> list[Finding]:
    seal = seal_of(settings.privacy)
    if seal is None:
        said = say(
            "nothing is sealed in the database; set privacy.encryption_key, so that second factors are sealed in the "
            "database and its backups",
            code="nothing_sealed",
        )
        return [Finding(part="privacy", ok=True, said=said)]
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        return []
    try:
        if not (await version(database)).ready:
            return []
        left = await unsealed_users(database, seal) + await unsealed_webhooks(database, seal)
    finally:
        await database.close()
    if left:
        said = say(
            f"{left} second factors or secrets of webhooks are not sealed with the key in use",
            code="factors_unsealed",
            count=left,
        )
        fix = say("run `cadencia db reseal`", code="mend_factors_unsealed")
        return [Finding(part="privacy", ok=False, said=said, fix=fix)]
    if not seal.fields:
        said = say("second factors are sealed; sealed fields of contacts: none", code="factors_sealed")
        return [Finding(part="privacy", ok=True, said=said)]
    names = sorted(seal.fields)
    said = say(
        f"second factors are sealed; sealed fields of contacts: {', '.join(names)}", code="fields_sealed", fields=names
    )
    return [Finding(part="privacy", ok=True, said=said)]


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
            said = say(f"does not show its dialplan: {refused}", code="dialplan_hidden", said=refused)
            fix = say(
                "give its user read and write class reporting in manager.conf, and try again",
                code="mend_dialplan_hidden",
            )
            found.append(Finding(part=part, ok=False, said=said, fix=fix))
        elif missing:
            said = say(f"dialplan lacks {', '.join(missing)}", code="dialplan_lacks", contexts=missing)
            fix = say(
                "install config/asterisk/extensions.conf and reload the dialplan (docs/asterisk.md)",
                code="mend_dialplan_lacks",
            )
            if missing == [phone_keys.CONTEXT]:
                fix = say(
                    "install config/asterisk/webrtc (docs/webrtc.md), or leave asterisk.webrtc.url out",
                    code="mend_webrtc_lacks",
                )
            found.append(Finding(part=part, ok=False, said=said, fix=fix))
        else:
            found.append(Finding(part=part, ok=True, said=say("dialplan has all contexts", code="dialplan_well")))
        found += _trunks(part, server)
    finally:
        await link.close()
    return found


async def _asterisk_version(part: str, link: Link) -> Finding:
    answer = await link.ask(actions.core_settings())
    text = answer.message.get("AsteriskVersion", "") if answer.ok and answer.message is not None else ""
    digits = "".join(c if c.isdigit() else " " for c in text).split()
    if not digits:
        refused = answer.problem or "CoreSettings refused"
        said = say(f"does not tell its version ({refused})", code="version_hidden", said=refused)
        fix = say("give its user write class reporting in manager.conf", code="mend_version_hidden")
        return Finding(part=part, ok=False, said=said, fix=fix)
    # Certified builds are numbered like 18.9-cert5, Debian's like 22.10.1~dfsg.
    major = int(digits[0])
    if major < _OLDEST:
        fix = say(f"upgrade to Asterisk {_OLDEST} or newer", code="mend_version_old", oldest=_OLDEST)
        return Finding(part=part, ok=False, said=say(f"version {text}", code="version_old", version=text), fix=fix)
    return Finding(part=part, ok=True, said=say(f"logged in, version {text}", code="server_well", version=text))


def _refusal(answer: Answer) -> str:
    """Why a context was not shown, where that is not because there is none; else ""."""
    if answer.ok:
        return ""
    said = answer.message.get("Message", "") if answer.message is not None else answer.problem or "no answer"
    return "" if "context" in said.lower() else said


def _trunks(part: str, server: Asterisk) -> list[Finding]:
    if not server.trunks:
        said = say("no trunk is configured: nobody can be called", code="no_trunk")
        fix = say("add [[asterisk.trunks]] with a dial string", code="mend_no_trunk")
        return [Finding(part=part, ok=False, said=said, fix=fix)]
    names = [trunk.name for trunk in server.trunks]
    return [Finding(part=part, ok=True, said=say(f"trunks: {', '.join(names)}", code="trunks_are", trunks=names))]
