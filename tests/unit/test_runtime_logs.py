"""No phone number reaches a log in full."""

from __future__ import annotations

from dialer.runtime.logs import mask_phones


def test_numbers_are_masked_wherever_they_stand_in_a_text() -> None:
    event = {"event": "call to +34600111222 failed", "phone": "+34600111222", "n": 5}
    assert mask_phones(None, "info", event) == {"event": "call to +34…22 failed", "phone": "+34…22", "n": 5}
