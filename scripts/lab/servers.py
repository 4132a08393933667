"""Writes the configuration of the lab's two Asterisks and its carrier, and starts and stops them."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from . import plan, processes, templates
from .install import Programs, Say, exclusive, install
from .layout import HOST, MAX_PHONES, PROJECT, WEB_PHONES, LabError, Layout
from .scenario import scenario

#: The three programs of a lab, in the order in which they start.
PARTS: Final = ("dialer", "carrier", "voice")
TRUNKS: Final = ("carrier", "voice", "dead")
_BOOT_S: Final = 30.0
#: Configuration files that Asterisk asks for and is content to find empty.
_EMPTY: Final = (
    "acl",
    "ccss",
    "cdr",
    "cel",
    "features",
    "musiconhold",
    "pjproject",
    "udptl",
    "cli",
    "indications",
    "http",
)
_INDICATIONS: Final = """[general]
country = us
[us]
description = United States
ringcadence = 2000,4000
dial = 350+440
busy = 480+620/500,0/500
ring = 440+480/2000,0/4000
congestion = 480+620/250,0/250
"""
_SILENCES_MS: Final = (300, 1000)


def phone_names(count: int) -> list[str]:
    if not 1 <= count <= MAX_PHONES:
        raise LabError(f"the lab has 1 to {MAX_PHONES} phones, not {count}")
    return [f"agent{index:02d}" for index in range(1, count + 1)]


def secret(layout: Layout) -> str:
    """The lab's AMI secret (of phones too), made at the first start."""
    if not layout.secret_file.is_file():
        templates.write(layout.secret_file, secrets.token_urlsafe(24))
    return layout.secret_file.read_text().strip()


def dialer_values(layout: Layout) -> dict[str, str]:
    """What the templates of config/asterisk are filled in with here."""
    return {
        "AMI_BIND": HOST,
        "AMI_PORT": str(layout.ami_port),
        "AMI_SECRET": secret(layout),
        "AMI_PERMIT": "127.0.0.1/255.255.255.255",
        "SIP_USER_AGENT": "cadencia",
        "SIP_BIND": HOST,
        "SIP_PORT": str(layout.sip_port),
        "RTP_START": str(layout.rtp_start),
        "RTP_END": str(layout.rtp_start + 3999),
    }


def web_values(layout: Layout, certificate: tuple[Path, Path] | None = None) -> dict[str, str]:
    """What the templates of config/asterisk/webrtc are filled in with here: in clear, for browsers on this machine.

    Args:
        layout: of the lab.
        certificate: and its key, where there is TLS as well.
    """
    return {
        "WEB_CLEAR": "yes",
        "WEB_CLEAR_PORT": str(layout.web_port),
        "WEB_TLS": "yes" if certificate else "no",
        "WEB_TLS_BIND": HOST,
        "WEB_TLS_PORT": str(layout.web_tls_port),
        "WEB_TLS_CERTIFICATE": str(certificate[0]) if certificate else "",
        "WEB_TLS_KEY": str(certificate[1]) if certificate else "",
    }


def configure_dialer(layout: Layout, programs: Programs, phones: list[str]) -> None:
    """config/asterisk as it is, with the lab's values."""
    source = PROJECT / "config" / "asterisk"
    folder = _fresh(layout.run / "dialer" / "etc")
    templates.fill_folder(source, folder, dialer_values(layout))
    templates.fill_folder(source / "webrtc", folder, web_values(layout))
    trunk, phone = (source / "pjsip_trunk.conf").read_text(), (source / "pjsip_phone.conf").read_text()
    ports = {"carrier": layout.carrier_port, "voice": layout.voice_port, "dead": layout.dead_port}
    for name in TRUNKS:
        values = {
            "TRUNK_NAME": name,
            "TRUNK_HOST": HOST,
            "TRUNK_PORT": str(ports[name]),
            "TRUNK_QUALIFY_S": "0",
            # the carrier sends the numbers with audio on to the second Asterisk
            "TRUNK_REDIRECT": "uri_pjsip",
        }
        templates.write(folder / "cadencia" / "trunks" / f"{name}.conf", templates.fill(trunk, values, name=name))
    for name in phones:
        values = {"PHONE_NAME": name, "PHONE_SECRET": secret(layout), "PHONE_QUALIFY_S": "0"}
        templates.write(folder / "cadencia" / "phones" / f"{name}.conf", templates.fill(phone, values, name=name))
    web_phone = (source / "webrtc" / "pjsip_webphone.conf").read_text()
    for name in WEB_PHONES:
        filled = templates.fill(web_phone, {"PHONE_NAME": name}, name=name)
        templates.write(folder / "cadencia" / "webphones" / f"{name}.conf", filled)
    _own_files(layout.run / "dialer", programs, "dialer")


def serve_web_tls(layout: Layout, programs: Programs, certificate: Path, key: Path) -> None:
    """Lets browsers' phones come to the running dialer's Asterisk over TLS too; those in clear notice nothing."""
    template = (PROJECT / "config" / "asterisk" / "webrtc" / "http.conf").read_text()
    with exclusive(layout.directory / f"run-{layout.port_base}.lock"):
        filled = templates.fill(template, web_values(layout, (certificate, key)), name="http.conf")
        templates.write(layout.run / "dialer" / "etc" / "http.conf", filled)
        cli(layout, programs, "dialer", "module reload http")
        processes.wait_until(
            lambda: f"{HOST}:{layout.web_tls_port}" in cli(layout, programs, "dialer", "http show status"),
            seconds=_BOOT_S,
            pid_file=pid_file(layout, "dialer"),
            what="HTTPS of the dialer's Asterisk",
        )


def configure_voice(layout: Layout, programs: Programs, phones: list[str]) -> None:
    source = Path(__file__).with_name("voice")
    folder = _fresh(layout.run / "voice" / "etc")
    sounds = layout.run / "voice" / "sounds"
    values = {
        "HOST": HOST,
        "AMI_PORT": str(layout.voice_ami_port),
        "AMI_SECRET": secret(layout),
        "SIP_PORT": str(layout.voice_port),
        "DIALER_PORT": str(layout.sip_port),
        "PHONE_SECRET": secret(layout),
        "RTP_START": str(layout.rtp_start + 4000),
        "RTP_END": str(layout.rtp_start + 5899),
        "TALK": "-".join(f"{seconds:g}" for seconds in plan.TALK_S),
        "RING_S": f"{plan.AUDIO_RING_S:g}",
        "SOUNDS": str(sounds),
    }
    for template in sorted(source.glob("*.conf")):
        text = template.read_text()
        if template.name == "phone.conf":
            for name in phones:
                filled = templates.fill(text, {**values, "PHONE_NAME": name}, name=template.name)
                templates.write(folder / "phones" / f"{name}.conf", filled)
        else:
            templates.write(folder / template.name, templates.fill(text, values, name=template.name))
    sounds.mkdir(parents=True, exist_ok=True)
    for milliseconds in _SILENCES_MS:
        # G.711 mu-law: 8 bytes a millisecond, 0xFF is silence
        (sounds / f"silence-{milliseconds}.ulaw").write_bytes(b"\xff" * (8 * milliseconds))
    _own_files(layout.run / "voice", programs, "voice")


def _fresh(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _own_files(run: Path, programs: Programs, name: str) -> None:
    for sub in ("lib", "spool/monitor", "spool/outgoing", "spool/tmp", "log", "agi", "keys"):
        (run / sub).mkdir(parents=True, exist_ok=True)
    for stale in ("asterisk.ctl", "asterisk.pid"):
        (run / stale).unlink(missing_ok=True)
    for empty in _EMPTY:
        (run / "etc" / f"{empty}.conf").touch()
    (run / "etc" / "indications.conf").write_text(_INDICATIONS)
    (run / "asterisk.conf").write_text(
        f"""[directories]
astetcdir => {run}/etc
astmoddir => {programs.modules}
astvarlibdir => {run}/lib
astdbdir => {run}/lib
astkeydir => {run}/keys
astdatadir => {programs.data}
astagidir => {run}/agi
astspooldir => {run}/spool
astrundir => {run}
astlogdir => {run}/log

[options]
systemname = {name}
documentation_language = en_US
highpriority = no
maxfiles = 16384
"""
    )


def pid_file(layout: Layout, part: str) -> Path:
    return layout.run / part / "pid"


def cli(layout: Layout, programs: Programs, part: str, command: str) -> str:
    """What `asterisk -rx` prints; empty where it cannot be reached."""
    done = subprocess.run(
        programs.asterisk(layout.run / part / "asterisk.conf", "-rx", command),
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    return done.stdout if done.returncode == 0 else ""


def registered(layout: Layout, programs: Programs) -> int:
    return cli(layout, programs, "dialer", "pjsip show contacts").count("/sip:agent")


def up(layout: Layout, phone_count: int, say: Say) -> Programs:
    """Installs what is missing and starts what does not run; LabError says what is in the way."""
    phones = phone_names(phone_count)
    programs = install(layout, say)
    with exclusive(layout.directory / f"run-{layout.port_base}.lock"):
        had = phones_configured(layout)
        alive = {part: processes.running(pid_file(layout, part)) is not None for part in PARTS}
        if alive["dialer"] and alive["voice"] and len(phones) > had:
            raise LabError(
                f"this lab runs with {had} phones; stop it (scripts/asterisk-lab down) "
                f"and start it with --phones {phone_count}"
            )
        layout.run.mkdir(parents=True, exist_ok=True)
        starters: dict[str, Callable[[], None]] = {
            "dialer": lambda: _start_dialer(layout, programs, phones, say),
            "carrier": lambda: _start_carrier(layout, programs, say),
            "voice": lambda: _start_voice(layout, programs, phones, say),
        }
        for part in PARTS:
            if not alive[part]:
                starters[part]()
        if alive["voice"] and not alive["dialer"]:
            # a dialer that was killed may have forgotten phones, who do not know it
            cli(layout, programs, "voice", "pjsip send register *all")
        count = phones_configured(layout)
        processes.wait_until(
            lambda: registered(layout, programs) >= count,
            seconds=_BOOT_S,
            pid_file=pid_file(layout, "voice"),
            what=f"the registration of {count} phones",
        )
        say(f"{count} phones are registered")
    return programs


def phones_configured(layout: Layout) -> int:
    return len(list((layout.run / "dialer" / "etc" / "cadencia" / "phones").glob("*.conf")))


def _start_dialer(layout: Layout, programs: Programs, phones: list[str], say: Say) -> None:
    configure_dialer(layout, programs, phones)
    _start_asterisk(layout, programs, "dialer")
    say(f"the dialer's Asterisk is up: AMI on {HOST}:{layout.ami_port}")


def _start_voice(layout: Layout, programs: Programs, phones: list[str], say: Say) -> None:
    configure_voice(layout, programs, phones)
    _start_asterisk(layout, programs, "voice")
    say(f"the second Asterisk (audio, phones) is up: SIP on {HOST}:{layout.voice_port}")


def _start_asterisk(layout: Layout, programs: Programs, part: str) -> None:
    pid = pid_file(layout, part)
    # -f: in the foreground, so the pid is the server's
    processes.start(programs.asterisk(layout.run / part / "asterisk.conf", "-f", "-q"), pid)

    def booted() -> bool:
        return "fully booted" in cli(layout, programs, part, "core waitfullybooted")

    processes.wait_until(booted, seconds=_BOOT_S, pid_file=pid, what=f"the Asterisk `{part}`")
    messages = (layout.run / part / "log" / "messages").read_text(errors="replace")
    declined = [
        line.partition("loader.c: ")[2] for line in messages.splitlines() if " ERROR[" in line and "loader.c" in line
    ]
    if declined:
        processes.stop(pid, grace_s=5.0)
        raise LabError(f"the Asterisk `{part}` started without all of its modules: {'; '.join(declined)}")


def _start_carrier(layout: Layout, programs: Programs, say: Say) -> None:
    folder = layout.run / "carrier"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.xml").write_text(scenario(voice_host=HOST, voice_port=layout.voice_port))
    command = programs.sipp(
        *("-sf", str(folder / "scenario.xml"), "-i", HOST, "-mi", HOST, "-p", str(layout.carrier_port)),
        *("-mp", str(layout.rtp_start + 5900), "-l", "5000", "-deadcall_wait", "500", "-nostdin"),
        *("-trace_err", "-error_file", "errors.log", "-error_overwrite", "true"),
        *("-trace_logs", "-log_file", "calls.log", "-log_overwrite", "false"),
    )
    pid = pid_file(layout, "carrier")
    processes.start(command, pid)
    # SIPp says nothing when it is ready; a taken port or a bad scenario ends it within this time
    listening_since = time.monotonic()

    def listening() -> bool:
        return _listens(layout.carrier_port) and time.monotonic() - listening_since > 0.1

    processes.wait_until(listening, seconds=10, pid_file=pid, what="SIPp")
    say(f"the carrier is up: SIP on {HOST}:{layout.carrier_port}")


def _listens(port: int) -> bool:
    """Whether anything has this UDP port on the loopback address."""
    wanted = f"0100007F:{port:04X}"
    return any(line.split()[1] == wanted for line in Path("/proc/net/udp").read_text().splitlines()[1:])


def down(layout: Layout, say: Say) -> None:
    """Stops the lab and removes its run folder; the installed programs stay."""
    with exclusive(layout.directory / f"run-{layout.port_base}.lock"):
        for part in reversed(PARTS):
            # SIPp waits for its calls on the first TERM
            if processes.stop(pid_file(layout, part), grace_s=0.5 if part == "carrier" else 5.0):
                say(f"{part} stopped")
        if layout.run.exists():
            shutil.rmtree(layout.run)


def status(layout: Layout) -> dict[str, Any]:
    """What runs and what is missing."""
    programs = Programs(layout.root)
    installed = programs.complete()
    parts = {part: processes.running(pid_file(layout, part)) for part in PARTS}
    ready = registered(layout, programs) if installed and parts["dialer"] else 0
    return {
        "installed": installed,
        "running": all(parts.values()),
        "parts": parts,
        "phones_registered": ready,
    }


def describe(layout: Layout) -> dict[str, Any]:
    """Everything that a program needs to use this lab."""
    return {
        **status(layout),
        "dir": str(layout.directory),
        "run_dir": str(layout.run),
        "host": HOST,
        "port_base": layout.port_base,
        "ami": {"host": HOST, "port": layout.ami_port, "user": "cadencia", "secret_file": str(layout.secret_file)},
        "trunks": {
            "carrier": {
                "dial": "PJSIP/{number}@carrier",
                "port": layout.carrier_port,
                "about": "all numbers of the plan",
            },
            "voice": {"dial": "PJSIP/{number}@voice", "port": layout.voice_port, "about": "only numbers of kind audio"},
            "dead": {"dial": "PJSIP/{number}@dead", "port": layout.dead_port, "about": "nobody listens"},
        },
        "phones": [f"PJSIP/{name}" for name in phone_names(max(1, phones_configured(layout)))],
        "contexts": [
            "cadencia-agent",
            "cadencia-wait",
            "cadencia-amd",
            "cadencia-connect",
            "cadencia-message",
            "cadencia-goodbye",
            "cadencia-monitor",
        ],
        "voice_ami": {
            "host": HOST,
            "port": layout.voice_ami_port,
            "user": "phones",
            "secret_file": str(layout.secret_file),
        },
        "logs": {
            "dialer": str(layout.run / "dialer" / "log" / "messages"),
            "voice": str(layout.run / "voice" / "log" / "messages"),
            "carrier_errors": str(layout.run / "carrier" / "errors.log"),
            "carrier_calls": str(layout.carrier_log),
            "voice_calls": str(layout.voice_log),
        },
        "number_plan": plan.as_json(),
    }
