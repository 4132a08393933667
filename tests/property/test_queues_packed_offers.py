"""Contacts packed for the hopper come out of it as they went in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.queues.wire import OFFER_AT_ONCE, chunks, pack, unpack

WINTER, SUMMER = CampaignId("winter"), CampaignId("summer")
MOMENTS = st.none() | st.integers(0, 2**40).map(lambda microseconds: microseconds / 1_048_576)
DATA = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers(-(2**53), 2**53) | st.booleans(),
    max_size=2,
)
CONTACTS = st.builds(
    Contact,
    campaign=st.sampled_from([WINTER, SUMMER]),
    id=st.integers(1, 40).map(lambda n: ContactId(f"c{n}")),
    phones=st.lists(
        st.integers(10**8, 10**9).map(lambda n: Phone(f"+34{n}")), min_size=1, max_size=10, unique=True
    ).map(tuple),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    priority=st.integers(-1_000, 1_000),
    timezone=st.sampled_from([None, "Europe/Madrid"]),
    not_before_at=MOMENTS,
    expires_at=MOMENTS,
    consent=DATA,
    fields=DATA,
)


def rounded(moment: float | None) -> float | None:
    """As the scripts keep it: to the microsecond."""
    return None if moment is None else float(f"{moment:.6f}")


@given(st.lists(CONTACTS, max_size=60))
def test_what_is_packed_can_be_unpacked(contacts: list[Contact]) -> None:
    found = dict[int, Contact]()
    for chunk in chunks(contacts):
        offer = pack([contact for _, contact in chunk])
        assert offer.count == len(chunk) <= OFFER_AT_ONCE
        found |= zip([position for position, _ in chunk], unpack(offer), strict=True)
    assert len(found) == len(contacts)
    for position, contact in enumerate(contacts):
        back = found[position]
        assert (back.not_before_at, back.expires_at) == (rounded(contact.not_before_at), rounded(contact.expires_at))
        for name in ("campaign", "id", "phones", "name", "priority", "timezone", "consent", "fields"):
            assert getattr(back, name) == getattr(contact, name)


def test_a_run_has_one_campaign_no_id_twice_and_at_most_its_size() -> None:
    one = [Contact(campaign=WINTER, id=ContactId(f"c{n}"), phones=(Phone("+34600111222"),)) for n in range(450)]
    runs = [[contact.id for _, contact in chunk] for chunk in chunks([*one, one[0]])]
    assert sum(map(len, runs)) == 451
    assert all(len(run) == len(set(run)) <= OFFER_AT_ONCE for run in runs)
