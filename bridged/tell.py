"""Says one activity on one network, inside an open transaction: view, encode, copies, deliveries, ledger.

Everything read here is read in the transaction that writes, so the view an encoder gets is the truth its copies
are stored with.
"""

from bridged import agenda
from bridged.adapter import Part, Rejected, There, View
from bridged.core import Core
from bridged.files import kept_for, origin_of
from bridged.model import (
    BOT,
    Accept,
    Account,
    Activity,
    Approve,
    Block,
    Delete,
    Edit,
    Follow,
    Gate,
    Ghost,
    Move,
    Pin,
    Post,
    PostBody,
    Profile,
    Ref,
    Reject,
    Repost,
    Tally,
    Vote,
)
from bridged.store import acts, blobs, follows, heirs, identity, ledger, persons, pins, polls, queue, queued
from bridged.store.engine import Tx
from bridged.store.signals import EARS
from bridged.words import body_of, people_in, posts_in

LINKS = 20
"""How many links of one text are looked into."""
CLOCKS = 300.0
"""How far the clocks of other people may be off, in seconds."""
LATE_VOTES = 60.0
"""Seconds after its end at which a poll is counted for the last time."""
WAIT = 3600.0
"""How long a delivery waits for the copies it refers to, in seconds."""


def tell(core: Core, tx: Tx, activity: Activity, network: str, heard_at: float, *, context: bool = False) -> int:
    """Stores what `activity` becomes on `network` and queues it; the number of deliveries.

    `heard_at` bounds the time a copy may carry. With `context` nobody is told: it is there to be referred to.
    """
    sink = core.adapters.get(network)
    kind = acts.kind_of(activity.act)
    now = core.now()

    def note(step: str, reason: str = "", ref: Ref | None = None) -> None:
        ledger.write(tx, now, step, activity.ref, actor=activity.actor, to=network, ref=ref, reason=reason)

    if sink is None:
        note("lost", f"the adapter for {network} is switched off")
        return 0
    if kind not in sink.capabilities.acts:
        note("lost", f"{network} has no {kind}")
        return 0
    if isinstance(activity.act, Delete) and sink.capabilities.blobs is not None:
        blobs.use(tx, network, activity.act.target, ())
    view = _view(core, tx, activity, network, heard_at, context)
    if view is None:
        note("dropped", "no-ghost")
        return 0
    try:
        out = sink.encode(activity, view)
    except Rejected as e:
        note("lost", e.why)
        return 0
    for loss in out.losses:
        note("lost", loss)
    for url, blob in view.blobs.items():
        if blob is None:
            note("lost", f"a file was not taken over: {blobs.why_not(tx, network, url)} ({url})")
    if isinstance(activity.act, Post) and _stands_otherwise(tx, out.parts, activity.ref, network):
        note("copied", "stands already")
        return 0
    reached = _reached(tx, activity, network)
    queued = 0
    for part in out.parts:
        queued += _store(core, tx, activity, network, kind, part, reached)
        note("copied", "gone" if part.gone else "", part.ref)
    if view.blobs or isinstance(activity.act, Edit | Profile):
        files = {b.sha256 for b in view.blobs.values() if b is not None}
        blobs.use(tx, network, origin_of(activity), files if out.parts else ())
    if isinstance(activity.act, Post):
        _remind(core, tx, activity.act.body)
    core.metrics.carried.labels(activity.ref.network, network, kind).inc()
    return queued


def _remind(core: Core, tx: Tx, body: PostBody) -> None:
    """What becomes due with time once there is a copy: its end, and that of its poll."""
    now = core.now()
    if body.expires is not None:
        agenda.order(tx, "expire", body.ref, now, body.expires)
    if body.poll is not None and not body.poll.closed:
        polls.put(tx, body.ref, now, is_open=True)
        tx.signal(EARS)
        if body.poll.ends is not None:
            agenda.order(tx, "close", body.ref, now, body.poll.ends + LATE_VOTES)


def _stands_otherwise(tx: Tx, parts: tuple[Part, ...], origin: Ref, network: str) -> bool:
    """Whether a post that was shown before it was heard stands there under another id than it would get now."""
    ids = {p.number: p.ref for p in parts if p.of == origin}
    copies = [c for c in acts.copies_of(tx, origin, network) if not c.gone]
    return any(ids.get(c.part) is None or ids[c.part] != c.ref for c in copies)


def _store(core: Core, tx: Tx, activity: Activity, network: str, kind: str, part: Part, reached: list[str]) -> int:
    now = core.now()
    copy, _ = acts.add_copy(tx, part, network, activity.actor, kind, now)
    if not part.body:
        return 0
    endpoints = dict.fromkeys(part.endpoints)
    if isinstance(activity.act, Edit | Delete | Tally | Approve | Gate):
        endpoints |= dict.fromkeys(reached)
    waits_until = now + WAIT
    return queue.enqueue(tx, network, endpoints, activity.actor, copy, kind, part.body, part.waits, waits_until, now)


def _reached(tx: Tx, activity: Activity, network: str) -> list[str]:
    """Where the copies of what is changed went; what was not sent yet is cancelled when it is taken back."""
    about = _about(activity)
    if about is None:
        return []
    ids = acts.copy_ids(about, network)
    endpoints = queued.reached(tx, ids)
    if isinstance(activity.act, Delete):
        queue.cancel(tx, ids, "taken back before it was sent")
    return endpoints


def _about(activity: Activity) -> Ref | None:
    match activity.act:
        case Edit(body):
            return body.ref
        case Delete(target) | Tally(target) | Approve(target) | Gate(target):
            return target
        case _:
            return None


def _view(core: Core, tx: Tx, activity: Activity, network: str, heard_at: float, context: bool) -> View | None:
    # who has moved changes and takes back what they said by the ghost that was handed over, but says nothing new
    speaker = identity.ghost_for if _about(activity) is None else heirs.ghost_for
    ghost = speaker(tx, activity.actor, network)
    account = identity.account(tx, activity.actor)
    if ghost is None or account is None:
        return None
    act = activity.act
    posts = posts_in(activity)
    if isinstance(act, Delete):
        posts = (act.target,)
    elif isinstance(act, Edit):
        posts += (act.body.ref,)
    there: dict[Ref, There | None] = {r: there_of(tx, r, network) for r in posts}
    people = dict.fromkeys(people_in(activity))
    for ref in posts:
        known = acts.find(tx, ref)
        if known is not None:
            people[known.activity.actor] = None
        root = known.root if known else None
        if root is not None and root not in there:
            there[root] = there_of(tx, root, network)
    subject = _subject(tx, activity)
    if subject is not None:
        people[subject.actor] = None
        if isinstance(subject.act, Follow):
            people[subject.act.target] = None
        for ref in posts_in(subject):
            there.setdefault(ref, there_of(tx, ref, network))
            known = acts.find(tx, ref)
            if known is not None:
                people[known.activity.actor] = None
    accounts = {r: a for r in people if (a := identity.account(tx, r)) is not None}
    # a mention reaches the account that people have here themselves, if they have one
    ghosts: dict[Ref, Ghost | None] = {
        r: ghost if r == activity.actor else _stands_for(tx, r, network) for r in people if r.network != network
    }
    about = _about(activity)
    files, cards = kept_for(tx, activity, network, core.adapters[network].capabilities.blobs, core.settings.base_url)
    return View(
        at=heard_at,
        actor=ghost,
        account=account,
        ghosts=ghosts,
        accounts=accounts,
        there=there,
        recipients=() if context else _recipients(tx, activity, network, accounts, subject),
        previous=acts.copies_of(tx, about, network) if about else (),
        own=acts.copies_of(tx, activity.actor, network),
        follows=tuple(follows.following(tx, activity.actor, network)) if _is(Follow, act, subject) else (),
        blocks=_blocks(tx, act, activity.actor, network) if _is(Block, act, subject) else (),
        pins=_pins(tx, activity.actor, network) if isinstance(act, Pin) else (),
        links=_links(core, tx, activity, network),
        subject=subject,
        not_before=core.not_before(tx),
        blobs=files,
        cards=cards,
    )


def _stands_for(tx: Tx, ref: Ref, network: str) -> Ghost | None:
    """Whom somebody is on `network`: the account they have there themselves, else their ghost."""
    return persons.linked(tx, ref, network) or identity.ghost_for(tx, ref, network)


def _is(kind: type, act: object, subject: Activity | None) -> bool:
    return isinstance(act, kind) or (subject is not None and isinstance(subject.act, kind))


def _blocks(tx: Tx, act: object, actor: Ref, network: str) -> tuple[Ref, ...]:
    """Once it is done: a Block is told before it is kept, and its Delete after it is gone."""
    found = dict.fromkeys(t for t in follows.blocks_of(tx, actor) if t.network == network)
    if isinstance(act, Block):
        found[act.target] = None
    return tuple(found)


def _pins(tx: Tx, actor: Ref, network: str) -> tuple[Ref, ...]:
    found = (there_of(tx, post, network) for post in pins.of(tx, actor))
    return tuple(t.ref for t in found if t is not None and t.ref is not None)


def _links(core: Core, tx: Tx, activity: Activity, network: str) -> dict[str, There | Ref]:
    """What stands here for posts and accounts that a text links to."""
    body = body_of(activity)
    found: dict[str, There | Ref] = {}
    for url in body.text.targets("link")[:LINKS] if body else ():
        if not isinstance(url, str):
            continue
        named = [identity.at_page(tx, url), *(a.parse(url) for a in core.adapters.values())]
        for ref in dict.fromkeys(_at_home(tx, n) for n in named if n is not None):
            there = there_of(tx, ref, network)
            person = _stands_for(tx, ref, network) if there is None else None
            if there is not None:
                found[url] = there
            elif person is not None:
                found[url] = person.ref
            elif ref.network == network and identity.account(tx, ref) is not None:
                found[url] = ref
            else:
                continue
            break
    return found


def _at_home(tx: Tx, ref: Ref) -> Ref:
    """What a link to one of our copies or ghosts means: the original."""
    if copy := acts.copy_at(tx, ref):
        return copy.origin
    ghost = identity.ghost_at(tx, ref)
    return ghost[0].owner if ghost else ref


def _subject(tx: Tx, activity: Activity) -> Activity | None:
    act = activity.act
    if not isinstance(act, Accept | Reject | Delete | Vote | Tally | Gate):
        return None
    known = acts.find(tx, act.target)
    if known is None or isinstance(known.activity.act, Delete):
        return None
    if isinstance(known.activity.act, Post) and not isinstance(act, Vote | Tally | Gate):
        return None
    return known.activity


def _recipients(
    tx: Tx, activity: Activity, network: str, accounts: dict[Ref, Account], subject: Activity | None
) -> tuple[Account, ...]:
    """Natives of `network` who should hear of it: those named, and for what is public the followers."""
    act = activity.act
    if isinstance(act, Accept | Reject):
        named = [subject.actor] if subject else []
    else:
        named = [r for r in accounts if r.network == network]
    found = {r: accounts[r] for r in named if r in accounts}
    if isinstance(act, Delete) and subject is not None and not isinstance(subject.act, Repost):
        # a like, follow or block was told to those concerned alone, and so is that it is taken back
        return tuple(found.values())
    # who follows the bot asked to be bridged, not to read what it tells others
    if isinstance(act, Post | Edit | Repost | Profile | Delete | Tally | Gate | Pin | Move) and activity.actor != BOT:
        # what was said before somebody followed is there to be read; it is not news to them
        by = activity.at + CLOCKS if isinstance(act, Post | Repost) else None
        missing = [r for r in follows.followers(tx, activity.actor, network, by=by) if r not in found]
        found |= {a.ref: a for a in identity.accounts_of(tx, missing)}
    return tuple(found.values())


def there_of(tx: Tx, ref: Ref, network: str) -> There | None:
    """What stands for the post `ref` on `network`: itself at home, our copies elsewhere, None for nothing."""
    known = acts.find(tx, ref)
    if known is None:
        return None
    body = known.activity.act.body if isinstance(known.activity.act, Post) else None
    if ref.network == network:
        if not known.live or body is None:
            return None
        return There(ref, ref, known.activity.actor, known.root, body.url, body.detail)
    copies = tuple(c for c in acts.copies_of(tx, ref, network) if not c.gone)
    ghost = heirs.ghost_for(tx, known.activity.actor, network)
    if not copies or ghost is None:
        return None
    first = copies[0]
    return There(ref, first.ref, ghost.ref, known.root, "", first.detail, copies)
