"""Where the lab cannot be had it says why and what to do, and it never touches what is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lab import install, processes, servers, templates
from scripts.lab.layout import LabError, Layout

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "asterisk-lab"
_TEMPLATES = Path(__file__).resolve().parents[2] / "config" / "asterisk"


def _apt(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


def test_mirror_comes_from_the_machines_sources_files(tmp_path: Path) -> None:
    apt = _apt(
        tmp_path,
        "sources.list.d/debian.sources",
        """Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

# a comment
Types: deb deb-src
# another
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
""",
    )
    assert install.mirror(apt) == "http://mirror.example/debian"


def test_mirror_comes_from_a_list_file(tmp_path: Path) -> None:
    apt = _apt(
        tmp_path,
        "sources.list",
        "# deb http://old.example/debian bookworm main\n"
        "deb http://security.example/debian bookworm-security main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://two.example/debian/ bookworm main\n",
    )
    assert install.mirror(apt) == "http://two.example/debian/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: sid\n",
        "Types: deb\nURIs: http://other.example/tools\nSuites: stable\n",
    ],
)
def test_machine_without_a_debian_archive_is_told_what_to_do(tmp_path: Path, text: str) -> None:
    with pytest.raises(LabError, match="CADENCIA_LAB_MIRROR"):
        install.mirror(_apt(tmp_path, "sources.list.d/x.sources", text))


def _fake_dpkg(folder: Path, body: str) -> None:
    program = folder / "dpkg"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_machine_that_is_not_debian_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="not Debian"):
        install.architecture()


def test_architecture_without_an_asterisk_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_dpkg(tmp_path, "echo riscv64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="amd64 and arm64 here, and this machine is riscv64"):
        install.architecture()


@pytest.mark.skipif(not Path("/usr/bin/apt-get").exists(), reason="no apt here")
def test_mirror_out_of_reach_leaves_an_install_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CADENCIA_LAB_MIRROR", "http://127.0.0.1:9/debian")
    layout = Layout(tmp_path, 7900)
    with pytest.raises(LabError, match="goes on where it stopped"):
        install.install(layout, lambda _: None)
    assert not install.Programs(layout.root).complete()


def test_half_unpacked_programs_do_not_count(tmp_path: Path) -> None:
    programs = install.Programs(tmp_path)
    assert not programs.complete()
    (tmp_path / ".complete").write_text("an older list of packages")
    assert not programs.complete()
    with pytest.raises(LabError, match=r"no ld\.so"):
        _ = programs.loader


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["up", "--port-base", "5001"], 1, "multiple of 100"),
        (["up", "--phones", "51"], 1, "1 to 50 phones"),
        (["cli", "core", "show", "channels"], 1, "not installed"),
        (["record"], 1, "does not run"),
        (["record", "nonsense"], 1, "no recording nonsense"),
        (["render", "--to", "out"], 1, "--set NAME=VALUE"),
        (["render", "--to", "out", "--set", "x"], 1, "NAME=VALUE"),
        (["status"], 3, ""),
        (["down"], 0, ""),
        ([], 2, "usage"),
    ],
)
def test_wrong_use_says_what_is_wrong(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    where = ["--dir", str(tmp_path / "lab")] if arguments else []
    environment = {**os.environ, "CADENCIA_LAB_MIRROR": "http://127.0.0.1:9/debian"}
    done = subprocess.run(
        [sys.executable, _SCRIPT, *arguments, *where],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_process_of_somebody_else_with_our_pid_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd="/") as other:
        pid = tmp_path / "pid"
        pid.write_text(str(other.pid))
        assert processes.running(pid) is None
        assert processes.stop(pid, grace_s=0.1) is False
        assert other.poll() is None
        other.kill()


def test_program_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    pid = tmp_path / "part" / "pid"
    processes.start(["sh", "-c", "echo the port is taken; exit 1"], pid)
    with pytest.raises(LabError, match="the port is taken"):
        processes.wait_until(lambda: False, seconds=5, pid_file=pid, what="the carrier")


def test_stubborn_program_is_stopped(tmp_path: Path) -> None:
    pid = tmp_path / "part" / "pid"
    processes.start(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], pid)
    assert processes.running(pid) is not None
    assert processes.stop(pid, grace_s=0.2) is True
    assert not pid.exists()


def test_every_template_is_filled_in_for_the_lab(tmp_path: Path) -> None:
    written = templates.fill_folder(_TEMPLATES, tmp_path / "etc", servers.dialer_values(Layout(tmp_path, 7900)))
    assert {path.name for path in written} >= {"manager.conf", "extensions.conf", "amd.conf", "pjsip.conf"}
    for path in written:
        assert not templates.placeholders(path.read_text())
        assert path.stat().st_mode & 0o077 == 0, "it may hold a secret"


def test_value_cannot_smuggle_a_line_into_the_configuration() -> None:
    with pytest.raises(LabError, match="control character"):
        templates.fill("secret = @SECRET@", {"SECRET": "x\nwrite = all"}, name="manager.conf")
