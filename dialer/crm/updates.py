"""What a CRM is told of a call: results as facts, facts as the request of the mapping's rule; pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dialer.crm.mapping import CrmMapping, Rule

#: Refusals that waiting does not mend: the request itself is wrong, or not allowed.
_FINAL_STATUSES: Final = frozenset({400, 403, 405, 406, 411, 413, 414, 415, 422, 501})
#: Somebody has changed the record since it was read.
CHANGED: Final = 412


class ToldResult(msgspec.Struct):
    """What is read of a result to see whose it is."""

    type: str
    campaign: str = ""
    contact: str = ""
    call: str = ""
    #: 0: nobody was dialed, and it does not count.
    attempt: int | None = None


_TOLD: Final = msgspec.json.Decoder(ToldResult)


def told(data: bytes) -> ToldResult | None:
    """Whose a result is; None where it is no result of a call, or of one in which nobody was dialed."""
    try:
        found = _TOLD.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return found if found.contact and found.call and found.attempt != 0 else None


def update_key(source: str, result: ToldResult, key: str) -> str:
    """The idempotency key of an update: the same for the same result, however often it is told.

    A call ends once; it can be disposed of more than once, and each time is an update of its own, told from the others
    by the result's `key` (`dialer.queues.result_keys.result_key`).
    """
    parts = (source, result.type, result.call, "" if result.type == "call.ended" else key)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def facts_of(
    result: Mapping[str, Any], *, key: str, version: str | None, name: str, priority: int, fields: Mapping[str, object]
) -> dict[str, object]:
    """What templates of an update can say (`dialer.crm.templates.FACTS`).

    Args:
        result: as it stood on the stream (docs/crm/messages.md).
        key: idempotency key.
        version: of the CRM's record, as last seen.
        name: of the contact.
        priority: likewise.
        fields: likewise.
    """
    facts: dict[str, object] = dict(result)
    ended = result.get("type") == "call.ended"
    if ended or "talk_s" in result:
        seconds = round(float(result.get("talk_s") or 0.0))
        facts["seconds"], facts["minutes"] = seconds, math.ceil(seconds / 60)
    if ended:
        facts["final"] = "retry_at" not in result
        facts["ended_at"] = result.get("at")
    status = result.get("code") or result.get("outcome")
    comments = result.get("notes") or ", ".join(filter(None, (result.get("outcome"), result.get("reason"))))
    return facts | {
        "key": key,
        "record": result.get("contact"),
        "version": version,
        "attempts": result.get("attempt"),
        "status": status,
        "comments": comments or None,
        "name": name or None,
        "priority": priority,
        "fields": dict(fields),
    }


def rule_for(mapping: CrmMapping, facts: Mapping[str, object]) -> Rule | None:
    """The first rule that fits, or None: then this result is not told.

    Raises:
        InputError: a `when` cannot be asked of these facts.
    """
    for rule in mapping.rules:
        if facts.get("type") in rule.on and (not rule.when or rule.when.holds(facts)):
            return rule
    return None


def is_final(status: int) -> bool:
    """Whether the same request would be refused again and again: a person has to look at it."""
    return status in _FINAL_STATUSES
