"""The `digest` answer: who is not bridged but aims something at a bridged account is not carried over; the bot tells.

What comes within an hour is gathered in one envelope to ourselves, and told when the hour is over: how many, and
where to read the first of them.
"""

from dataclasses import dataclass, replace

import msgspec

from bridged.adapter import Envelope
from bridged.bot import can_write, write_to
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import BOT, HOME, Activity, Post, PostBody, Ref
from bridged.store import inboxes
from bridged.store.engine import Tx
from bridged.store.signals import OUTBOX
from bridged.tell import tell
from bridged.text import TextBuilder
from bridged.words import body_of

HOUR = 3600.0
SHOWN = 10
"""How many of them are named."""
CHANNEL = "digest"


@dataclass(frozen=True)
class Digest:
    """What was aimed at `account` in one hour: `lines` are (who, where to read it)."""

    account: Ref
    count: int = 0
    lines: tuple[tuple[str, str], ...] = ()


def gather(core: Core, tx: Tx, activity: Activity, target: Ref, who: str) -> None:
    """Adds one act, by `who`, to the digest of this hour for `target`."""
    hour = core.now() // HOUR
    name = f"{CHANNEL}:{hour:.0f}:{target}"
    old = inboxes.waiting(tx, HOME, name)
    digest = msgspec.json.decode(old, type=Digest) if old else Digest(target)
    body = body_of(activity)
    where = (body.url if body else "") or core.adapters[activity.ref.network].names(activity.ref)
    lines = (*digest.lines, (who, where))[:SHOWN]
    packed = msgspec.json.encode(replace(digest, count=digest.count + 1, lines=lines))
    if old:
        inboxes.amend(tx, HOME, name, packed)
    else:
        envelope = Envelope(HOME, name, packed, CHANNEL, Ref(HOME, str(target)), core.now())
        inboxes.add(tx, envelope, due_at=(hour + 1) * HOUR)


async def deliver(core: Core, ghosts: Ghosts, envelope: Envelope) -> None:
    """Tells the account, as the bot, on its own network. Raises Unreachable."""
    digest = msgspec.json.decode(envelope.body, type=Digest)
    account = await ghosts.account(digest.account)
    if account is None:
        return
    text = TextBuilder()
    with text.span("mention", account.ref):
        text.add(f"@{account.alias or account.handle}")
    times = "once" if digest.count == 1 else f"{digest.count} times"
    text.add(f" people who are not bridged answered, liked or boosted you {times} in the last hour:")
    for who, where in digest.lines:
        text.newline()
        text.add(f"{who}: ")
        if where.startswith("https://"):
            with text.span("link", where):
                text.add(where)
        else:
            text.add(where)
    if digest.count > len(digest.lines):
        text.newline()
        text.add(f"and {digest.count - len(digest.lines)} more")
    now = core.now()
    ref = Ref(HOME, envelope.id)
    body = PostBody(ref, BOT, text.build(), now, audience="unlisted", mentions=(account.ref,))

    def unit(tx: Tx) -> None:
        if can_write(core, account.ref.network):
            write_to(core, tx, account.ref, envelope.id, body.text)
            return
        tell(core, tx, Activity(ref, BOT, now, Post(body)), account.ref.network, now)
        tx.signal(OUTBOX)

    await core.store.write(unit)
