"""The published tables of jurisdictions are those of the files, and the example of the page is one that is read."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from dialer.compliance.jurisdiction import parse_jurisdiction
from tests.compliance_rules import shipped_book

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_files_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "jurisdiction-table"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_rule_is_in_the_tables() -> None:
    book = shipped_book()
    for one in [*book.countries.values(), book.policy]:
        for rule in one.rules:
            assert f"`{rule.version}`" in PAGE


def test_the_example_is_a_file_that_can_be_read() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert parse_jurisdiction(tomllib.loads(example)).subdivisions["CN"].name == "Canary Islands"
