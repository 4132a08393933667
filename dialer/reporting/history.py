"""The history of a contact: everything that is on record of it, as one line of time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.saying import Saying

#: Entries of each kind that are read, the latest ones: far more than a lawful number of calls.
MOST: Final = 1_000


class Happening(StrEnum):
    """What can be on record of a contact."""

    CONTACT = "contact"
    CONSENT = "consent"
    ATTEMPT = "attempt"
    TALK = "talk"
    DISPOSITION = "disposition"
    RECORDING = "recording"
    CALLBACK = "callback"
    #: A call that the gate or the rules did not allow.
    REFUSAL = "refusal"
    REMOVAL = "removal"
    DO_NOT_CALL = "do_not_call"
    #: What a rule of the next best action did.
    ACTION = "action"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One happening."""

    #: Unix seconds.
    at: float
    kind: Happening
    #: None: of a number, or of all campaigns.
    campaign: CampaignId | None = None
    contact: ContactId | None = None
    call: CallId | None = None
    #: What there is to say about it, in JSON's own types; empty values are left out.
    details: Mapping[str, object] = field(default_factory=dict)
    #: Details that are sentences, for whoever has a catalogue.
    sayings: Mapping[str, Saying] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose history is wanted: a contact of a campaign, whoever has or had a number, or a person in all campaigns."""

    campaign: CampaignId | None = None
    #: With a campaign that contact; alone, the contacts of this id in all campaigns.
    contact: ContactId | None = None
    phone: Phone | None = None
    #: Only what is of this tenant's campaigns; empty: of all.
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was found."""

    #: The latest first.
    entries: Sequence[Entry]
    #: (campaign, contact) that it is of, and the numbers that they have or had.
    contacts: Sequence[tuple[CampaignId, ContactId]]
    phones: Sequence[Phone]
    #: Older entries of some kind were left out.
    more: bool = False
