"""Any chunking gives the same messages; garbage gives RemoteProtocolError and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.ami.actions import encode
from dialer.ami.connection import AmiConnection
from dialer.ami.events import Closed
from dialer.ami.framing import Decoder
from dialer.ami.messages import Message
from dialer.errors import LocalProtocolError, RemoteProtocolError

TRANSCRIPTS = sorted((Path(__file__).parent.parent / "data" / "ami").glob("*.rx.txt"))
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
PIECES = [
    b"Event: X\r\nA: 1\r\n\r\n",
    b"Response: Success\r\nActionID: 7\r\n\r\n",
    b"Response: Follows\r\nActionID: 8\r\nraw\n\r\n\r\nraw: more\n--END COMMAND--\r\n\r\n",
    b"Response: Follows\r\n",
    b"--END COMMAND--\r\n\r\n",
    "Event: Ünï\r\nT: 東\r\n\r\n".encode(),
    b"\r\n",
    b"\r",
    b"\n",
    b":",
    b"Event",
    b": ",
    b"x" * 70,
    b"\xe6",
    b"\x00",
    BANNER,
]
STREAMS = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=12).map(b"".join),
)


def read(data: bytes, cuts: list[int], *, banner: bool) -> tuple[list[Message], bool]:
    """Messages before the first error, and whether there was one; nothing but RemoteProtocolError may be raised."""
    decoder = Decoder(expect_banner=banner, max_message_bytes=120)
    messages: list[Message] = []
    edges = [0, *sorted(cuts), len(data)]
    try:
        for start, end in itertools.pairwise(edges):
            messages += decoder.receive_data(data[start:end])
        decoder.receive_data(b"")
    except RemoteProtocolError:
        return messages, True
    assert decoder.buffered_bytes <= 120 + 2 + len(b"--END COMMAND--\r\n\r\n")
    return messages, False


@given(data=STREAMS, banner=st.booleans(), cuts=st.lists(st.integers(0, 300), max_size=20))
@settings(max_examples=150, deadline=None)
def test_chunks_do_not_matter_and_nothing_else_is_raised(data: bytes, banner: bool, cuts: list[int]) -> None:
    stream = BANNER + data if banner else data
    cuts = [cut for cut in cuts if cut <= len(stream)]
    whole = read(stream, [], banner=banner)
    assert whole == read(stream, cuts, banner=banner)
    assert whole == read(stream, list(range(1, len(stream))), banner=banner)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name.removesuffix(".rx.txt"))
def test_transcripts_in_any_chunks(path: Path) -> None:
    data = path.read_bytes()
    decoder = Decoder()
    whole = decoder.receive_data(data)
    for size in (1, 2, 3, 7, 1000) if len(data) < 6000 else (997,):
        decoder = Decoder()
        pieces = [m for i in range(0, len(data), size) for m in decoder.receive_data(data[i : i + size])]
        assert whole == pieces
        assert decoder.error is None


@given(data=st.lists(STREAMS, max_size=5), banner=st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_connection_survives_any_bytes(data: list[bytes], banner: bool) -> None:
    connection = AmiConnection(username="u", secret="s", now=0.0)
    events = connection.receive_data(BANNER if banner else b"", 0.0)
    now = 0.0
    for chunk in data:
        now += 1.0
        events += connection.receive_data(chunk, now)
        events += connection.handle_timer(now)
    events += connection.receive_eof()
    assert sum(isinstance(event, Closed) for event in events) == 1
    assert isinstance(events[-1], Closed)


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["Event", "Action", "Variable", "X-y", "ChanVariable(P/1)"]), st.text(max_size=12)),
        min_size=1,
        max_size=6,
    )
)
def test_what_encode_writes_the_decoder_reads(pairs: list[tuple[str, str]]) -> None:
    try:
        data = encode(pairs)
    except LocalProtocolError:
        assert any(c in value for _, value in pairs for c in "\r\n\x00") or any(
            0xD800 <= ord(c) < 0xE000 for _, value in pairs for c in value
        )
        return
    messages = Decoder(expect_banner=False).receive_data(data) if pairs[0][0] != "ChanVariable(P/1)" else []
    if messages:
        assert [tuple(pairs)] == [message.pairs for message in messages]
