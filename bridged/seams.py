"""Crash seams: places named after what recovery must guarantee, where a test may kill the process for real.

`BRIDGED_CRASH=name:count` kills it with SIGKILL at the count-th passing; nobody sets that in production.
"""

import os
import signal

SEAMS = {
    # keys and tables, as the bridge is born or upgraded
    "secret.written": "the root secret is on disk, but not in its place: nothing was sealed with it, another is made",
    "secret.placed": "the root secret is in its place, for good: it is never made again",
    "store.migrating": "new tables in an open transaction: none of it happened, all of it is done again",
    "store.migrated": "the tables are there: the next start goes on from them",
    "key.made": "a key was made and sealed, but not kept: nobody has seen it, another is made",
    "key.kept": "a key is kept: nobody ever sees another",
    "ghost.minting": "a ghost and the telling of its profile in an open transaction: made again, under the same id",
    "ghost.minted": "there is a ghost: it is never minted again, and its profile is on its way",
    # station 1
    "inbox.storing": "in an open transaction: nobody was thanked, the sender sends it again",
    "inbox.received": "stored, not acknowledged: the sender may send it again, it is still one",
    "cursor.moved": "stored with how far its source was read: nothing before that is missing, or taken twice",
    "cursor.alone": "how far a quiet source was read: nothing that came meanwhile is missing",
    # station 2
    "blob.placed": "a file is there, no row names it: it is swept, and fetched again when asked for",
    "blob.kept": "file and row are there: it is never fetched again",
    "bridge.prepared": "accounts and parents fetched, nothing decided on disk: it is done again",
    "bridge.deciding": "copies, deliveries and ledger in an open transaction: all of it, or nothing and done again",
    "bridge.committed": "copies and deliveries stored: they are sent without the envelope being read again",
    "bridge.postponed": "not to be had just now: it is taken again when it is due",
    "bridge.dead": "set aside for good: it is never taken again, and nobody waits for it",
    "bridge.worked": "work of our own is done, not marked: done again, nobody is told twice",
    # station 3
    "outbox.claimed": "chosen for delivery, not sent: it is sent",
    "outbox.applying": "an effect of our own and its mark in one open transaction: it happens once",
    "outbox.applied": "an effect of our own is there: it is never applied again",
    "outbox.delivered": "sent, not marked: the same bytes are sent again, under the same id",
    "outbox.marked": "done: it is never sent again",
    "outbox.postponed": "refused for now: the lane waits, and sends the same bytes when it is due",
    "outbox.dead": "refused for good: never sent again, the lane goes on with the next",
    "outbox.passed": "nothing was sent from this lane just now: its head is as it was",
}
_name, _left = "", 0


def arm(text: str) -> None:
    """Chooses the seam to die at: "name:count", or "" for none. Raises ValueError for a name that is no seam."""
    global _name, _left
    _name, _, count = text.partition(":")
    if _name and _name not in SEAMS:
        raise ValueError(f"BRIDGED_CRASH: no seam is called {_name}")
    _left = int(count or 1)


def seam(name: str) -> None:
    """Dies here if this is the seam chosen and its turn has come."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("BRIDGED_CRASH", ""))
