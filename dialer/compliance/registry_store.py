"""The folder of all registries: versions side by side, and one word for each which of them is in force.

    FOLDER/us-national/20261101-0a1b2c3d4e5f.registry     never changed once it is there
    FOLDER/us-national/20261115-99aabbccddee.registry
    FOLDER/us-national/current                            {"version": "20261115-99aabbccddee", "since": …}

``current`` is replaced by a rename, so that every reader sees the old word or the new one. The folder may be shared by
all nodes, or copied to them: files first, ``current`` last, never over a file that is there. A version that is deleted
lives on in the processes that have it mapped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from dialer.compliance.registry_file import Header, RegistryFile, read_header
from dialer.errors import DialerError, InputError

SUFFIX: Final = ".registry"
_CURRENT: Final = "current"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
_VERSION: Final = re.compile(r"[0-9]{8}-[0-9a-f]{12}", re.ASCII)
_BUILDING: Final = ".building-"
_MAX_WORD: Final = 4096


class _Current(Struct, frozen=True):
    """What ``current`` says."""

    version: Annotated[str, Meta(pattern=r"^[0-9]{8}-[0-9a-f]{12}\Z")]
    #: Unix seconds.
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A version in the folder; `header` is None where the file cannot be used, and `problem` says why."""

    version: str
    path: Path
    header: Header | None
    problem: str
    in_force: bool
    bytes: int


class RegistryStore:
    """The folder.

    Args:
        folder: need not exist yet.
        keep: versions of a registry that stay, that in force not counted.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def names(self) -> list[str]:
        """All registries of which there is a version."""
        if not self.folder.is_dir():
            return []
        return sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))

    def versions(self, name: str) -> list[Stored]:
        """All versions of a registry, the newest source first.

        Raises:
            InputError: no name that a registry can have.
        """
        home = self._home(name)
        try:
            current = self.current(name)
        except InputError:
            current = None
        found = []
        for path in home.glob(f"*{SUFFIX}"):
            if not _VERSION.fullmatch(path.stem):
                continue
            header, problem = None, ""
            try:
                header = read_header(path)
                size = path.stat().st_size
            except (InputError, OSError) as error:
                problem, size = str(error), 0
            found.append(
                Stored(
                    version=path.stem,
                    path=path,
                    header=header,
                    problem=problem,
                    in_force=path.stem == current,
                    bytes=size,
                )
            )
        return sorted(found, key=_age_order, reverse=True)

    def current(self, name: str) -> str | None:
        """The version that is in force; None: none has ever been.

        Raises:
            InputError: ``current`` cannot be read or understood.
        """
        path = self.current_path(name)
        try:
            word = path.read_bytes()[:_MAX_WORD]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"cannot read {path}: {error.strerror}", code="file_unreadable", file=str(path), said=error.strerror
            ) from error
        try:
            return msgspec.json.decode(word, type=_Current).version
        except msgspec.DecodeError as error:
            raise InputError(
                f"{path} cannot be understood ({error}); choose a version with cadencia registry use {name} VERSION",
                code="registry_word",
                file=str(path),
                registry=name,
            ) from error

    def current_path(self, name: str) -> Path:
        """The file that says which version is in force."""
        return self._home(name) / _CURRENT

    def path_of(self, name: str, version: str) -> Path:
        """Where a version lies.

        Raises:
            InputError: no form of a version.
        """
        if not _VERSION.fullmatch(version):
            raise InputError(
                f"{version!r} is no version of a registry; cadencia registry list shows those there are",
                code="registry_not_a_version",
                version=version,
            )
        return self._home(name) / f"{version}{SUFFIX}"

    def open(self, name: str, version: str) -> RegistryFile:
        """Open a version.

        Raises:
            InputError: it is not there, is damaged, or is another than its name says.
        """
        file = RegistryFile(self.path_of(name, version))
        if file.header.registry != name or file.version != version:
            raise InputError(
                f"{file.path} is version {file.version} of registry {file.header.registry!r}, under a wrong name; "
                "build the registry again",
                code="registry_wrong_name",
                file=str(file.path),
                version=file.version,
                registry=file.header.registry,
            )
        return file

    def use(self, name: str, version: str, now: float) -> None:
        """Put a version in force; nodes see it within seconds.

        Raises:
            InputError: it is not there or damaged; that in force stays.
            DialerError: the folder cannot be written.
        """
        self.open(name, version).verify()
        home = self._home(name)
        with _writing(home):
            handle, temporary = tempfile.mkstemp(prefix=".current-", dir=home)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.json.encode(_Current(version=version, since=now)))
                    file.flush()
                    os.fchmod(file.fileno(), 0o644)
                    os.fsync(file.fileno())
                os.replace(temporary, home / _CURRENT)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            _sync_folder(home)

    def remove(self, name: str, version: str) -> None:
        """Delete a version that is not in force; processes that have it mapped go on with it.

        Raises:
            InputError: it is in force, or is not there.
            DialerError: the folder cannot be written.
        """
        path = self.path_of(name, version)
        if version == self.current(name):
            raise InputError(
                f"version {version} of {name} is in force; put another in force first (cadencia registry use), or the "
                "campaigns that need it would not dial"
            )
        with _writing(path.parent):
            try:
                path.unlink()
            except FileNotFoundError as error:
                raise InputError(
                    f"there is no version {version} of {name}; cadencia registry list shows all"
                ) from error

    def prune(self, name: str) -> list[str]:
        """Delete all but that in force and the newest `keep` others; the versions deleted."""
        others = [stored for stored in self.versions(name) if not stored.in_force]
        removed = []
        for stored in others[self.keep :]:
            with contextlib.suppress(InputError):  # somebody else was quicker
                self.remove(name, stored.version)
                removed.append(stored.version)
        return removed

    @contextlib.contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """A folder to build in, for one at a time; it goes afterwards, and what killed builds left goes before.

        Raises:
            InputError: another build of this registry is under way.
            DialerError: the folder cannot be written.
        """
        home = self._home(name)
        with _writing(home):
            home.mkdir(parents=True, exist_ok=True)
            lock = (home / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"registry {name} is being built already; wait until that has ended") from error
            for left in home.glob(f"{_BUILDING}*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=home) as folder:
                yield Path(folder)

    def adopt(self, built: Path, header: Header) -> Path:
        """Move a finished file from the folder where it was built to its place; it is not in force yet.

        Raises:
            DialerError: the folder cannot be written.
        """
        path = self.path_of(header.registry, header.version)
        with _writing(path.parent):
            # Nobody may write into a file that others have mapped.
            built.chmod(0o444)
            os.replace(built, path)
            _sync_folder(path.parent)
        return path

    def _home(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} cannot name a registry; at most 64 letters, digits, _ and -")
        return self.folder / name


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DialerError(f"cannot write to {folder}: {error.strerror}; mend it and try again") from error


def _age_order(stored: Stored) -> tuple[str, float]:
    return stored.version[:8], stored.header.built_at if stored.header is not None else 0.0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
