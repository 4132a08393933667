"""Names of things, as distinct types, so that a call id cannot be passed where an agent id is wanted.

All are short printable strings. Those that reach the AMI wire or a dialplan (`AgentId`, `ServerName`, `TrunkName`) are
limited to 64 letters, digits, ``_`` and ``-`` by `valid_name`; a `Phone` is E.164 with its plus sign.
"""

from __future__ import annotations

import re
from typing import Final, NewType

CampaignId = NewType("CampaignId", str)
ContactId = NewType("ContactId", str)
#: One attempt to reach one contact; also ActionID of the Originate and Uniqueid of its channel.
CallId = NewType("CallId", str)
AgentId = NewType("AgentId", str)
#: One piece of the sound of a call (`dialer.core.recording`).
RecordingId = NewType("RecordingId", str)
#: One session of a supervisor who attends an agent's talks (`dialer.core.monitor`).
MonitorId = NewType("MonitorId", str)
#: E.164 with plus sign, such as ``+34600111222``.
Phone = NewType("Phone", str)
#: One Asterisk server, as named in the settings.
ServerName = NewType("ServerName", str)
TrunkName = NewType("TrunkName", str)
NodeName = NewType("NodeName", str)
#: The ``id`` that a CRM gave one of its messages; answers carry it as ``ref``.
MessageId = NewType("MessageId", str)

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
#: Extensions with a meaning of their own in every dialplan: an agent's room must not be called so.
_RESERVED: Final = frozenset({"a", "e", "h", "i", "o", "s", "t", "T"})
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
#: A contact id comes from a CRM: any printable text without control characters, within a sane length.
_CONTACT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,128}")


def valid_name(text: str) -> bool:
    """Whether `text` may name a campaign, agent, server, trunk or node."""
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def valid_contact_id(text: str) -> bool:
    """Whether `text` may be a contact id: 1 to 128 characters, none of them a control character."""
    return _CONTACT.fullmatch(text) is not None


def valid_phone(text: str) -> bool:
    """Whether `text` has the form of E.164; not whether such a number exists (see `dialer.core.phones`)."""
    return _PHONE.fullmatch(text) is not None


def node_of(call: CallId) -> str:
    """Name of the node whose call this is: ids are ``node-boot-number``, and a node's name may have dashes too."""
    return call.rsplit("-", 2)[0]


def masked(phone: str) -> str:
    """The number as it may stand in a log: country and last two digits only."""
    return f"{phone[:3]}…{phone[-2:]}" if len(phone) > 6 else "…"
