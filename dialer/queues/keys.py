"""Every key that the dialer has in Redis, named in one place; the Lua scripts get their names from here too.

Streams that a CRM writes or reads come first, then what is the dialer's own. Keys ending in a colon are completed with
a campaign, a scope or an owner. All keys of one installation, or of one shard, are on one server: Redis Cluster is not
supported, since the gate must look at all of them in one step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: Name by which code and scripts know a key -> the key after the prefix.
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # CRM -> dialer
        "contacts": "contacts",
        "removals": "removals",
        "dnc": "dnc",
        "callbacks": "callbacks",
        "dispositions": "dispositions",
        "segments": "segments",
        # dialer -> CRM
        "results": "results",
        # malformed messages, kept aside for a person to look at
        "rejected": "rejected",
        # ended attempts on their way into SQL
        "attempts": "attempts",
        # refusals with their evidence on their way into SQL
        "refusals": "refusals",
        # hash: generation, run_id, fence, epoch, push (order of pushes), removals and dnc (cursors of the gate),
        # prefixes (how many beginnings of numbers are on do-not-call lists), suppressions (how often erased),
        # filter:<campaign> (its number TAB its text)
        "gate": "gate",
        # counts reservations, so that an UNPAUSE that comes late can be told (docs/adr/0004)
        "turn": "gate:turn",
        "campaigns": "campaigns",
        # per campaign: hash of contacts, sorted sets of those that wait (ready; for their time; due with an agent
        # reserved), set of those that are done
        "data": "data:",
        "ready": "ready:",
        "later": "later:",
        "reserved": "reserved:",
        # per campaign: hash of contacts that are called with an agent reserved (see promises.lua)
        "promised": "promised:",
        # campaign TAB contact, for two minutes: attempts made at one that is done, which SQL may not know yet
        "made": "made:",
        "finished": "finished:",
        # per campaign: hash of contacts of whose numbers something is known one by one (see numbers.lua)
        "numbers": "numbers:",
        # per campaign: hash of lists that have a priority of their own (see ranks.lua)
        "list_priorities": "list-priorities:",
        # per campaign or "*": set of removed contacts (c<id>) and numbers (p<digits>)
        "removed": "removed:",
        # hash: digits -> campaign TAB contact, one a line
        "phones": "phones",
        # hashes: digits -> record of the live call, or its token while the batch that it was reserved in says the rest;
        # number of the batch -> what that says, and how many it still says it of; campaign TAB contact -> digits, where
        # the contact's own numbers do not tell; call -> removals that hit it; campaign -> how many
        "live": "live",
        "live_batches": "live:batches",
        "live_left": "live:left",
        "live_contacts": "live:contacts",
        "live_purged": "live:purged",
        "live_count": "live:count",
        # calls from before a loss that have been finished since (see finish.lua)
        "ended": "ended",
        # <scope>:<digits without the last five>: set of integers, the last five; account::<the same>: set of the last
        # five TAB account
        "dnc_set": "dnc:",
        # <scope>: set of digits with which numbers begin
        "dnc_prefixes": "dnc-prefixes:",
        # hash: scope (account: for all accounts) -> how many numbers, with TAB * how many beginnings; sorted set: scope
        # TAB digits (with a * where numbers begin so) by expiry
        "dnc_counts": "dnc-counts",
        "dnc_expiries": "dnc-expiries",
        # hash: parts of a ledger's key -> by which rules its entries are kept
        "caps_rules": "caps-rules",
        # <parts>:<beginning of a name>: hash of about a hundred ledgers (see caps.lua)
        "caps": "caps:",
        # hash: name of a ledger -> its calls that are under way
        "caps_live": "caps-live",
        # <day>: hash of what is lent of each cap on costs, spent or not (see spend.lua), and of which generation it is
        "spend": "spend:",
        # sorted set: owner by the moment until which its heartbeat holds
        "nodes": "nodes",
        # stream per owner: removals and do-not-call entries that name its calls
        "inbox": "inbox:",
        # which shard this is, and by which table (docs/adr/0020)
        "shard": "shard",
        # what nodes tell each other (docs/adr/0013), under seal. Hash: node and its name for the run -> what it says of
        # itself; per node and run: what goes on there; per agent: the node that they are signing in at; per kind and
        # address or name: until when guesses are used up
        "neighbours": "neighbours",
        "picture": "picture:",
        "claim": "claim:",
        "guesses": "guesses:",
    }
)

_PREFIX: Final = re.compile(r"[A-Za-z0-9_:-]{0,64}", re.ASCII)


class Keys:
    """The keys under one prefix.

    Raises:
        ValueError: the prefix has characters other than letters, digits, ``_ : -``, or more than 64.
    """

    def __init__(self, prefix: str = "cadencia:") -> None:
        if _PREFIX.fullmatch(prefix) is None:
            raise ValueError(f"key prefix {prefix!r}: only letters, digits, _, : and -, at most 64")
        self.prefix = prefix

    def __getitem__(self, name: str) -> str:
        """The key (or beginning of a key) that is known as `name`."""
        return self.prefix + NAMES[name]

    def of(self, name: str, part: str) -> str:
        """The key `name` of one campaign, scope or owner."""
        return self.prefix + NAMES[name] + part

    def all(self) -> dict[str, str]:
        """All keys (or beginnings of keys), by the names under which they are known."""
        return {name: self.prefix + key for name, key in NAMES.items()}
