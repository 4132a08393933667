"""What outsiders can reach of recordings: names of files, links, sealed files, ranges. Any text, any change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.ami import actions, encode_action
from dialer.api.byte_range import byte_range
from dialer.core.commands import Record
from dialer.core.ids import AgentId, CallId, RecordingId, ServerName
from dialer.core.recording import RecordingOrder, file_of, number_of, recording_id, valid_recording_id
from dialer.errors import ConfigError, InputError, LocalProtocolError
from dialer.recordings.links import Links, LinkVerdict
from dialer.recordings.sealing import CHUNK_BYTES, HEADER_BYTES, Opener, key_of, place_of_chunk, seal, sealed_bytes
from dialer.recordings.store import key_for
from dialer.switch.recordings import actions_for

KEY = b"k" * 32
RECORDING = recording_id(CallId("n1-ab12-7"), 1)
#: What people try.
HOSTILE = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["..", "../x-r1", "a/b-r1", "/etc/x-r1", "-x-r1", "x-r0", "x-r1\n", "x-r1,b,rm -rf", "x;y-r1", "x-r1.wav"]
    ),
    st.builds("{}{}-r1".format, st.text(max_size=10), st.text(max_size=10)),
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", fullmatch=True)


@given(HOSTILE)
def test_a_hostile_id_becomes_neither_a_file_nor_an_option_nor_a_key(text: str) -> None:
    command = Record(
        call=CallId("c"),
        recording=RecordingId(text),
        order=RecordingOrder.START,
        server=ServerName("pbx"),
        room=AgentId("ana"),
    )
    if valid_recording_id(text):
        # Nothing but plain characters: there is nothing to smuggle.
        assert re.fullmatch(r"cadencia/[A-Za-z0-9][A-Za-z0-9_-]*\.wav", file_of(RecordingId(text)))
        first, second = (encode_action(action, "a").decode() for action in actions_for(command, "PJSIP/x-1"))
        assert first == (
            f"Action: Setvar\r\nActionID: a\r\nChannel: PJSIP/x-1\r\nVariable: CADENCIA_RECORD\r\nValue: {text}\r\n\r\n"
        )
        assert text not in second
        return
    with pytest.raises(LocalProtocolError):
        actions_for(command, "PJSIP/x-1")
    for make in (lambda: file_of(RecordingId(text)), lambda: number_of(RecordingId(text))):
        with pytest.raises(ValueError, match="not the id"):
            make()
    with pytest.raises(ValueError, match="not the id"):
        key_for(RecordingId(text), 0.0, sealed=False)


@given(st.text(max_size=60))
def test_no_text_but_a_plain_name_is_a_file_to_record_to(text: str) -> None:
    if re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_-]*/)*[A-Za-z0-9][A-Za-z0-9_-]*\.wav", text, re.ASCII) is None:
        with pytest.raises(LocalProtocolError):
            actions.mix_monitor("PJSIP/x-1", text)


@given(NAMES, st.integers(1, 9_999))
def test_ids_of_ours_are_read_back(call: str, number: int) -> None:
    made = recording_id(CallId(call), number)
    assert valid_recording_id(made)
    assert number_of(made) == number


# ---- links


def parts(path: str) -> tuple[str, str, str, str]:
    split = urlsplit(path)
    query = parse_qs(split.query)
    return split.path.split("/")[-2], query["holder"][0], query["expires"][0], query["signature"][0]


@given(NAMES, st.floats(0, 4e9), st.floats(1, 86_400))
def test_a_link_is_good_for_its_time_and_no_longer(holder: str, now: float, good_for_s: float) -> None:
    links = Links("s" * 32, good_for_s)
    link = links.make(RECORDING, holder, now)
    assert links.judge(*parts(link.path), now=link.expires_at - 0.001) is LinkVerdict.VALID
    assert links.judge(*parts(link.path), now=link.expires_at) is LinkVerdict.EXPIRED
    assert link.expires_at <= now + good_for_s


@given(st.integers(0, 3), st.text(max_size=60))
def test_no_part_of_a_link_can_be_changed(place: int, text: str) -> None:
    links = Links("s" * 32, 60.0)
    good = parts(links.make(RECORDING, "ana", 1_000.0).path)
    a, b, c, d = changed = tuple(text if i == place else part for i, part in enumerate(good))
    verdict = links.judge(a, b, c, d, now=1_000.0)
    assert verdict is (LinkVerdict.VALID if changed == good else LinkVerdict.FORGED)
    later = str(int(good[2]) + 1)
    assert links.judge(good[0], good[1], later, good[3], now=1_000.0) is LinkVerdict.FORGED
    assert Links("t" * 32, 60.0).judge(*good, now=1_000.0) is LinkVerdict.FORGED
    assert Links("", 60.0).judge(*good, now=1_000.0) is LinkVerdict.FORGED


# ---- sealed files

SIZES = st.sampled_from([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 150_000])


def sealed(plain: bytes, pieces: int = 1) -> bytes:
    step = max(1, len(plain) // pieces)
    cut: Iterator[bytes] = (plain[i : i + step] for i in range(0, len(plain), step))
    return b"".join(seal(cut, KEY, RECORDING))


def opened(data: bytes, plain_bytes: int, name: str = RECORDING, keys: tuple[bytes, ...] = (b"x" * 32, KEY)) -> bytes:
    opener = Opener(data[:HEADER_BYTES], keys, name, plain_bytes)
    found = b""
    for number in count():
        begin, end = place_of_chunk(number, plain_bytes)
        found += opener.open(number, data[begin:end])
        if end >= sealed_bytes(plain_bytes):
            return found
    raise AssertionError


@settings(max_examples=20)
@given(SIZES, st.integers(1, 7))
def test_what_is_sealed_comes_out_as_it_was(size: int, pieces: int) -> None:
    plain = bytes(i % 251 for i in range(size))
    data = sealed(plain, pieces)
    assert len(data) == sealed_bytes(size)
    assert opened(data, size) == plain
    with pytest.raises(InputError):
        opened(data, size, name="another")
    with pytest.raises(InputError):
        opened(data, size, keys=(b"y" * 32,))
    with pytest.raises(InputError, match="not set"):
        opened(data, size, keys=())


DATA = sealed(bytes(150_000))


@settings(max_examples=40)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(place: int, flip: int) -> None:
    changed = bytearray(DATA)
    changed[place] ^= flip
    with pytest.raises(InputError):
        opened(bytes(changed), 150_000)


def test_a_file_that_is_cut_off_or_reordered_does_not_open() -> None:
    with pytest.raises(InputError):
        opened(DATA[: place_of_chunk(1, 150_000)[0]], CHUNK_BYTES)
    (a, b), (c, d) = place_of_chunk(0, 150_000), place_of_chunk(1, 150_000)
    with pytest.raises(InputError):
        opened(DATA[:a] + DATA[c:d] + DATA[a:b] + DATA[d:], 150_000)


@given(st.text(max_size=60))
def test_a_key_is_32_bytes_in_base64_and_nothing_else(text: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        key_of(text)


# ---- ranges


@given(st.integers(1, 10_000), st.integers(0, 20_000), st.one_of(st.none(), st.integers(0, 20_000)))
def test_a_range_is_within_what_there_is(total: int, first: int, last: int | None) -> None:
    found = byte_range(f"bytes={first}-{'' if last is None else last}", total)
    if last is not None and last < first:
        assert found is not None
        assert not found.partial
    elif first >= total:
        assert found is None
    else:
        assert found is not None
        assert (found.begin, found.end, found.partial) == (first, total if last is None else min(last + 1, total), True)


@given(st.integers(1, 10_000), st.integers(0, 20_000))
def test_a_range_from_the_end(total: int, length: int) -> None:
    found = byte_range(f"bytes=-{length}", total)
    assert (found is None) is (length == 0)
    assert found is None or (found.begin, found.end) == (max(0, total - length), total)


@given(st.one_of(st.none(), st.text(max_size=40), st.just("bytes=-"), st.just("bytes=0-1,4-5")))
def test_what_is_no_single_range_is_left_alone(header: str | None) -> None:
    found = byte_range(header, 100)
    assert found is None or 0 <= found.begin < found.end <= 100
