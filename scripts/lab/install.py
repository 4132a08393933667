"""Gets Asterisk 22, SIPp and coturn from Debian's packages, unpacked beside the system: no root, apt left alone.

The packages come from the mirror that this machine's apt uses already, through an apt of our own (its lists, its
cache), with Debian's signatures checked. Everything is then started by the unpacked ``ld.so`` with the unpacked
libraries, so neither the machine's release nor its libc matters.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import processes
from .layout import LabError, Layout

#: The Debian release that has Asterisk 22 (stable has none).
SUITE: Final = "forky"
ARCHITECTURES: Final = frozenset({"amd64", "arm64"})
#: The programs, and what they and the loaded modules link against; (old name, new name) where Debian renamed a library.
PACKAGES: Final[tuple[tuple[str, ...], ...]] = (
    *(("asterisk",), ("asterisk-modules",), ("asterisk-core-sounds-en-gsm",), ("sip-tester",)),
    *(("libc6",), ("libgcc-s1",), ("libstdc++6",), ("libssl3t64", "libssl4"), ("zlib1g",), ("libzstd1",), ("libcap2",)),
    *(("libsqlite3-0",), ("libxml2-16", "libxml2"), ("libxslt1.1",), ("libsystemd0",), ("libtinfo6",), ("libedit2",)),
    *(("libbsd0",), ("libmd0",), ("libcrypt1",), ("libjansson4",), ("liburiparser1",), ("libuuid1",), ("libgsm1",)),
    *(("libgsl28", "libgsl29"), ("libgslcblas0",), ("libncursesw6",), ("libpcap0.8t64",), ("libpugixml1v5",)),
    *(("libsctp1",), ("libdbus-1-3",)),
    # encrypted sound, for phones in browsers
    *(("libsrtp2-1",), ("libnss3",), ("libnspr4",)),
)
#: A TURN server, for phones in browsers that reach Asterisk no other way (with its drivers of databases).
RELAY_PACKAGES: Final[tuple[tuple[str, ...], ...]] = (
    *(("coturn",), ("libc6",), ("libgcc-s1",), ("libssl3t64", "libssl4"), ("zlib1g",), ("libzstd1",), ("libcap2",)),
    *(("libevent-core-2.1-7t64",), ("libevent-extra-2.1-7t64",), ("libevent-openssl-2.1-7t64",)),
    *(("libevent-pthreads-2.1-7t64",), ("libsystemd0",), ("libsqlite3-0",), ("libhiredis1.1.0",), ("libmariadb3",)),
    *(("libpq5",), ("libldap2",), ("libsasl2-2",), ("libgssapi-krb5-2",), ("libkrb5-3",), ("libk5crypto3",)),
    *(("libkrb5support0",), ("libcom-err2",), ("libkeyutils1",)),
)
_LEFT_OUT: Final = (
    "./usr/share/doc*",
    "./usr/share/man*",
    "./usr/share/lintian*",
    "./usr/share/asterisk/conf*",
    "*/gconv/*",
    "./etc/*",
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What is unpacked together, into a folder of its own below `Layout.programs`."""

    folder: str
    packages: tuple[tuple[str, ...], ...]
    #: Below the folder; each links against nothing outside it.
    programs: tuple[str, ...]

    @property
    def recipe(self) -> str:
        """Tells what this would unpack from what an older one has."""
        return hashlib.sha256(repr((SUITE, self.packages, _LEFT_OUT)).encode()).hexdigest()[:16]


LAB: Final = Collection(folder="root", packages=PACKAGES, programs=("usr/sbin/asterisk", "usr/bin/sipp"))
RELAY: Final = Collection(folder="relay", packages=RELAY_PACKAGES, programs=("usr/bin/turnserver",))


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """The first Debian archive in the machine's apt settings; LabError where there is none.

    Archives of security updates do not hold whole releases and are passed over.
    """
    for sources in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", _without_comments(sources.read_text(errors="replace"))):
            fields: dict[str, str] = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes").strip().lower() != "no":
                for uri in fields.get("URIs", "").split():
                    if _is_archive(uri, fields.get("Suites", "")):
                        return uri
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            for line in _without_comments(path.read_text(errors="replace")).splitlines():
                found = re.match(r"\s*deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)", line)
                if found and _is_archive(found.group(1), found.group(2)):
                    return found.group(1)
    raise LabError(
        "no Debian archive found in this machine's apt settings (/etc/apt/sources.list, /etc/apt/sources.list.d). "
        "Name one with CADENCIA_LAB_MIRROR=<address of a Debian archive>, or install Asterisk 22 yourself and use "
        "config/asterisk as docs/asterisk.md says"
    )


def _without_comments(text: str) -> str:
    return re.sub(r"^#.*$\n?", "", text, flags=re.MULTILINE)


def _is_archive(uri: str, suites: str) -> bool:
    return uri.rstrip("/").endswith("/debian") and "security" not in suites


def architecture() -> str:
    try:
        arch = subprocess.run(
            ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(
            "this is not Debian or a relative of it (no dpkg). The lab unpacks Debian packages; elsewhere, install "
            "Asterisk 22 and use config/asterisk as docs/asterisk.md says, or run the lab in a Debian container"
        ) from error
    if arch not in ARCHITECTURES:
        raise LabError(
            f"Debian's Asterisk is used on {' and '.join(sorted(ARCHITECTURES))} here, and this machine is {arch}"
        )
    return arch


@dataclass(frozen=True, slots=True)
class Programs:
    """The unpacked programs, and how to start them."""

    root: Path
    collection: Collection = LAB

    @property
    def libraries(self) -> Path:
        return self.loader.parent

    @property
    def loader(self) -> Path:
        for candidate in sorted(self.root.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")):
            return candidate
        raise LabError(f"no ld.so below {self.root}: remove that folder and run `scripts/asterisk-lab install` again")

    @property
    def modules(self) -> Path:
        return self.libraries / "asterisk" / "modules"

    @property
    def data(self) -> Path:
        return self.root / "usr/share/asterisk"

    def _command(self, program: Path) -> list[str]:
        # given to ld.so, not exported: what Asterisk starts itself is linked against the machine's own libraries
        return [str(self.loader), "--library-path", str(self.libraries), str(program)]

    def asterisk(self, configuration: Path, *arguments: str) -> list[str]:
        return [*self._command(self.root / "usr/sbin/asterisk"), "-C", str(configuration), *arguments]

    def sipp(self, *arguments: str) -> list[str]:
        """CADENCIA_LAB_SIPP names another SIPp."""
        own = os.environ.get("CADENCIA_LAB_SIPP")
        return [own, *arguments] if own else [*self._command(self.root / "usr/bin/sipp"), *arguments]

    def turnserver(self, configuration: Path) -> list[str]:
        return [*self._command(self.root / "usr/bin/turnserver"), "-c", str(configuration)]

    def complete(self) -> bool:
        stamp = self.root / ".complete"
        return stamp.is_file() and stamp.read_text().strip() == self.collection.recipe


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds a lock file: one lab command at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def install(layout: Layout, say: Say, collection: Collection = LAB) -> Programs:
    """Makes the programs available; at once where they are. An interrupted install goes on with what it has."""
    programs = Programs(layout.programs / collection.folder, collection)
    with exclusive(layout.directory / "install.lock"):
        if programs.complete():
            return programs
        arch = architecture()
        if collection is LAB and any(processes.running(path) for path in layout.directory.glob("run-*/*/pid")):
            raise LabError(
                "the lab's programs have to be renewed, and a lab runs with the old ones: stop it "
                "(scripts/asterisk-lab down, with its --port-base), then run the same command again"
            )
        work = layout.programs / "download"
        environment = _own_apt(work, arch)
        say(f"reading the package index of {SUITE}")
        _apt(["update", "-qq"], environment, work)
        known = _apt_cache(["pkgnames"], environment, work)
        names = [_available(candidates, known) for candidates in collection.packages]
        say(f"downloading {len(names)} packages")
        debs = work / "deb"
        debs.mkdir(exist_ok=True)
        # what lies there whole already is not fetched again
        _apt(["download", "-qq", *names], environment, debs)
        say("unpacking")
        _unpack(debs, names, programs.root)
        _check_libraries(programs)
        (programs.root / ".complete").write_text(collection.recipe)
        shutil.rmtree(work)
    return programs


def _own_apt(work: Path, arch: str) -> Mapping[str, str]:
    for folder in ("state/lists/partial", "cache/archives/partial", "preferences"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    keyring = next(
        (path for path in map(Path, ("/usr/share/keyrings/debian-archive-keyring.gpg",)) if path.is_file()), None
    )
    if keyring is None:
        raise LabError(
            "Debian's archive keys are missing, so packages could not be verified: install debian-archive-keyring"
        )
    archive = os.environ.get("CADENCIA_LAB_MIRROR") or mirror()
    (work / "sources.list").write_text(f"deb [signed-by={keyring}] {archive} {SUITE} main\n")
    configuration = work / "apt.conf"
    configuration.write_text(
        f"""Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "{work}/preferences";
APT::Architecture "{arch}";
APT::Architectures "";
APT::Architectures:: "{arch}";
APT::Sandbox::User "root";
APT::Update::Post-Invoke "";
Acquire::Languages "none";
Acquire::Retries "3";
// A mirror frozen at a date serves a Release file past its validity. Its signature is checked all the same.
Acquire::Check-Valid-Until "false";
"""
    )
    return {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C.UTF-8"}


def _apt(arguments: list[str], environment: Mapping[str, str], folder: Path) -> str:
    try:
        done = subprocess.run(
            ["apt-get", *arguments], check=False, capture_output=True, text=True, env=environment, cwd=folder
        )
    except OSError as error:
        raise LabError("apt-get cannot be run; the lab takes Asterisk from Debian packages") from error
    errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
    # `update` ends with 0 although an index could not be fetched; then it warns
    failed = [line for line in done.stderr.splitlines() if line.startswith("W: Failed to fetch")]
    if done.returncode or errors or failed:
        tail = "\n  ".join((errors or failed or done.stderr.splitlines())[-4:])
        raise LabError(
            f"apt-get {arguments[0]} failed:\n  {tail}\nCheck that this machine reaches its Debian mirror (or "
            "name another with CADENCIA_LAB_MIRROR), then run the same command again: it goes on where it stopped"
        )
    return done.stdout


def _apt_cache(arguments: list[str], environment: Mapping[str, str], folder: Path) -> frozenset[str]:
    done = subprocess.run(
        ["apt-cache", *arguments], check=False, capture_output=True, text=True, env=environment, cwd=folder
    )
    return frozenset(done.stdout.split())


def _available(candidates: tuple[str, ...], known: frozenset[str]) -> str:
    for name in candidates:
        if name in known:
            return name
    raise LabError(
        f"Debian {SUITE} has no package {' or '.join(candidates)} now; "
        "its new name belongs into the packages in scripts/lab/install.py"
    )


def _unpack(debs: Path, names: list[str], root: Path) -> None:
    partial = root.with_name("root.partial")
    for old in (partial, root):
        if old.exists():
            shutil.rmtree(old)
    partial.mkdir(parents=True)
    for name in names:
        # one of each: a repeated install can have left an older version there
        deb = max(debs.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as archive:
            leave_out = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
            tar = subprocess.run(
                ["tar", "-C", str(partial), "-x", "--no-same-owner", *leave_out],
                check=False,
                stdin=archive.stdout,
                capture_output=True,
                text=True,
            )
        if tar.returncode or archive.returncode:
            raise LabError(
                f"{deb.name} could not be unpacked: {tar.stderr.strip() or 'damaged package'}. Is the disk full?"
            )
    # what the package's installation script would do
    english = partial / "usr/share/asterisk/sounds/en"
    if english.parent.exists() and not english.exists():
        english.symlink_to("en_US_f_Allison")
    partial.rename(root)


def _check_libraries(programs: Programs) -> None:
    """Every library comes from the folder: a stray one of the machine's would crash far from its cause."""
    for program in (programs.root / name for name in programs.collection.programs):
        listed = subprocess.run(
            [str(programs.loader), "--library-path", str(programs.libraries), "--list", str(program)],
            check=False,
            capture_output=True,
            text=True,
        )
        strays = [
            line.strip()
            for line in listed.stdout.splitlines()
            if "not found" in line or ("=> /" in line and str(programs.root) not in line)
        ]
        if listed.returncode or strays:
            raise LabError(
                f"{program.name} would use libraries from outside the lab: "
                f"{'; '.join(strays) or listed.stderr.strip()}; "
                "the packages that hold them belong into the packages in scripts/lab/install.py"
            )
