"""Crash seams: places named after what recovery must guarantee, where a test may kill the process for real.

`BRIDGED_CRASH=name:count` kills it with SIGKILL at the count-th passing; nobody sets that in production.

    inbox.received     stored, not acknowledged: the sender may send it again, it is still one
    bridge.prepared    accounts and parents fetched, nothing decided on disk: it is done again
    bridge.committed   copies and deliveries stored: they are sent without the envelope being read again
    outbox.claimed     chosen for delivery, not sent: it is sent
    outbox.delivered   sent, not marked: the same bytes are sent again, under the same id
    outbox.marked      done: it is never sent again
"""

import os
import signal

SEAMS = (
    "inbox.received",
    "bridge.prepared",
    "bridge.committed",
    "outbox.claimed",
    "outbox.delivered",
    "outbox.marked",
)
_name, _, _count = os.environ.get("BRIDGED_CRASH", "").partition(":")
_left = int(_count or 1)


def seam(name: str) -> None:
    """Dies here if this is the seam chosen and its turn has come."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
