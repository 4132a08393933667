"""`Message.get` finds in the text what taking the message apart finds, whatever stands in it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from dialer.ami.messages import Message

_NAMES = ("Event", "Uniqueid", "Cause-txt", "ActionID", "a", "A")
_LINES = st.lists(
    st.one_of(
        st.builds("{}{}{}".format, st.sampled_from(_NAMES), st.sampled_from([": ", ":", ":: ", ""]), st.text("ab: \n")),
        st.text("aA: \n\r", max_size=6),
    ),
    min_size=1,
    max_size=8,
)


def plainly(message: Message, name: str) -> str | None:
    """The first value of a header, by all headers in their order; the spelling that is asked for comes first."""
    exact = [value for key, value in message.pairs if key == name]
    alike = [value for key, value in message.pairs if key.lower() == name.lower()]
    return exact[0] if exact else alike[0] if alike else None


@given(lines=_LINES, name=st.one_of(st.sampled_from(_NAMES), st.text("aA: \r\n", max_size=4)))
@example(lines=["Event: X", "Output: one", "two"], name="Output")
@example(lines=["Event: X", "Output: one", ": two"], name="Output")
@example(lines=["Event: X", "Event: Y"], name="Event")
@example(lines=["x", "a: b: c"], name="a: b")
@example(lines=["x: 1", "y: 2"], name="x: 1\r\ny")
@example(lines=["Event: ", ": "], name="")
def test_a_header_is_found_as_if_the_message_had_been_taken_apart(lines: list[str], name: str) -> None:
    text = "\r\n".join(lines)
    found = Message.from_text(text).get(name)
    taken_apart = Message.from_text(text)
    assert found == plainly(taken_apart, name)
    assert taken_apart.get(name) == found, "the same once its headers have been looked at"
