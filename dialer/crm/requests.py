"""Requests to a CRM, made of a mapping and facts; pure. What sends them is `dialer.crm.client`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from dialer.crm import soap
from dialer.crm.listing import Listing, number_of
from dialer.crm.mapping import CrmMapping, Question
from dialer.crm.templates import Facts, Template, in_header, in_path, in_xml, rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; access and the server's name are added when it is sent."""

    method: str
    #: A path below the CRM's URL, or a link that it gave.
    target: str
    headers: Mapping[str, str]
    body: bytes | None


def request_of(mapping: CrmMapping, question: Question, facts: Facts) -> Request:
    """A question with its facts.

    Raises:
        InputError: a table of the mapping has no value for a fact.
    """
    tables = mapping.file.tables
    target = question.path.text(facts, tables, in_path)
    headers = {name: text.text(facts, tables, in_header) for name, text in question.headers.items()}
    headers = {name: text for name, text in headers.items() if text}
    if mapping.file.format == "soap":
        assert isinstance(question.body, Template), "the mapping was checked"
        body = question.body.text(facts, tables, in_xml)
        headers = soap.headers(question.action, mapping.file.soap) | headers
        return Request(method="POST", target=target, headers=headers, body=soap.envelope(body, mapping.file.soap))
    headers = {"Accept": "application/json"} | headers
    if question.body is None:
        return Request(method=question.method, target=target, headers=headers, body=None)
    made = msgspec.json.encode(rendered(question.body, facts, tables))
    headers = {"Content-Type": "application/json"} | headers
    return Request(method=question.method, target=target, headers=headers, body=made)


def page_request(mapping: CrmMapping, listing: Listing, cursor: str) -> Request:
    """The request for the next page of a listing, which began at `cursor`."""
    paging, pending = mapping.file.pending.paging, mapping.file.pending
    # A link of the CRM's stands for the whole request but its headers, whether it leads to a page or to what changed.
    link = listing.place if paging.kind == "link" else ""
    if not link and not listing.place and pending.changes:
        link = cursor
    facts = {
        "cursor": cursor or pending.since,
        "token": listing.place if paging.kind == "token" else "",
        "page": number_of(listing, paging) if paging.kind == "number" else "",
    }
    made = request_of(mapping, mapping.pending, facts)
    if not link:
        return made
    return Request(method=made.method, target=link, headers=made.headers, body=made.body)
