"""`bridged trace`: from an id or address to the whole way of what it names, as the store remembers it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bridged.core import Core
from bridged.logs import plain
from bridged.model import Account, Block, Copy, Follow, Post, Ref
from bridged.store import acts, identity, ledger, queued
from bridged.store.engine import Tx

STEPS = 500
"""Most ledger rows told."""
EXCERPT = 200
"""Characters of a post that are shown."""


@dataclass(frozen=True)
class Named:
    """A ref, and how people of its network write it."""

    network: str
    id: str
    name: str


@dataclass(frozen=True)
class Step:
    """One row of the ledger. `at` in seconds since 1970; empty texts say nothing."""

    at: float
    step: str
    to: str
    endpoint: str
    reason: str
    ref: str


@dataclass(frozen=True)
class Delivery:
    """To one endpoint: ready, sent, dead or cancelled. `next_try` in seconds since 1970 while it is ready."""

    endpoint: str
    act: str
    state: str
    attempts: int
    reason: str
    next_try: float | None


@dataclass(frozen=True)
class CopyHere:
    """One part of what stands for the origin. `ref` is None until the server there has named it."""

    part: int
    version: int
    gone: bool
    ref: Named | None


@dataclass(frozen=True)
class There:
    """What we said on one network."""

    network: str
    copies: list[CopyHere]
    deliveries: list[Delivery]


@dataclass(frozen=True)
class Story:
    """All that is known of one act or account.

    kind    the act's name, "Account", or "" when only the ledger knows of it
    state   live or deleted; of an account in, out or undecided
    since   steps before this are not told: they are kept no longer. None when there can be none
    """

    asked: str
    origin: Named
    kind: str
    state: str
    actor: Named | None = None
    handle: str = ""
    at: float | None = None
    text: str = ""
    url: str = ""
    about: Named | None = None
    ghosts: list[Named] = field(default_factory=list["Named"])
    steps: list[Step] = field(default_factory=list["Step"])
    there: list[There] = field(default_factory=list["There"])
    since: float | None = None


async def trace(core: Core, asked: str) -> Story | None:
    """The story of what `asked` names: an address or id as any network writes it, of an original or of a copy,
    or the name of a ghost under our domain.

    None when nothing here has anything to do with it. Raises Busy.
    """
    refs = meant(core, asked)
    handle = asked.strip().removeprefix("@").removesuffix(f"@{core.settings.domain}")

    def unit(tx: Tx) -> Story | None:
        named_so = [identity.ghost_named(tx, network, handle) for network in core.adapters]
        for ref in [*refs, *(ghost.ref for ghost in named_so if ghost)]:
            origin = _origin(tx, ref)
            if origin is not None:
                story = _story(core, tx, asked, origin)
                return replace(story, since=_since(core, tx, story))
        return None

    return await core.store.read(unit)


def _since(core: Core, tx: Tx, story: Story) -> float | None:
    kept = core.now() - core.settings.keep.ledger
    return kept if ledger.pruned(tx) and (story.at is None or story.at < kept) else None


def meant(core: Core, asked: str) -> list[Ref]:
    """What the words may mean, likeliest first: as adapters read them, `network:id`, and a bare native id."""
    asked = asked.strip()
    found = [ref for adapter in core.adapters.values() if (ref := adapter.parse(asked)) is not None]
    network, colon, rest = asked.partition(":")
    if colon and network in core.adapters:
        found += [ref] if (ref := core.adapters[network].parse(rest)) is not None else []
        found += _bare(network, rest)
    found += [ref for n in core.adapters for ref in _bare(n, asked)]
    return list(dict.fromkeys(found))


def _bare(network: str, text: str) -> list[Ref]:
    try:
        return [Ref(network, text)]
    except ValueError:
        return []


def _origin(tx: Tx, ref: Ref) -> Ref | None:
    """The act or account at home that a ref leads to, if the store knows anything of it."""
    copy = acts.copy_at(tx, ref)
    if copy is not None:
        return copy.origin
    ghost = identity.ghost_at(tx, ref)
    if ghost is not None:
        return ghost[0].owner
    known = acts.find(tx, ref) is not None or identity.account(tx, ref) is not None
    return ref if known or ledger.about(tx, ref, 1) else None


def _story(core: Core, tx: Tx, asked: str, origin: Ref) -> Story:
    account, known = identity.account(tx, origin), acts.find(tx, origin)
    steps = [_step(core, row) for row in ledger.about(tx, origin, STEPS)]
    there = [t for network in sorted(core.adapters) if (t := _there(core, tx, origin, network)) is not None]
    if known is not None:
        activity = known.activity
        body = activity.act.body if isinstance(activity.act, Post) else None
        actor = identity.account(tx, activity.actor)
        return Story(
            asked,
            named(core, origin),
            acts.kind_of(activity.act),
            "live" if known.live else "deleted",
            actor=named(core, activity.actor, account=True),
            handle=_handle(actor),
            at=activity.at,
            # what was taken back is not shown again
            text=body.text.plain[:EXCERPT] if body and known.live else "",
            url=body.url if body else "",
            about=named(core, known.target, account=isinstance(activity.act, Follow | Block)) if known.target else None,
            steps=steps,
            there=there,
        )
    if account is None:
        return Story(asked, named(core, origin), "", "", steps=steps, there=there)
    return Story(
        asked,
        named(core, origin, account=True),
        "Account",
        identity.standing(tx, origin) or "undecided",
        handle=_handle(account),
        text=account.name,
        url=account.url,
        ghosts=[
            Named(g.ref.network, g.ref.id, f"{g.handle} ({_name(core, g.ref, account=True)})")
            for g in identity.ghosts_of(tx, origin)
        ],
        steps=steps,
        there=there,
    )


def _there(core: Core, tx: Tx, origin: Ref, network: str) -> There | None:
    copies = acts.copies_of(tx, origin, network)
    if not copies:
        return None
    rows = queued.deliveries(tx, acts.copy_ids(origin, network))
    return There(network, [_copy(core, c) for c in copies], [Delivery(**row) for row in rows])


def _copy(core: Core, copy: Copy) -> CopyHere:
    return CopyHere(copy.part, copy.version, copy.gone, named(core, copy.ref) if copy.ref else None)


def _step(core: Core, row: dict[str, Any]) -> Step:
    ref = _name(core, Ref(row["to"], row["ref"])) if row["ref"] and row["to"] else row["ref"]
    return Step(row["at"], row["step"], row["to"], row["endpoint"], row["reason"], ref)


def _handle(account: Account | None) -> str:
    return "" if account is None else account.alias or account.handle


def _name(core: Core, ref: Ref, *, account: bool = False) -> str:
    adapter = core.adapters.get(ref.network)
    return ref.id if adapter is None else adapter.names(ref, account=account)


def named(core: Core, ref: Ref, *, account: bool = False) -> Named:
    return Named(ref.network, ref.id, _name(core, ref, account=account))


def moment(at: float) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def lines(story: Story) -> list[str]:
    """The story for people to read, without line breaks or control characters from outside."""
    out = [f"{story.kind or 'An act'} on {story.origin.network}: {story.origin.name}"]

    def fact(label: str, value: str) -> None:
        if value:
            out.append(f"  {label:<8} {value}")

    fact("id", story.origin.id if story.origin.id != story.origin.name else "")
    fact("url", story.url if story.url not in (story.origin.id, story.origin.name) else "")
    if story.actor is not None:
        fact("by", f"{story.handle} ({story.actor.name})" if story.handle else story.actor.name)
    else:
        fact("handle", story.handle)
    fact("at", moment(story.at) if story.at is not None else "")
    fact("about", f"{story.about.network}: {story.about.name}" if story.about else "")
    fact("state", story.state)
    fact("name" if story.kind == "Account" else "text", story.text)
    for ghost in story.ghosts:
        fact("ghost", f"{ghost.network}: {ghost.name}")
    out.append("Its way")
    if story.since is not None:
        out.append(f"  steps before {moment(story.since)} are kept no longer (keep.ledger)")
    out += [f"  {_told(step)}" for step in story.steps] or ["  nothing was written down about it"]
    for there in story.there:
        out.append(f"On {there.network}")
        for copy in there.copies:
            marks = [f"part {copy.part}", f"version {copy.version}", *(["withdrawn"] if copy.gone else [])]
            out.append(f"  {copy.ref.name if copy.ref else 'not named yet'} ({', '.join(marks)})")
        out += [f"    {_went(delivery)}" for delivery in there.deliveries] or ["    kept here, sent to nobody"]
    return [plain(line) for line in out]


def _told(step: Step) -> str:
    said = [moment(step.at), f"{step.step:<9}"]
    if step.to:
        said.append(f"on {step.to}")
    if step.endpoint:
        said.append(f"to {step.endpoint}")
    if step.ref:
        said.append(f"as {step.ref}")
    text = " ".join(said).rstrip()
    return f"{text}: {step.reason}" if step.reason else text


def _went(delivery: Delivery) -> str:
    if not delivery.act:
        return f"to {delivery.endpoint}: {delivery.state}; more is kept no longer (keep.sent)"
    tries = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    said = f"{delivery.act} to {delivery.endpoint}: {delivery.state}, {tries}"
    if delivery.next_try is not None:
        said += f", next try {moment(delivery.next_try)}"
    return f"{said}; {delivery.reason}" if delivery.reason else said
