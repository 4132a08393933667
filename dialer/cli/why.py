"""`cadencia why`: may this number be called now; if not, why, and when. Needs no running node, unless for a contact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from dialer.cli.client import Api, ConfigOption
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows
from dialer.errors import ConfigError

if TYPE_CHECKING:
    from dialer.compliance.consent import Consent
    from dialer.compliance.eligibility import Verdict

Rules = Annotated[
    Path | None,
    typer.Option("--rules", help="Folder of jurisdictions; else the one beside the settings file.", file_okay=False),
]
_PURPOSES = "marketing, debt, survey or service"


def why(
    phone: Annotated[str, typer.Option(help="The number, such as +34600111222.", show_default=False)] = "",
    campaign: Annotated[str, typer.Option(help="The campaign for which would be called.")] = "",
    contact: Annotated[
        str,
        typer.Option(help="A contact of the campaign: asks the running node, which knows its record and lists too."),
    ] = "",
    purpose: Annotated[str, typer.Option(help=f"What it calls for: {_PURPOSES}.")] = "marketing",
    party: Annotated[str, typer.Option(help="Whom it calls: consumer or business.")] = "consumer",
    at: Annotated[str | None, typer.Option(help="Another moment than now, such as 2026-11-22T16:00:00+01:00.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone on record, such as Atlantic/Canary.")] = None,
    trust_timezone: Annotated[bool, typer.Option(help="The time zone is surer than the number.")] = False,
    country: Annotated[str | None, typer.Option(help="Country of the address, such as ES.")] = None,
    region: Annotated[str | None, typer.Option(help="Region of the address, such as CN or FL.")] = None,
    postcode: Annotated[str | None, typer.Option(help="Postcode of the address.")] = None,
    jurisdiction: Annotated[
        list[str] | None, typer.Option(help="Whose rules count besides: that of the centre, such as ES or US-FL.")
    ] = None,
    basis: Annotated[list[str] | None, typer.Option(help="What the campaign claims, such as current_contract.")] = None,
    consent: Annotated[
        Path | None, typer.Option(help="JSON file: one consent on record, or a list.", exists=True, dir_okay=False)
    ] = None,
    ring: Annotated[float, typer.Option(help="Seconds that it may ring.", min=1, max=300)] = 25.0,
    config: ConfigOption = None,
    rules: Rules = None,
    as_json: JsonOption = False,
) -> None:
    """Why a number is not called now, and when it is: place, consent and calling hours, by the rules on file.

    Looks at the rules alone: not at lists, do-not-call entries or calls that were made, unless a contact is named.
    """
    if contact:
        _show_contact(config, campaign, contact, as_json=as_json)
        return
    if not phone:
        fail("name a number with --phone, or a contact with --campaign and --contact", 2)
    from dialer.compliance.caps import Subject  # noqa: PLC0415
    from dialer.compliance.eligibility import Eligibility, Terms  # noqa: PLC0415
    from dialer.compliance.loader import find_folder, load_rule_book  # noqa: PLC0415
    from dialer.compliance.rules import Basis, Party, Purpose  # noqa: PLC0415
    from dialer.compliance.verdict_record import verdict_record  # noqa: PLC0415
    from dialer.compliance.zones import Called  # noqa: PLC0415
    from dialer.core.ids import Phone  # noqa: PLC0415
    from dialer.intake.phones import PhoneReader  # noqa: PLC0415
    from dialer.intake.record import moment  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    reading = PhoneReader(load(config, secrets=False).default_region).read(phone)
    if reading.phone is None and not phone.startswith("+"):
        fail(f"--phone {phone!r} {reading.problem}; write it as +34600111222", 2)
    now = Clock().now() if at is None else moment(at)
    if now is None:
        fail(f"--at {at!r} is no moment with its zone, such as 2026-11-22T16:00:00+01:00", 2)
    desk = Eligibility(load_rule_book(rules or find_folder(config)))
    number = reading.phone or Phone(phone)
    try:
        terms = Terms(
            purpose=Purpose(purpose),
            party=Party(party),
            jurisdictions=tuple(jurisdiction or ()),
            ring_timeout_s=ring,
            bases=frozenset(Basis(one) for one in basis or ()),
        )
    except ValueError as error:
        known = f"--purpose: {_PURPOSES}; --party: consumer or business; --basis: {', '.join(Basis)}"
        fail(f"{error}; possible are {known}", 2)
    called = Called(
        phone=number,
        country=country,
        region=region,
        postcode=postcode,
        timezone=timezone,
        timezone_trusted=trust_timezone,
    )
    try:
        verdict = desk.judge(
            called,
            terms,
            now=now,
            subject=Subject(number=number, campaign=campaign),
            consents=_consents(consent),
        )
    except ConfigError as error:
        fail(str(error), 2)
    if as_json:
        print_json(verdict_record(verdict))
        return
    _show(verdict)


def _show_contact(config: Path | None, campaign: str, contact: str, *, as_json: bool) -> None:
    if not campaign:
        fail("--contact needs --campaign: the same id may be another person's elsewhere", 2)
    found = Api.connect(config, None, None).get(f"/campaigns/{quote(campaign, '')}/contacts/{quote(contact, '')}/why")
    if as_json:
        print_json(found)
        return
    out.print(f"{found['status']}, {found['attempts']} attempts: {found['says']}", markup=False, highlight=False)
    rows = [
        {
            "phone": one["phone"],
            "do-not-call": ", ".join(one["do_not_call"]) or "no",
            "type": one["type"],
            "own hours": "; ".join(one["hours"]) or None,
            "attempts": f"{one['attempts']} of {one['max_attempts'] or 'any'}" if _said(one) else None,
            "from": one["next_at"],
            "rules": one["law"]["says"],
        }
        for one in found["phones"]
    ]
    print_rows(rows, list(rows[0]) if rows else [])


def _said(one: Mapping[str, Any]) -> bool:
    """Whether the contact says something of a number: only then its attempts are counted."""
    return bool(one["type"] or one["hours"] or one["max_attempts"])


def _consents(path: Path | None) -> list[Consent]:
    from dialer.compliance.consent import Unusable, read_consent  # noqa: PLC0415

    if path is None:
        return []
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path} is no JSON in UTF-8: {error}")
    records: list[Consent] = []
    for entry in data if isinstance(data, list) else [data]:
        if not isinstance(entry, dict):
            fail(f"{path}: consent: expected an object")
        record = read_consent(entry)
        if isinstance(record, Unusable):
            fail(f"{path}: {record.problem}")
        records.append(record)
    return records


def _show(verdict: Verdict) -> None:
    from rich.markup import escape  # noqa: PLC0415

    colour = "green" if verdict.permit else "bold red"
    out.print(
        f"[{colour}]{'yes' if verdict.permit else 'no'}[/]  {escape(verdict.says)}", highlight=False, soft_wrap=True
    )
    for finding in verdict.findings:
        mark = "[green]ok[/]" if finding.ok else "[red]no[/]"
        rule = f"  [dim]{finding.rule} ({finding.mark})[/]" if finding.rule else ""
        out.print(f"  {mark}  {finding.step}: {escape(finding.says)}{rule}", highlight=False, soft_wrap=True)
    out.print(f"[dim]rules {verdict.rules}; marks: V official text, S secondary source, M memory, ? unsettled[/]")
