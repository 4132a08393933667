"""Reads the files of ``config/jurisdictions``: the only place of the package that touches a disk."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from dialer.compliance.jurisdiction import Jurisdiction, parse_jurisdiction
from dialer.compliance.rulebook import RuleBook
from dialer.errors import ConfigError

FOLDER = "jurisdictions"


def load_rule_book(folder: Path) -> RuleBook:
    """The jurisdictions of all ``*.toml`` files of a folder; its version is a digest of their contents.

    Raises:
        ConfigError: names the file, what is wrong in it, and what to write instead.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise ConfigError(f"cannot read the folder of jurisdictions {folder}: {error.strerror}") from error
    if not paths:
        raise ConfigError(f"{folder} has no *.toml file: no jurisdiction is known, so nobody can be called")
    digest = hashlib.sha256()
    jurisdictions: list[Jurisdiction] = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        jurisdictions.append(_parse(path, content))
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    try:
        return RuleBook(jurisdictions, digest.hexdigest()[:16])
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from error


def _parse(path: Path, content: bytes) -> Jurisdiction:
    try:
        return parse_jurisdiction(tomllib.loads(content.decode()))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def find_folder(config: Path | None) -> Path:
    """Where the jurisdictions are: beside the settings file, else those that come with the program.

    Raises:
        ConfigError: there are none.
    """
    here = Path(__file__).parent
    # Within the package where it was installed, in the source tree where it runs from that.
    places = [] if config is None else [config.parent / FOLDER]
    places += [here / FOLDER, here.parent.parent / "config" / FOLDER]
    for place in places:
        if place.is_dir():
            return place
    looked = " or ".join(str(place) for place in places)
    raise ConfigError(f"there is no folder of jurisdictions: looked for {looked}; name it as compliance.rules")
