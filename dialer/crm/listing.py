"""How far a listing of pending calls is, page by page; pure, and small enough to be kept with each page.

A CRM that gives the same pages for ever is found out in constant space by Brent's method for cycles (BIT 20, 1980):
one earlier page is kept, and replaced at the powers of two; whoever meets it again goes round in circles. Pages are the
same when they have the same calls, whatever link or number leads to them.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from dialer.core.saying import Saying, say
from dialer.crm.mapping import Paging
from dialer.crm.reading import PulledPage

#: With a thousand calls each, more than any CRM has.
MAX_PAGES: Final = 20_000


class Listing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A listing under way."""

    #: Link or token of the page to be asked for next, or its number; empty: the first.
    place: str = ""
    pages: int = 0
    #: An earlier page, for how many pages it is kept, and since how many it has been.
    kept: str = ""
    kept_for: int = 1
    kept_since: int = 0
    #: Greatest change so far.
    changed: str | None = None
    #: It began with a cursor: what it does not have may be there still.
    partial: bool = False


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """There was no further page."""

    #: Where the next listing of changes begins; None: nowhere in particular.
    cursor: str | None


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """The CRM goes round in circles."""

    problem: Saying


def begun(cursor: str, *, changes: bool) -> Listing:
    """A new listing; one of changes since `cursor`, where there is one."""
    return Listing(partial=changes and bool(cursor), changed=(cursor or None) if changes else None)


def number_of(listing: Listing, paging: Paging) -> int:
    """The number of the page to be asked for next."""
    return int(listing.place) if listing.place else paging.first


def after(listing: Listing, page: PulledPage, paging: Paging) -> Listing | Finished | Repeats:
    """Where the listing goes on after a page."""
    changed = _later(listing.changed, page.changed)
    if page.next is None:
        return Finished(cursor=page.changes if page.changes is not None else changed)
    place = str(number_of(listing, paging) + paging.step) if paging.kind == "number" else page.next
    # An empty page says nothing of itself: its place has to speak for it.
    mark = hashlib.sha256("\n".join(page.records or (place,)).encode()).hexdigest()[:32]
    pages = listing.pages + 1
    if mark == listing.kept or place == listing.place:
        says = f"the CRM gives the same pages again and again: page {pages} is one that it gave before"
        return Repeats(problem=say(says, code="crm_repeats", page=pages))
    if pages >= MAX_PAGES:
        says = f"the CRM has given {MAX_PAGES:,} pages, and there is no end"
        return Repeats(problem=say(says, code="crm_endless", pages=MAX_PAGES))
    since = listing.kept_since + 1
    keep = since >= listing.kept_for
    return Listing(
        place=place,
        pages=pages,
        kept=mark if keep else listing.kept,
        kept_for=2 * listing.kept_for if keep else listing.kept_for,
        kept_since=0 if keep else since,
        changed=changed,
        partial=listing.partial,
    )


def _later(one: str | None, other: str | None) -> str | None:
    """The greater of two changes: as numbers where both are, else as texts (moments of one form sort so)."""
    if one is None or other is None:
        return other if one is None else one
    try:
        return max(one, other, key=float)
    except ValueError:
        return max(one, other)
