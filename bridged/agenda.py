"""What is to be done later: ordered inside a transaction, as an envelope to ourselves, so that it survives a crash.

expire    a post has reached its end: its copies are deleted
count     the votes of a poll are counted, and told where it stands
close     as count, once the poll has ended
answers   what answers a post is brought to where the post was brought
recent    what an account said lately is heard
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from bridged.adapter import Envelope
from bridged.model import HOME, Ref
from bridged.store import inboxes
from bridged.store.engine import Tx

CHANNEL = "agenda"
LISTENS = 0.5
"""Seconds by which every process listens for somebody whom it is to hear from now on."""
Task = Literal["expire", "count", "close", "answers", "recent"]


@dataclass(frozen=True)
class Entry:
    do: Task
    about: Ref


def order(tx: Tx, do: Task, about: Ref, now: float, due_at: float = 0.0) -> None:
    """Puts an entry into the inbox; one that waits for the same time already will do."""
    name = Ref.made(HOME, do, f"{due_at:.0f}", str(about)).id
    body = msgspec.json.encode(Entry(do, about))
    if do == "recent":
        # what is pushed to a process that does not listen yet is dropped there, and to be found then
        due_at = max(due_at, now + LISTENS)
    inboxes.add(tx, Envelope(HOME, name, body, CHANNEL, Ref.made(HOME, str(about)), now), due_at=due_at)


def entry_of(envelope: Envelope) -> Entry:
    return msgspec.json.decode(envelope.body, type=Entry)
