"""Listings end: whatever pages a CRM gives, a circle is found out, and what is no circle is never taken for one."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialer.crm.listing import Finished, Listing, Repeats, after, begun
from dialer.crm.mapping import Paging
from dialer.crm.reading import PulledPage

LINKS = Paging(kind="link", next="next")
NUMBERS = Paging(kind="number")


def page(records: list[str], next: str | None, changed: str | None = None) -> PulledPage:
    return PulledPage(calls=(), refused=(), records=records, next=next, changes=None, changed=changed)


def kept(listing: Listing) -> Listing:
    """As it comes back from the record."""
    return msgspec.json.decode(msgspec.json.encode(listing), type=Listing)


@given(
    lead=st.integers(0, 40), circle=st.integers(1, 40), paging=st.sampled_from([LINKS, NUMBERS]), empty=st.booleans()
)
def test_a_circle_of_any_length_is_found_out(lead: int, circle: int, paging: Paging, empty: bool) -> None:
    listing, asked = begun("", changes=False), 0
    while True:
        place = asked if asked < lead else lead + (asked - lead) % circle
        following = lead + (asked + 1 - lead) % circle if asked + 1 >= lead else asked + 1
        # Links of a circle come again; numbers never do, only what is on the pages.
        records = [] if empty and paging is LINKS else [f"r-{place}"]
        then = after(listing, page(records, f"/p{following}"), paging)
        asked += 1
        if isinstance(then, Repeats):
            break
        assert isinstance(then, Listing)
        listing = kept(then)
        assert asked <= 4 * (lead + circle) + 4


@given(count=st.integers(1, 300), empty_every=st.integers(2, 9), paging=st.sampled_from([LINKS, NUMBERS]))
def test_what_is_no_circle_comes_to_its_end(count: int, empty_every: int, paging: Paging) -> None:
    listing = begun("", changes=False)
    for number in range(count):
        records = [] if number % empty_every == 1 else [f"r-{number}", "moved"]
        then = after(listing, page(records, f"/p{number + 1}" if number + 1 < count else None), paging)
        if number + 1 == count:
            assert then == Finished(cursor=None)
        else:
            assert isinstance(then, Listing)
            listing = kept(then)
            assert listing.place == (str(number + 2) if paging is NUMBERS else f"/p{number + 1}")


@given(changes=st.lists(st.integers(0, 10**6), min_size=1, max_size=20), texts=st.booleans())
def test_the_cursor_is_the_greatest_change(changes: list[int], texts: bool) -> None:
    moments = [f"2026-01-01T00:00:00.{change:07d}Z" if texts else str(change) for change in changes]
    listing = begun(moments[0], changes=True)
    assert listing.partial
    for number, moment in enumerate(moments[1:], start=1):
        then = after(listing, page([f"r-{number}"], f"/p{number}", moment), LINKS)
        assert isinstance(then, Listing)
        listing = then
    assert after(listing, page(["last"], None), LINKS) == Finished(cursor=moments[changes.index(max(changes))])
