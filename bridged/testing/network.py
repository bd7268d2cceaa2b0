"""A network in memory: its people, what they said, and what our ghosts told it. It outlives the bridge it is joined to.

Its wire format is one JSON object for each act, read and written alike.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
from aiohttp import web
from pydantic import BaseModel

from bridged.adapter import (
    API_VERSION,
    BlobLimit,
    Capabilities,
    Delivery,
    Envelope,
    Finding,
    Host,
    Malformed,
    Outgoing,
    Part,
    Rejected,
    Sent,
    Sink,
    Tx,
    Unreachable,
    Use,
    View,
)
from bridged.model import (
    NOTHING,
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
    Message,
    Move,
    Pin,
    Post,
    Profile,
    React,
    Ref,
    Reject,
    Report,
    Repost,
    Tally,
    Vote,
    Zap,
)
from bridged.testing.told import Told, act_of, controls_told, poll_told, read

ACTS = frozenset(
    {
        "Post", "Edit", "Delete", "Follow", "Accept", "Reject", "React", "Repost", "Profile", "Block", "Vote", "Tally",
        "Zap", "Report", "Move", "Pin", "Message", "Approve", "Gate",
    }
)  # fmt: skip


class NoConfig(BaseModel):
    """Nothing to set."""


@dataclass
class FakeNetwork:
    """`hub`: everything goes to one endpoint, else to each recipient's own.

    sent      every attempt that arrived, as (endpoint, act)
    trouble   what the next deliveries raise, one each; `broken` endpoints raise the same for ever
    silent    nobody can be looked up
    """

    name: str
    follows: Literal["open", "request"] = "open"
    hearing: Literal["push", "pull"] = "pull"
    hub: bool = True
    acts: frozenset[str] = ACTS
    discreet: frozenset[str] = frozenset()
    blobs: Mapping[Use, BlobLimit] | None = None
    people: dict[str, Account] = field(default_factory=dict[str, Account])
    said: dict[str, Envelope] = field(default_factory=dict[str, Envelope])
    sent: list[tuple[str, Told]] = field(default_factory=list[tuple[str, Told]])
    trouble: list[BaseException] = field(default_factory=list[BaseException])
    broken: dict[str, Exception] = field(default_factory=dict[str, Exception])
    silent: bool = False
    now: float = 1_790_000_000.0
    _count: int = 0

    @property
    def adapter(self) -> type[Sink]:
        """The adapter class of this network."""
        means = Capabilities(
            acts=self.acts, follows=self.follows, hearing=self.hearing, discreet=self.discreet, blobs=self.blobs
        )
        return type("Fake", (_Fake,), {"network": self.name, "capabilities": means, "world": self})

    def ref(self, id: str) -> Ref:
        return Ref(self.name, id)

    def join(self, *names: str, **more: Any) -> None:
        """People who live here."""
        for name in names:
            self.people[name] = Account(
                self.ref(name), name, name=name.title(), endpoint=f"inbox:{name}", url=f"https://{self.name}/{name}",
                **more,
            )  # fmt: skip

    def change(self, who: str, **values: Any) -> None:
        """Somebody's account looks otherwise from now on: `change("alice", refuses="#nobridge")`."""
        self.people[who] = replace(self.people[who], **values)

    def say(self, kind: str, by: str, *, hidden: bool = False, **values: Any) -> Envelope:
        """Somebody does something; `hidden` keeps it from being fetched."""
        self._count += 1
        values = {"id": f"{kind.lower()}{self._count}", "at": self.now, **values}
        told = Told(kind=kind, by=by, **values)
        envelope = Envelope(self.name, told.id, msgspec.json.encode(told), "live", self.ref(by), self.now)
        if kind == "Post" and not hidden:
            self.said[told.id] = envelope
        return envelope

    def post(self, by: str, text: str, **values: Any) -> Envelope:
        return self.say("Post", by, text=text, **values)

    def received(self, kind: str | None = None, endpoint: str | None = None) -> list[Told]:
        """What arrived, each id once for each endpoint, as a server that knows what it has would show it."""
        found = {(where, t.id): t for where, t in reversed(self.sent) if endpoint in (None, where)}
        return [t for t in reversed(found.values()) if kind in (None, t.kind)]

    def messages(self, to: str) -> list[str]:
        """What somebody was written by our ghosts, oldest first."""
        return [t.text for t in self.received("Message") if to in t.mentions]

    def texts(self, endpoint: str | None = None) -> list[str]:
        """The texts of posts that arrived and were not taken back."""
        gone = {t.target for t in self.received("Delete", endpoint)}
        return [t.text for t in self.received("Post", endpoint) if t.id not in gone]


class _Fake:
    network: ClassVar[str]
    api_version: ClassVar[int] = API_VERSION
    config_type: ClassVar[type[BaseModel]] = NoConfig
    migrations: ClassVar[Path | None] = None
    capabilities: ClassVar[Capabilities]
    world: ClassVar[FakeNetwork]

    def __init__(self, config: object, host: Host) -> None:
        self._host = host

    async def start(self) -> None: ...
    async def run(self) -> None: ...
    def routes(self) -> Iterable[web.RouteDef]:
        return ()

    def streams(self) -> Iterable[web.RouteDef]:
        return ()

    async def serve(self) -> None: ...

    def hints(self) -> Sequence[str]:
        return ()

    async def check(self) -> Sequence[Finding]:
        return ()

    def parse(self, text: str) -> Ref | None:
        scheme, _, id = text.partition("://")
        return Ref(self.network, id) if scheme == self.network and id else None

    def names(self, ref: Ref, *, account: bool = False) -> str:
        return f"{self.network}://{ref.id}"

    async def find(self, name: str) -> Ref | None:
        self._reach()
        return next((a.ref for a in self.world.people.values() if name in (a.handle, a.alias)), None)

    async def account(self, ref: Ref) -> Account | None:
        self._reach()
        return self.world.people.get(ref.id)

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        self._reach()
        found = self.world.said.get(ref.id)
        return (found,) if found else ()

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        self._reach()
        told = ((read(e.body), e) for e in self.world.said.values())
        return [e for t, e in told if t.kind == "Post" and t.target == ref.id]

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        self._reach()
        return [e for e in self.world.said.values() if e.signer == ref]

    def _reach(self) -> None:
        if self.world.silent:
            raise Unreachable(f"{self.network} is silent")

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        handle = f"{account.alias or account.handle}@{account.ref.network}"
        if await taken(handle):
            handle = f"{account.ref.id}.{handle}"
        return Ghost(account.ref, Ref(self.network, f"ghost/{account.ref}"), handle)

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        try:
            told = read(envelope.body)
            ref = Ref(self.network, told.id)
            if told.by != envelope.signer.id:
                raise Malformed("forged")
            act = act_of(told, ref, envelope.signer)
        except (msgspec.MsgspecError, ValueError):
            raise Malformed("not_told") from None
        return [Activity(ref, envelope.signer, told.at, act, told.mark)] if act is not None else []

    def encode(self, activity: Activity, view: View) -> Outgoing:
        act, kind = activity.act, type(activity.act).__name__
        at, by = min(activity.at, view.at), view.actor.ref.id
        endpoints = ("hub",) if self.world.hub else tuple(dict.fromkeys(a.endpoint for a in view.recipients))

        named = act.body.mentions if isinstance(act, Post) else ()
        here = tuple(g.ref.id for r in named if (g := view.ghosts.get(r)))

        def part(of: Ref, ref: Ref | None, id: str, *, gone: bool = False, **values: Any) -> Part:
            files = tuple(b.sha256.hex() if b else f"link {url}" for url, b in view.blobs.items())
            cards = tuple(f"{c.title} ({c.thumb})" for c in view.cards.values() if c)
            told = Told(kind=kind, id=id, by=by, at=at, mark=str(activity.ref), files=files, cards=cards, **values)
            body = msgspec.json.encode(told)
            return Part(of, ref, body, b"" if gone else body, endpoints, gone=gone)

        def own(text: str = "", target: str = "", **values: Any) -> Part:
            id = f"copy/{activity.ref}"
            return part(activity.ref, Ref(self.network, id), id, text=text, target=target, **values)

        previous = view.previous[0].ref if view.previous else None
        match act:
            case Post(body):
                parent = view.there.get(body.reply_to) if body.reply_to else None
                lost = ("goes without its parent",) if body.reply_to and parent is None else ()
                quoted = view.there.get(body.quote) if body.quote else None
                said = own(
                    body.text.plain,
                    parent.ref.id if parent and parent.ref else "",
                    mentions=here,
                    quote=quoted.ref.id if quoted and quoted.ref else "",
                    links=tuple(str(there) for there in view.links.values()),
                    **poll_told(body.poll),
                    **controls_told(body),
                )
                return Outgoing((said,), lost)
            case Edit(body):
                if previous is None:
                    raise Rejected("never said here")
                id = f"edit/{activity.ref}"
                said = part(body.ref, previous, id, text=body.text.plain, target=previous.id, **controls_told(body))
                return Outgoing((said,))
            case Delete(target):
                was = view.actor.ref if target == view.account.ref else previous
                if was is None:
                    return Outgoing(losses=("never said here",))
                gone = part(target, was, f"gone/{target}/{activity.ref}", target=was.id, gone=True)
                if not act.final:
                    return Outgoing((gone,))
                ended = part(target, was, f"ended/{target}", text="for good", target=was.id, gone=True)
                return Outgoing((gone, replace(ended, number=1)))
            case React(target, content) if (there := view.there[target]) and there.ref:
                return Outgoing((own(content, there.ref.id),))
            case Repost(target) if (there := view.there[target]) and there.ref:
                return Outgoing((own(target=there.ref.id),))
            case Vote(target) if view.subject and (there := view.there[target]) and there.ref:
                return Outgoing((own(target=there.ref.id, choices=act.choices),))
            case Tally(target, poll):
                if previous is None:
                    raise Rejected("never said here")
                id = f"tally/{activity.ref}"
                return Outgoing((part(target, previous, id, target=previous.id, **poll_told(poll)),))
            case Gate(target) if view.subject and isinstance(view.subject.act, Post):
                if previous is None:
                    raise Rejected("never said here")
                said = part(
                    target, previous, f"gate/{activity.ref}", target=previous.id, **controls_told(view.subject.act.body)
                )
                return Outgoing((said,))
            case Zap(target) if (there := view.there[target]) and there.ref:
                return Outgoing((own(target=there.ref.id, msats=act.msats),))
            case Report(target, posts, _, text):
                told = tuple(t.ref.id for p in posts if (t := view.there.get(p)) and t.ref)
                return Outgoing((own(text, target.id, targets=told),))
            case Pin(target, pinned):
                told = tuple(ref.id for ref in view.pins)
                return Outgoing((own(target="", targets=told, pinned=pinned),))
            case Message(to, text):
                return Outgoing((own(text.plain, mentions=tuple(t.id for t in to)),))
            case Approve(target, proof):
                if previous is None:
                    raise Rejected("never said here")
                return Outgoing((part(target, previous, f"approved/{activity.ref}", target=previous.id, proof=proof),))
            case Follow(target) | Block(target) | Accept(target) | Reject(target) | Move(target):
                return Outgoing((own(target=target.id, targets=tuple(b.id for b in view.blocks)),))
            case Profile(account):
                id = f"profile/{activity.ref}/{activity.at}"
                return Outgoing((part(account.ref, view.actor.ref, id, text=account.name),))
            case _:
                raise Rejected("cannot be said here")

    async def deliver(self, item: Delivery) -> Sent:
        world = self.world
        if item.endpoint in world.broken:
            raise world.broken[item.endpoint]
        if world.trouble:
            raise world.trouble.pop(0)
        world.sent.append((item.endpoint, read(item.body)))
        return Sent(None, NOTHING, "told")

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        raise Rejected("nothing local here")
