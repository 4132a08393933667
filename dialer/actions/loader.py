"""Reads the rule files of a folder: the only place of the package that touches a disk."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from dialer.actions.rules import Rule, RuleSet, parse_rules, rule_set
from dialer.errors import ConfigError, InputError


def load_rules(folder: Path) -> RuleSet:
    """The rules of all ``*.toml`` files of a folder, by the names of the files and then in their order.

    Raises:
        ConfigError: names the file, the rule and what is wrong.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise ConfigError(f"actions.rules: cannot read the folder {folder}: {error.strerror}") from error
    rules: list[Rule] = []
    try:
        for path in paths:
            rules += parse_rules(read_toml(path), str(path))
        return rule_set(rules)
    except InputError as error:
        raise ConfigError(f"actions.rules: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file has.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
