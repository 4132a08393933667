"""What `cadencia doctor` finds about several nodes: whether they reach each other, and whether their clocks agree."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from dialer.core.saying import NOTHING, Saying, say
from dialer.queues.connection import connect, redis_errors
from dialer.queues.keys import Keys
from dialer.runtime.finding import Finding
from dialer.runtime.pictures import Neighbour, neighbour_seal, said_by
from dialer.settings import Settings
from dialer.storage.opening import open_database
from dialer.storage.schema import version
from dialer.storage.shared_keys import NODES, SharedKeys

#: Machines that are kept by NTP differ by a few hundredths of a second.
MOST_APART_S: Final = 2.0
_REACH_S: Final = 3.0
_PART: Final = "nodes"
_MEND_ADDRESS: Final = say(
    "set cluster.address there to where the others reach it (docs/deployment.md)", code="mend_node_address"
)
_MEND_REACH: Final = say(
    "look at the address, the firewall, and the certificate (cluster.address, cluster.ca_file)",
    code="mend_node_unreachable",
)


async def cluster_findings(settings: Settings) -> list[Finding]:
    """How the nodes that live are reached from here; nothing where there is but one, which nobody need reach.

    Raises:
        DialerError: Redis or the database is out of reach.
    """
    nodes = await _living(settings)
    if not nodes or (len(nodes) == 1 and not settings.cluster.address):
        return []
    return look_at(nodes, await _reach([node.address for node in nodes if node.address], settings.cluster.ca_file))


def look_at(nodes: Sequence[Neighbour], problems: Mapping[str, Saying]) -> list[Finding]:
    """What is to be said of the nodes that live.

    Args:
        nodes: all of them, each once.
        problems: by address, why it was not reached from here.
    """
    found = []
    for node in nodes:
        wrong = _misaddressed(node, [one for one in nodes if one is not node])
        if wrong is not None:
            found.append(wrong)
        elif problem := problems.get(node.address):
            said = say(
                f"{node.node} is not reached at {node.address}: {problem}",
                code="node_unreachable",
                node=node.node,
                address=node.address,
                problem=problem,
            )
            found.append(Finding(part=_PART, ok=False, said=said, fix=_MEND_REACH))
    found += _clocks(nodes)
    if not found:
        names = ", ".join(node.node for node in nodes)
        said = say(f"{names}: each is reached from here, their clocks agree", code="nodes_well", nodes=names)
        found.append(Finding(part=_PART, ok=True, said=said))
    return found


def _misaddressed(node: Neighbour, others: Sequence[Neighbour]) -> Finding | None:
    """Why the others cannot reach a node by what it says, as far as that shows in it."""
    if not others:
        return None
    if not node.address:
        said = say(
            f"{node.node} does not say where it is reached: whatever others are asked for it fails",
            code="node_unaddressed",
            node=node.node,
        )
        return Finding(part=_PART, ok=False, said=said, fix=_MEND_ADDRESS)
    same = [one.node for one in others if one.address == node.address]
    if same:
        said = say(
            f"{node.node} and {same[0]} both say that they are reached at {node.address}",
            code="node_same_address",
            node=node.node,
            other=same[0],
            address=node.address,
        )
        fix = say("give each node an address of its own (cluster.address)", code="mend_node_same_address")
        return Finding(part=_PART, ok=False, said=said, fix=fix)
    elsewhere = [one.node for one in others if node.machine and one.machine and one.machine != node.machine]
    if _loopback(node.address) and elsewhere:
        said = say(
            f"{node.node} says that it is reached at {node.address}, where {elsewhere[0]}, elsewhere, finds itself",
            code="node_on_loopback",
            node=node.node,
            other=elsewhere[0],
            address=node.address,
        )
        return Finding(part=_PART, ok=False, said=said, fix=_MEND_ADDRESS)
    return None


def _clocks(nodes: Sequence[Neighbour]) -> list[Finding]:
    """Whether any two nodes go by clocks that differ."""
    ahead = sorted((one.clock_ahead_s, one.node) for one in nodes if one.clock_ahead_s is not None)
    if len(ahead) < 2:
        return []
    (first, slow), (last, fast) = ahead[0], ahead[-1]
    if last - first <= MOST_APART_S:
        return []
    said = say(
        f"the clock of {fast} is {last - first:.1f} s ahead of that of {slow}: calling hours and evidence go by them",
        code="node_clocks_apart",
        node=fast,
        other=slow,
        apart_s=round(last - first, 1),
    )
    fix = say(
        "set both machines by NTP, then restart the node that was wrong: it goes by the time of its start",
        code="mend_node_clocks_apart",
    )
    return [Finding(part=_PART, ok=False, said=said, fix=fix)]


def _loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _living(settings: Settings) -> list[Neighbour]:
    """The nodes that say in Redis that they live, by name; none where nobody else could."""
    if settings.redis.url == "embedded":
        return []
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        return []
    try:
        key = await SharedKeys(database).find(NODES) if (await version(database)).ready else None
    finally:
        await database.close()
    if key is None:
        return []
    client = connect(settings.redis.url, name="cadencia-doctor")
    try:
        with redis_errors():
            seconds, microseconds = await client.time()
            said: Any = await client.hgetall(Keys(settings.redis.prefix)["neighbours"])
    finally:
        await client.aclose()
    now, seal = float(seconds) + microseconds / 1e6, neighbour_seal(key)
    known = [one for sealed in said.values() if (one := said_by(seal, sealed)) is not None and one.until > now]
    return list({one.node: one for one in sorted(known, key=lambda one: (one.node, one.until))}.values())


async def _reach(addresses: Sequence[str], ca_file: str) -> dict[str, Saying]:
    """By address, what kept this machine from reaching the API there."""
    try:
        context = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file or None)
    except OSError:
        return dict.fromkeys(addresses, say("cluster.ca_file cannot be read", code="node_ca_unreadable"))
    timeout = aiohttp.ClientTimeout(total=_REACH_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as client:
        answers = await asyncio.gather(*(_problem(client, address) for address in addresses))
    return {address: problem for address, problem in zip(addresses, answers, strict=True) if problem}


async def _problem(client: aiohttp.ClientSession, address: str) -> Saying:
    try:
        async with client.get(f"{address.rstrip('/')}/healthz", allow_redirects=False) as answer:
            if answer.status == 200:
                return NOTHING
            return say(f"HTTP {answer.status}", code="node_answers", status=answer.status)
    except TimeoutError:
        return say(f"no answer within {_REACH_S:.0f} s", code="no_answer", within_s=_REACH_S)
    except aiohttp.ClientConnectorCertificateError:
        return say("its certificate is not one of cluster.ca_file's, or not for this name", code="node_certificate")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return say(type(error).__name__, code="node_error", error=type(error).__name__)
