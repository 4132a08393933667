"""Registries in JSON's own types: what jobs answer with, and what the command prints. No number stands in them."""

from __future__ import annotations

from dialer.compliance.registry import Clear, Consulted, Listed, RegistryStatus, RegistryTooOld, Verdict
from dialer.compliance.registry_build import BuildProgress, BuildReport


def progress_as_json(progress: BuildProgress) -> dict[str, object]:
    """How far a build is."""
    return {
        "stage": progress.stage,
        "done": progress.done,
        "total": progress.total,
        "numbers": progress.numbers,
        "bad": progress.bad,
    }


def report_as_json(report: BuildReport) -> dict[str, object]:
    """What became of a source."""
    header = report.header
    return {
        "registry": header.registry,
        "version": header.version,
        "source": header.source,
        "source_date": header.source_date.isoformat(),
        "count": header.count,
        "rules": report.rules,
        "lines": report.lines,
        "duplicates": report.duplicates,
        "blank": report.blank,
        "comments": report.comments,
        "bad": report.bad,
        "problems": dict(report.problems),
        "bad_lines": [{"line": bad.line, "shape": bad.shape, "problem": bad.problem} for bad in report.shown],
        "bytes": report.bytes,
        "in_force": report.in_force,
        "held_back": report.held_back,
        "removed": list(report.removed),
    }


def verdict_as_json(verdict: Verdict) -> dict[str, object]:
    """An answer of the registries, with the versions that gave it: what evidence keeps."""
    if isinstance(verdict, Clear):
        return {"verdict": "clear", "consulted": [_consulted(each) for each in verdict.consulted]}
    if isinstance(verdict, Listed):
        return {
            "verdict": "listed",
            **_consulted(verdict.by),
            "rule": verdict.rule,
            "reason": verdict.reason,
            "consulted": [_consulted(each) for each in verdict.consulted],
        }
    if isinstance(verdict, RegistryTooOld):
        return {
            "verdict": "registry_too_old",
            **_consulted(verdict.by),
            "age_days": round(verdict.age_days, 2),
            "max_age_days": verdict.max_age_days,
        }
    return {"verdict": "registry_unavailable", "registry": verdict.registry, "problem": verdict.problem.says}


def status_as_json(status: RegistryStatus) -> dict[str, object]:
    """One registry as it is now."""
    edition = status.edition
    return {
        "registry": status.name,
        "version": None if edition is None else edition.consulted.version,
        "source_date": None if edition is None else edition.consulted.source_date.isoformat(),
        "source": None if edition is None else edition.source,
        "count": None if edition is None else edition.count,
        "rules": None if edition is None else len(edition.prefixes),
        "age_days": None if status.age_days is None else round(status.age_days, 2),
        "max_age_days": status.max_age_days,
        "refuses": status.refuses.says,
        "problem": status.problem.says,
    }


def _consulted(consulted: Consulted) -> dict[str, object]:
    return {
        "registry": consulted.registry,
        "version": consulted.version,
        "source_date": consulted.source_date.isoformat(),
    }
