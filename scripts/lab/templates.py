"""Fills in the templates of config/asterisk: ``@NAME@`` stands for a value, and every one has to have one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .layout import LabError

_PLACEHOLDER = re.compile(r"@([A-Z][A-Z0-9_]*)@")
#: Templates of which there is one file for each trunk or phone.
PER_ITEM = frozenset({"pjsip_trunk.conf", "pjsip_phone.conf", "pjsip_webphone.conf"})


def placeholders(text: str) -> frozenset[str]:
    return frozenset(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str], *, name: str) -> str:
    """The text with every placeholder replaced; LabError where one has no value, or a value would end its line."""
    missing = sorted(placeholders(text) - values.keys())
    if missing:
        raise LabError(f"{name} needs a value for {', '.join(missing)}: give it with --set NAME=VALUE")
    for key in placeholders(text):
        if not values[key].isprintable():
            raise LabError(f"the value of {key} holds a control character")
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)


def fill_folder(source: Path, target: Path, values: Mapping[str, str]) -> list[Path]:
    """Writes every template of a folder, except those of single trunks and phones, readable by the owner only."""
    target.mkdir(parents=True, exist_ok=True)
    return [
        write(target / template.name, fill(template.read_text(), values, name=template.name))
        for template in sorted(source.glob("*.conf"))
        if template.name not in PER_ITEM
    ]


def write(path: Path, text: str) -> Path:
    """Writes a file that may hold a secret."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path
