"""Writes the SIPp scenario that plays the carrier and all its callees, from the number plan.

SIPp's language has no functions and no arithmetic on times, so the plan's tables are unrolled into labels here. Waiting
is done by a mandatory ``recv`` with a time-out: SIPp does not allow a pause behind an optional ``recv``, and a caller
must be able to give up (CANCEL) or hang up (BYE) at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from .plan import CONGESTION_SIP, INVALID_SIP, KINDS, RING_S, TALK_S, UNAVAILABLE_SIP, Kind

_REASONS = {
    404: "Not Found",
    408: "Request Timeout",
    410: "Gone",
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    486: "Busy Here",
    500: "Server Internal Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    603: "Decline",
    604: "Does Not Exist Anywhere",
}
_SDP = """v=0
o=carrier 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 8
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=ptime:20
"""


def _reply(
    status: str, *, body: str = "", contact: str = "", cseq: str = "[last_CSeq:]", tag: bool = True, **attributes: str
) -> str:
    marks = "".join(f' {name}="{value}"' for name, value in attributes.items())
    lines = [
        f"SIP/2.0 {status}",
        "[last_Via:]",
        "[last_From:]",
        "[last_To:];tag=callee[call_number]" if tag else "[last_To:]",
        "[last_Call-ID:]",
        cseq,
        f"Contact: <{contact or 'sip:callee@[local_ip]:[local_port];transport=[transport]'}>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {'[len]' if body else '0'}",
    ]
    return f"<send{marks}><![CDATA[\n\n" + "\n".join(lines) + f"\n\n{body}\n]]></send>"


def _bye() -> str:
    """The callee's own BYE: From and To of the INVITE change places, so they were kept."""
    return """<send retrans="500"><![CDATA[

BYE [$target] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: [$callee]
To: [$caller]
Call-ID: [call_id]
CSeq: 1 BYE
Max-Forwards: 70
Reason: Q.850;cause=16;text="Normal Clearing"
Content-Length: 0

]]></send>
<recv response="200" next="end" />"""


def _nop(action: str) -> str:
    return f"<nop><action>{action}</action></nop>"


def _log(did: str) -> str:
    return _nop(f'<log message="[timestamp] [$number] {did}" />')


def _label(name: str) -> str:
    return f'<label id="{name}" />'


def _jump(target: str, test: str = "") -> str:
    condition = f' test="{test}"' if test else ""
    return f'<nop next="{target}"{condition} />'


def _wait(request: str, seconds: float, *, on_request: str, then: str) -> str:
    return f'<recv request="{request}" timeout="{seconds * 1000:.0f}" ontimeout="{then}" next="{on_request}" />'


def _switch(digit: str, targets: Sequence[str]) -> list[str]:
    """Goes on at the label that belongs to the value of a digit."""
    matches = "".join(
        f'<ereg regexp="{value}" search_in="var" variable="{digit}" assign_to="{digit}_{value}" />'
        for value in range(len(targets))
    )
    return [
        _nop(matches),
        *(_jump(to, f"{digit}_{value}") for value, to in enumerate(targets)),
    ]


def _refuse(sip: int) -> list[str]:
    return [
        _label(f"refuse_{sip}"),
        _log(f"refused_{sip}"),
        _reply(f"{sip} {_REASONS[sip]}", retrans="500"),
        '<recv request="ACK" next="end" />',
    ]


def _ring(name: str, then: str) -> list[str]:
    """180 Ringing for the time of digit R, then `then`; each use needs labels of its own."""
    parts = [_label(name), _reply("180 Ringing"), *_switch("r", [f"{name}_{index}" for index in range(len(RING_S))])]
    for index, seconds in enumerate(RING_S):
        parts.append(_label(f"{name}_{index}"))
        parts.append(_wait("CANCEL", seconds, on_request="cancelled", then=then) if seconds else _jump(then))
    return parts


def scenario(*, voice_host: str, voice_port: int) -> str:
    """The whole scenario; numbers with audio are sent on (302) to the Asterisk at `voice_host:voice_port`."""
    kind = {name: f"k_{name}" for name in KINDS}
    parts = [
        """<recv request="INVITE"><action>
<ereg regexp="sip:([0-9]*([0-9])([0-9])([0-9])[0-9]{5})@" search_in="msg" assign_to="uri,number,k,r,t" />
<ereg regexp="&lt;(sip:[^&gt;]*)&gt;" search_in="hdr" header="Contact:" assign_to="contact,target" />
<ereg regexp="[^ ].*" search_in="hdr" header="From:" assign_to="caller" />
<ereg regexp="[^ ].*" search_in="hdr" header="To:" assign_to="to" />
<assignstr assign_to="callee" value="[$to];tag=callee[call_number]" />
</action></recv>""",
        # not a word, not even 100 Trying
        _nop(f'<ereg regexp="{KINDS.index(Kind.SILENT)}" search_in="var" variable="k" assign_to="mute" />'),
        _jump(kind[Kind.SILENT], "mute"),
        _log("invited"),
        _reply("100 Trying", tag=False),
        *_switch("k", [kind[name] for name in KINDS]),
        _jump("refuse_404"),
        # ---- refusals
        *_ring(kind[Kind.BUSY], "refuse_486"),
        *_ring(kind[Kind.DECLINE], "refuse_603"),
        _label(kind[Kind.INVALID]),
        *_switch("r", [f"refuse_{sip}" for sip in INVALID_SIP]),
        _label(kind[Kind.CONGESTION]),
        *_switch("r", [f"refuse_{sip}" for sip in CONGESTION_SIP]),
        _label(kind[Kind.UNAVAILABLE]),
        *_switch("r", [f"refuse_{sip}" for sip in UNAVAILABLE_SIP]),
        *(line for sip in _REASONS for line in _refuse(sip)),
        # ---- sent on to the Asterisk that has audio
        _label(kind[Kind.AUDIO]),
        _log("forwarded"),
        _reply("302 Moved Temporarily", contact=f"sip:[$number]@{voice_host}:{voice_port}", retrans="500"),
        '<recv request="ACK" next="end" />',
        # ---- ringing for ever
        _label(kind[Kind.RINGS_ON]),
        _reply("180 Ringing"),
        '<recv request="CANCEL" next="cancelled" />',
        # ---- never a word: sits the INVITE's retransmissions out
        _label(kind[Kind.SILENT]),
        _log("ignored"),
        _wait("CANCEL", 40, on_request="end", then="end"),
        # ---- answering
        _label(kind[Kind.EARLY_MEDIA]),
        _reply("183 Session Progress", body=_SDP),
        *_switch("r", [f"early_{index}" for index in range(len(RING_S))]),
    ]
    for index, seconds in enumerate(RING_S):
        parts.append(_label(f"early_{index}"))
        parts.append(_wait("CANCEL", seconds, on_request="cancelled", then="answer") if seconds else _jump("answer"))
    parts += _ring(kind[Kind.ANSWER], "answer")
    parts += [
        _label("answer"),
        _log("answered"),
        _reply("200 OK", body=_SDP, retrans="500"),
        '<recv request="ACK" />',
        *_switch("t", [f"talk_{index}" for index in range(len(TALK_S))]),
    ]
    for index, seconds in enumerate(TALK_S):
        parts.append(_label(f"talk_{index}"))
        parts.append(
            _wait("BYE", seconds, on_request="caller_left", then="callee_leaves")
            if seconds
            else '<recv request="BYE" next="caller_left" />'
        )
    parts += [
        _label("callee_leaves"),
        _log("callee_hung_up"),
        _bye(),
        _label("caller_left"),
        _log("caller_hung_up"),
        _reply("200 OK", tag=False, next="end"),
        _label("cancelled"),
        _log("cancelled"),
        _reply("200 OK"),
        _reply("487 Request Terminated", cseq="CSeq: [last_cseq_number] INVITE", retrans="500"),
        '<recv request="ACK" />',
        _label("end"),
        "<nop />",
        '<Reference variables="uri,contact" />',
    ]
    body = "\n".join(parts)
    return f'<?xml version="1.0" encoding="us-ascii" ?>\n<scenario name="carrier">\n{body}\n</scenario>\n'
