"""A scene played for one adapter: somebody elsewhere does one of everything, and what it encodes is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridged.adapter import LOCAL, Delivery, Envelope, Outgoing, Part, Rejected, Sent, View
from bridged.consent import Chore, order
from bridged.model import (
    BOT,
    HOME,
    Account,
    Act,
    Activity,
    Approve,
    Copy,
    Follow,
    Ghost,
    Message,
    Move,
    Option,
    Poll,
    Post,
    PostBody,
    QuoteRequest,
    Ref,
    Text,
)
from bridged.store import follows, identity
from bridged.tell import tell
from bridged.testing.harness import Harness
from bridged.testing.network import FakeNetwork


@dataclass(frozen=True, slots=True)
class Said:
    """One call of `encode`: what went in, and what came out."""

    activity: Activity
    view: View
    out: Outgoing | Rejected

    @property
    def kind(self) -> str:
        return type(self.activity.act).__name__

    @property
    def subject(self) -> Act | None:
        return self.view.subject.act if self.view.subject else None


class Stage:
    """`ann` and `art` live elsewhere; `native` lives on the network under test, is bridged, and follows ann."""

    def __init__(self, bridge: Harness, other: FakeNetwork, network: str, native: Account) -> None:
        self.bridge, self.other, self.network, self.native = bridge, other, network, native
        self.sink: Any = bridge.core.adapters[network]
        self.ann, self.art = other.people["ann"], other.people["art"]
        self.said: list[Said] = []
        self._encode = self.sink.encode
        self.sink.encode = self._note

    def _note(self, activity: Activity, view: View) -> Outgoing:
        try:
            out = self._encode(activity, view)
        except Rejected as error:
            self.said.append(Said(activity, view, error))
            raise
        self.said.append(Said(activity, view, out))
        return out

    def encode(self, said: Said) -> Outgoing | str:
        """The same once more."""
        try:
            return self._encode(said.activity, said.view)
        except Rejected as error:
            return error.why

    async def play(self, post: Envelope) -> list[Said]:
        """One of everything by ann; `post` is by the native. Decided, but not sent."""
        bridge, other = self.bridge, self.other
        await bridge.write(lambda tx: identity.set_standing(tx, self.native.ref, "in", "person", 0.0))
        ghost = await bridge.ghost(self.native.ref, other.name)
        there = await self._ghost(self.ann)
        await bridge.write(lambda tx: _follow(tx, self.native.ref, self.ann.ref))
        await self._hear(post)
        origin = self.sink.decode(post)[0].ref
        copy = f"copy/{origin}"
        text = "hello #world, see https://example.com/page\nand this: "
        first = other.post("ann", text + "word " * 40)
        await self._hear(first)
        await self._hear(other.post("ann", "hello again", target=first.id))
        await self._hear(other.post("ann", "I say", target=copy, mentions=(ghost.ref.id,)))
        await self._hear(other.say("Edit", "ann", target=first.id, text="hello, edited https://example.com/page"))
        like = other.say("React", "ann", target=copy)
        await self._hear(like)
        await self._hear(other.say("Delete", "ann", target=like.id))
        await self._hear(other.say("React", "ann", target=copy))
        repost = other.say("Repost", "ann", target=copy)
        await self._hear(repost)
        follow = other.say("Follow", "ann", target=ghost.ref.id)
        await self._hear(follow)
        other.join("ann", bot=True)
        await self._hear(other.say("Profile", "ann", text="Ann"))
        await self._hear(other.say("Delete", "ann", target=repost.id))
        await self._hear(other.say("Delete", "ann", target=follow.id))
        await self._rarer(first, copy, origin, ghost)
        await self._hear(other.say("Delete", "ann", target=first.id))
        if self.sink.capabilities.follows == "request":
            await self._asked(there)
        await self._hear(other.say("Block", "ann", target=ghost.ref.id))
        return list(self.said)

    async def _rarer(self, first: Envelope, copy: str, origin: Ref, ghost: Ghost) -> None:
        """What not every network has."""
        bridge, other = self.bridge, self.other
        now = bridge.clock()
        if "Tally" in self.sink.capabilities.acts:
            asked = other.post("ann", "which one?", options=("this", "that"), ends=now + 3600)
            await self._hear(asked)
            count: dict[str, Any] = {"options": ("this", "that"), "votes": (2, 1), "ends": now + 3600, "closed": True}
            await self._hear(other.say("Tally", "ann", target=asked.id, **count))
        if "Vote" in self.sink.capabilities.acts:
            poll = Poll((Option("x", "yes"), Option("y", "no")), ends=now + 3600)
            ref = Ref(self.network, f"{origin.id[:-2]}00")
            await self._plan(
                Activity(ref, self.native.ref, now, Post(PostBody(ref, self.native.ref, Text("?"), now, poll=poll)))
            )
            await self._hear(other.say("Vote", "ann", target=f"copy/{ref}", choices=("x",)))
        if "Zap" in self.sink.capabilities.acts:
            await self._hear(other.say("Zap", "ann", target=copy, msats=21000))
        if "Report" in self.sink.capabilities.acts:
            await self._hear(other.say("Report", "ann", target=ghost.ref.id, targets=(copy,), text="spam"))
        if "Pin" in self.sink.capabilities.acts:
            await self._hear(other.say("Pin", "ann", target=first.id))
        if "Gate" in self.sink.capabilities.acts:
            await self._hear(other.say("Gate", "ann", target=first.id, circles=("followers",)))
        if "Message" in self.sink.capabilities.acts:
            await self._tell(Activity(Ref(HOME, "message"), BOT, now, Message((self.native.ref,), Text("hello"))))
        if "Move" in self.sink.capabilities.acts:
            await self._tell(Activity(other.ref("moved"), self.ann.ref, now, Move(self.native.ref)))
        if "Approve" in self.sink.capabilities.acts:
            quoting = other.post("ann", "see this", quote=copy)
            await self._hear(quoting)
            said = (await bridge.copies(other.ref(quoting.id), self.network))[0].ref
            assert said is not None
            ref = Ref(self.network, "https://conformance.example/approval")
            await self._plan(Activity(ref, self.native.ref, now, Approve(said, "https://conformance.example/proof")))
            ref = Ref(self.network, "https://conformance.example/request")
            await self._plan(Activity(ref, self.native.ref, now, QuoteRequest(said, origin)))

    async def _plan(self, activity: Activity) -> None:
        """An act as it is heard from the network under test."""
        units = await self.bridge.bridge.acting.plan(activity, self.bridge.clock(), "test", attempt=0)
        await self.bridge.write(lambda tx: [unit(tx) for unit in units])

    async def _tell(self, activity: Activity) -> None:
        await self.bridge.write(lambda tx: tell(self.bridge.core, tx, activity, self.network, self.bridge.clock()))

    async def leave(self, *, for_good: bool = False) -> list[Said]:
        """Ann is no longer bridged, or never will be again."""
        before = len(self.said)

        def unit(tx: Any) -> None:
            identity.set_standing(tx, self.ann.ref, "out", "person", 0.0)
            order(tx, Chore("leave", self.ann.ref, for_good), self.bridge.clock())

        await self.bridge.write(unit)
        await self.bridge.decide()
        return self.said[before:]

    async def apply(self, said: Said, part: Part) -> Sent:
        """The effect of a LOCAL part, in a transaction of its own."""
        item = Delivery("key", LOCAL, part.body, said.view.actor, part.ref, 0)
        return await self.bridge.write(lambda tx: self.sink.apply(tx, item))

    async def has_copy(self, origin: Ref, number: int) -> bool:
        found: Sequence[Copy] = await self.bridge.copies(origin, self.network)
        return any(c.part == number for c in found)

    async def _ghost(self, account: Account) -> Ghost:
        return await self.bridge.ghost(account.ref, self.network)

    async def _asked(self, ghost: Ghost) -> None:
        """The native asks to follow ann, as it is heard from its network, and is granted it."""
        ref = Ref(self.network, "https://conformance.example/follow")
        await self._plan(Activity(ref, self.native.ref, 1.0, Follow(ghost.ref)))

    async def _hear(self, envelope: Envelope) -> None:
        await self.bridge.hear(envelope, settle=False)
        await self.bridge.decide()
        self.bridge.clock.move(1)
        self.other.now += 1


def _follow(tx: Any, actor: Ref, target: Ref) -> None:
    follows.put(tx, actor, target, Ref(actor.network, "followed"), "live", 0.0)
