"""A verdict as plain data: what the command prints, the API answers and the evidence keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dialer.compliance.eligibility import Finding, Verdict


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """JSON values only; moments in RFC 3339, UTC; keys without a value are left out."""
    return _without_none(
        {
            "at": _moment(verdict.at),
            "permit": verdict.permit,
            "reason": None if verdict.reason is None else verdict.reason.value,
            "retry_at": _moment(verdict.retry_at),
            "says": verdict.says,
            "rules": verdict.rules,
            "jurisdictions": list(verdict.jurisdictions),
            "zones": list(verdict.zones),
            "consent": verdict.consent_id,
            "bases": [basis.value for basis in verdict.bases],
            "findings": [_finding(finding) for finding in verdict.findings],
        }
    )


def law_told(record: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    """What such a record says, as a code and its arguments for a catalogue."""
    if "reason" not in record:
        return "law_permits", {"clocks": record.get("zones", [])}
    findings: list[dict[str, Any]] = record.get("findings", [])
    refusing = next((one for one in findings if not one["ok"]), {})
    word = "campaign_days" if refusing.get("step") == "campaign_days" else record["reason"]
    return f"law_{word}", {"rule": refusing.get("rule", "")}


def _finding(finding: Finding) -> dict[str, Any]:
    return _without_none(
        {
            "step": finding.step,
            "ok": finding.ok,
            "says": finding.says,
            "rule": finding.rule,
            "mark": None if finding.mark is None else finding.mark.value,
            "retry_at": _moment(finding.retry_at),
        }
    )


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}
