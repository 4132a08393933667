"""The page that opens on the agent's screen: a template decides where it leads, and fields never do."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.campaigns import parse_campaign
from dialer.core.call import Call
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.permit import Permit
from dialer.core.screen_pop import screen_pop
from dialer.errors import InputError

TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "javascript:alert(1)",
        "//evil.example",
        "../../x",
        "..",
        ".",
        "%2e%2e",
        "@evil.example",
        "\\\\evil",
        "a/b?c#d&e=f",
    ]
)


def popped(template: str, *, contact: str = "crm-17", name: str = "", fields: dict[str, object] | None = None) -> str:
    campaign = parse_campaign({"id": "winter", "screen_pop": template})
    permit = Permit(
        call=CallId("n-b-1"),
        campaign=CampaignId("winter"),
        contact=ContactId(contact),
        phone=Phone("+34600111222"),
        fencing_token=1,
        attempt_number=1,
        expires_at=1.0,
        name=name,
        fields=fields or {},
    )
    call = Call(permit=permit, campaign=campaign, server=ServerName("pbx"), trunk=None)
    return screen_pop(call)


def test_fields_are_filled_in_and_encoded() -> None:
    url = popped(
        "https://crm.example/c/{id}?phone={phone}&n={name}&debt={debt}&vip={vip}&tags={tags}&none={none}&x={missing}",
        name="Ana García & Co",
        fields={"debt": 129.9, "vip": True, "tags": ["a", "b"], "none": None, "id": "not ours"},
    )
    assert urlsplit(url).path == "/c/crm-17"
    assert parse_qs(urlsplit(url).query, keep_blank_values=True) == {
        "phone": ["+34600111222"],
        "n": ["Ana García & Co"],
        "debt": ["129.9"],
        "vip": ["true"],
        "tags": ['["a","b"]'],
        "none": [""],
        "x": [""],
    }


@pytest.mark.parametrize(
    "template",
    [
        "javascript:alert({id})",
        "JavaScript://crm.example/%0aalert(1)//{id}",
        "data:text/html,{id}",
        "{url}",
        "{scheme}://crm.example/",
        "//crm.example/{id}",
        "/c/{id}",
        "https:/{id}",
        "https:///{id}",
        "https://{host}/c/{id}",
        "https://crm.example{id}/",
        "https://crm.example:{port}/",
        "https://{id}@crm.example/",
        "https://user:secret@crm.example/{id}",
        "https://crm.example\\@evil.example/{id}",
        "https:\\\\evil.example/{id}",
        "https://crm.example/ {id}",
        "https://crm.example/\n{id}",
        "https://crm.example/{id",
        "https://crm.example/{}",
        "https://crm.example/{id!r}",
        "https://crm.example/{id:>10}",
        "https://crm.example/{id.__class__}",
        "https://crm.example:99999999/{id}",
        "https://[::1/{id}",
    ],
)
def test_templates_that_could_lead_elsewhere_are_refused(template: str) -> None:
    with pytest.raises(InputError, match="screen_pop"):
        parse_campaign({"id": "winter", "screen_pop": template})


@given(contact=TEXTS, name=TEXTS, field=TEXTS | st.integers() | st.none())
def test_no_value_changes_where_it_leads(contact: str, name: str, field: object) -> None:
    url = popped(
        "https://crm.example:8443/c/{id}/open/{field}?name={name}#{field}",
        contact=contact,
        name=name,
        fields={"field": field},
    )
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "crm.example:8443")
    segments = parts.path.split("/")
    assert (len(segments), segments[:2], segments[3]) == (5, ["", "c"], "open")
    assert not {unquote(segment) for segment in segments} & {".", ".."}
    assert all(" " < character < "\x7f" for character in url)


def test_without_a_template_there_is_none() -> None:
    assert popped("") == ""
    assert Campaign(id=CampaignId("winter")).screen_pop == ""
