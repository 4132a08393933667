"""Which calls that were taken for machines an agent gets all the same, so that it is known how often detection errs."""

from __future__ import annotations

import hashlib
from typing import Final

from dialer.core.ids import CallId

_SCALE: Final = 2.0**-64


def in_sample(call: CallId, share: float) -> bool:
    """Whether this call is in a sample of `share` (0 to 1) of all calls.

    A digest of the call's id decides: the same answer whenever it is asked, and nothing that anybody could have known
    when the call was begun says more about one call than about another.
    """
    digest = hashlib.blake2b(call.encode(), digest_size=8, person=b"machine-sample").digest()
    return int.from_bytes(digest) * _SCALE < share
