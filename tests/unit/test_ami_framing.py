"""Framing: banners, limits, raw command output, things that are not AMI."""

from __future__ import annotations

import pytest

from dialer.ami.actions import encode
from dialer.ami.framing import MAX_MESSAGE_BYTES, Decoder
from dialer.errors import RemoteProtocolError

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
EVENT = b"Event: Hangup\r\nCause: 16\r\n\r\n"
RAW = (
    b"Response: Follows\r\nPrivilege: Command\r\nActionID: cmd-1\r\nName: value\nsecond\r\n\r\n\nlast: one\n"
    b"--END COMMAND--\r\n\r\n"
)


def test_banner_gives_the_version_and_then_messages() -> None:
    decoder = Decoder()
    assert decoder.version is None
    (message,) = decoder.receive_data(BANNER + EVENT)
    assert decoder.version == (11, 0, 0)
    assert message.event == "Hangup"


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert: TLS is spoken there
        b"\x00",
        b"\r\n",
        b"Asterisk Call Manager\r\n",
        b"Asterisk Call Manager/x.y\r\n",
        b"Asterisk Call Manager/" + b"1" * 300,
        b"Asterisk Call Managed",
    ],
)
def test_another_protocol_is_recognised_from_its_first_line(start: bytes) -> None:
    decoder = Decoder()
    with pytest.raises(RemoteProtocolError, match="not an Asterisk manager interface"):
        decoder.receive_data(start)
    with pytest.raises(RemoteProtocolError):
        decoder.receive_data(BANNER)
    assert decoder.buffered_bytes == 0


@pytest.mark.parametrize(
    "garbage", [b"no colon here\r\n\r\n", b"\x00\x01\x02", b"{json}", b": empty name\r\n\r\n", b"x" * 80]
)
def test_garbage_after_good_messages_loses_none_of_them(garbage: bytes) -> None:
    decoder = Decoder(expect_banner=False)
    messages = decoder.receive_data(EVENT + EVENT + garbage)
    assert len(messages) == 2
    assert isinstance(decoder.error, RemoteProtocolError)
    with pytest.raises(RemoteProtocolError, match="not a message"):
        decoder.receive_data(b"")


def test_blank_lines_between_messages_mean_nothing() -> None:
    decoder = Decoder(expect_banner=False)
    assert (
        len(decoder.receive_data(b"\r\n\r\n\r\n" + EVENT + b"\r\n" + EVENT + b"\r\n\r\n\r\n\r\n" + EVENT + b"\r\n"))
        == 3
    )
    assert decoder.error is None


def test_raw_command_output_with_blank_lines_in_it() -> None:
    decoder = Decoder(expect_banner=False)
    before, raw, after = decoder.receive_data(EVENT + RAW + EVENT)
    assert "Hangup" == before.event == after.event
    assert raw.output == ("Name: value", "second", "", "", "last: one")
    assert raw.action_id == "cmd-1"
    assert raw.response == "Follows"


def test_raw_command_output_is_waited_for_to_its_end() -> None:
    decoder = Decoder(expect_banner=False)
    assert decoder.receive_data(RAW[:-2]) == []
    assert len(RAW) - 2 == decoder.buffered_bytes
    assert len(decoder.receive_data(RAW[-2:])) == 1


def test_a_line_of_ten_megabytes_is_refused_and_forgotten() -> None:
    decoder = Decoder(expect_banner=False)
    held: list[int] = []

    def pour() -> None:
        decoder.receive_data(b"Event: X\r\nText: ")
        for _ in range(160):
            decoder.receive_data(b"a" * 65_536)
            held.append(decoder.buffered_bytes)

    with pytest.raises(RemoteProtocolError, match="longer than"):
        pour()
    assert len(held) > 10
    assert max(held) <= MAX_MESSAGE_BYTES + 65_536
    assert decoder.buffered_bytes == 0


def test_ten_megabytes_in_one_piece_are_refused_too() -> None:
    decoder = Decoder(expect_banner=False)
    messages = decoder.receive_data(EVENT + b"Event: X\r\nText: " + b"a" * 10_000_000 + b"\r\n\r\n" + EVENT)
    assert len(messages) == 1
    with pytest.raises(RemoteProtocolError, match="longer than"):
        decoder.receive_data(b"")


def test_ten_megabytes_of_small_messages_are_fine() -> None:
    decoder = Decoder(expect_banner=False)
    count = 10_000_000 // len(EVENT)
    assert count == len(decoder.receive_data(EVENT * count))


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("lead", [b"", b"\r\n"])
@pytest.mark.parametrize("whole", [True, False])
def test_the_limit_is_exact_whatever_the_chunks(over: int, lead: bytes, whole: bool) -> None:
    decoder = Decoder(expect_banner=False, max_message_bytes=64)
    body = b"Event: X\r\nText: "
    data = lead + body + b"a" * (64 - len(body) + over) + b"\r\n\r\n"
    pieces = [data] if whole else [data[i : i + 1] for i in range(len(data))]
    if over:
        with pytest.raises(RemoteProtocolError, match="longer than 64 bytes"):
            read(decoder, pieces)
    else:
        assert read(decoder, pieces) == 1


def read(decoder: Decoder, pieces: list[bytes]) -> int:
    return sum(len(decoder.receive_data(piece)) for piece in pieces)


def test_a_character_cut_in_two_by_a_chunk_survives_and_bytes_that_are_none_are_marked() -> None:
    data = "Event: X\r\nName: Zoë 東京\r\n\r\n".encode() + b"Event: Y\r\nName: \xff\xe6\x9d\r\n\r\n"
    for cut in range(len(data)):
        decoder = Decoder(expect_banner=False)
        first, second = decoder.receive_data(data[:cut]) + decoder.receive_data(data[cut:])
        assert first.get("Name") == "Zoë 東京"
        assert second.get("Name") == "\ufffd\ufffd"


def test_both_directions_use_the_same_framing() -> None:
    pairs = (("Action", "Originate"), ("ActionID", "c-1"), ("Variable", "A=1"), ("Variable", "B=2"))
    (message,) = Decoder(expect_banner=False).receive_data(encode(pairs))
    assert pairs == message.pairs
    assert message.action == "Originate"
