"""Histories heard by the bridge in any order, doubled and between restarts; and what the networks were left with."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
from sqlalchemy import StaticPool, create_engine

from bridged.adapter import Envelope
from bridged.model import Ref
from bridged.store import follows, identity
from bridged.store.engine import Tx
from bridged.testing import FakeNetwork, Harness
from bridged.testing.told import Told, read
from tests.histories.history import NETWORKS, Doing, History, Truth

Key = tuple[str, str]


def copy_id(ref: Key) -> str:
    """As the network in memory names copies."""
    return f"copy/{ref[0]}:{ref[1]}"


def ghost_id(who: Key) -> str:
    return f"ghost/{who[0]}:{who[1]}"


def told(doing: Doing) -> Told:
    """The doing as its network says it, where what is at home elsewhere goes by the name of its copy or ghost."""

    def here(ref: Key | None) -> str:
        if ref is None or ref[0] == doing.network:
            return ref[1] if ref else ""
        return ghost_id(ref) if doing.kind == "Follow" else copy_id(ref)

    target, parent = here(doing.target), here(doing.parent)
    return Told(kind=doing.kind, id=doing.id, by=doing.by, at=doing.at, text=doing.text, target=target, parent=parent)


def envelope(said: Told, network: str, now: float) -> Envelope:
    return Envelope(network, said.id, msgspec.json.encode(said), "live", Ref(network, said.by), now)


@dataclass
class Shown:
    """What a server over there shows, of which it knows no more than what it was sent, in that order.

    It keeps likes and follows by who and what, as Mastodon does, and by their ids, as Nostr does.
    """

    texts: dict[str, str] = field(default_factory=dict[str, str])
    answers: dict[str, str] = field(default_factory=dict[str, str])
    names: dict[str, str] = field(default_factory=dict[str, str])
    by_id: dict[str, tuple[str, str, str]] = field(default_factory=dict[str, tuple[str, str, str]])
    by_pair: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    said: set[Told] = field(default_factory=set[Told])
    gone: set[str] = field(default_factory=set[str])
    faults: list[str] = field(default_factory=list[str])

    def take(self, said: Told) -> None:
        if said in self.said:
            self.faults.append(f"{said.kind} {said.id} twice")
        self.said.add(said)
        match said.kind:
            case "Post" | "Edit":
                post = said.id if said.kind == "Post" else said.target
                if post in self.gone:
                    self.faults.append(f"{said.kind} of {post} after its Delete")
                if said.kind == "Edit" and post not in self.texts:
                    self.faults.append(f"Edit of {post}, which was never said")
                self.texts[post] = said.text
                if said.kind == "Post":
                    self.answers[post] = said.target
                else:
                    # who was shown the post only now is told of it as a new one, as it reads
                    self.said -= {old for old in self.said if old.id == post}
            case "Delete":
                if said.target in self.gone:
                    self.faults.append(f"second Delete of {said.target}")
                self.gone.add(said.target)
                self.texts.pop(said.target, None)
                self.by_pair.discard(self.by_id.pop(said.target, ("", "", "")))
            case "React" | "Repost" | "Follow":
                if said.id in self.gone:
                    self.faults.append(f"{said.kind} {said.id} after its Delete")
                doing = (said.kind, said.by, said.target)
                self.by_id[said.id] = doing
                self.by_pair.add(doing)
            case "Profile":
                self.names[said.by] = said.text
            case _:
                self.faults.append(f"a {said.kind} that nobody did")


class Play:
    """Some histories at once over one bridge, each with people of its own."""

    def __init__(self, bridge: Harness, red: FakeNetwork, blue: FakeNetwork, histories: Sequence[History], seed: int):
        self.bridge, self.histories = bridge, histories
        self.networks = {"red": red, "blue": blue}
        self.chance = Random(seed)
        self.restarted = 0
        self.truths = [Truth(h) for h in histories]

    async def perform(self, restarts: int) -> None:
        await self._set_up()
        profiles = [d for h in self.histories for d in h.doings if d.kind == "Profile"]
        await self._hear([d for h in self.histories for d in h.doings if d.kind != "Profile"], restarts)
        # what home shows now is not to be had, so the times of the profiles must do
        for network in self.networks.values():
            network.silent = True
        await self._hear(profiles, 1)
        for truth in self.truths:
            for (network, who), called in truth.names.items():
                self.networks[network].change(who, name=called)
        for network in self.networks.values():
            network.silent = False
        await self.bridge.wait(7200)

    async def _set_up(self) -> None:
        """Everybody is bridged; what can be fetched at home is as it is in the end, or as it was in the beginning."""
        members: list[Ref] = []
        for history, truth in zip(self.histories, self.truths, strict=True):
            for name, network in self.networks.items():
                network.join(*history.people[name])
                members += [network.ref(who) for who in history.people[name]]
            for ref, made in truth.alive.items():
                now = (
                    told(made)
                    if self.chance.random() < 0.5
                    else msgspec.structs.replace(told(made), text=truth.texts[ref])
                )
                self.networks[ref[0]].said[ref[1]] = envelope(now, ref[0], self.bridge.clock())
        await self.bridge.write(lambda tx: [identity.set_standing(tx, m, "in", "person", 0.0) for m in members])

    async def _hear(self, doings: list[Doing], restarts: int) -> None:
        bridge, chance = self.bridge, self.chance
        waiting, heard, bridged = list(doings), set[Key](), set[Key]()
        again: list[Doing] = []
        turns = max(1, len(waiting) // 8)
        left = restarts
        while waiting or again:
            ready = [d for d in waiting if d.after <= bridged]
            chosen = chance.sample(ready, min(len(ready), chance.randint(1, 16)))
            chosen += chance.sample(again, min(len(again), chance.randint(0, 6)))
            for doing in chosen:
                if doing in again:
                    again.remove(doing)
                else:
                    waiting.remove(doing)
                    heard.add(doing.ref)
                    again += [doing] * chance.choice((0, 0, 1, 1, 2))
            for name in NETWORKS:
                said = [envelope(told(d), name, bridge.clock()) for d in chosen if d.network == name]
                if said:
                    await bridge.hosts[name].receive(*said)
            what = chance.random()
            if left and what < restarts / turns:
                left -= 1
                self.restarted += 1
                await bridge.restart()
            elif what < 0.4:
                await bridge.decide()
            if what > 0.6 or not chosen:
                await bridge.settle()
                bridged |= heard
        await bridge.settle()

    async def differences(self) -> list[str]:
        """Where the networks, and what the bridge answers, are otherwise than the histories have it."""
        found: list[str] = []
        for name, network in self.networks.items():
            shown = Shown()
            for _, said in network.sent:
                shown.take(said)
            found += [f"{name}: {fault}" for fault in shown.faults]
            for truth in self.truths:
                found += [f"{name}: {each}" for each in self._compare(name, shown, truth)]
        for truth in self.truths:
            found += await self._kept(truth)
        return found

    def _compare(self, name: str, shown: Shown, truth: Truth) -> list[str]:
        def here(ref: Key) -> str:
            return ref[1] if ref[0] == name else copy_id(ref)

        found: list[str] = []
        for ref, made in truth.made.items():
            if ref[0] == name:
                continue
            reads = shown.texts.get(copy_id(ref))
            if reads != truth.texts.get(ref):
                found.append(f"{ref} reads {reads!r}, and is {truth.texts.get(ref)!r}")
            elif reads is not None and made.target in truth.alive and shown.answers[copy_id(ref)] != here(made.target):
                found.append(f"{ref} answers {shown.answers[copy_id(ref)]!r}, and should {made.target}")
        for kind, pairs in (("React", truth.likes), ("Repost", truth.reposts)):
            wanted = {(kind, ghost_id(who), here(what)) for who, what in pairs if who[0] != name}
            posts = {here(ref) for ref in truth.alive}
            for way, doings in (("by id", set(shown.by_id.values())), ("by pair", shown.by_pair)):
                have = {d for d in doings if d[0] == kind and d[2] in posts}
                found += [f"{way}, {d} is missing" for d in wanted - have]
                found += [f"{way}, {d} is too much" for d in have - wanted]
        people = {ghost_id((other, who)) for h in self.histories for other in NETWORKS for who in h.people[other]}
        wanted = {("Follow", ghost_id(who), whom[1]) for who, whom in truth.follows if whom and whom[0] == name}
        mine = {ghost_id((d.network, d.by)) for d in truth.made.values()} & people
        for way, doings in (("by id", set(shown.by_id.values())), ("by pair", shown.by_pair)):
            have = {d for d in doings if d[0] == "Follow" and d[1] in mine}
            found += [f"{way}, {d} is missing" for d in wanted - {d for d in doings if d[0] == "Follow"}]
            found += [f"{way}, {d} is too much" for d in have - wanted]
        for who, called in truth.names.items():
            # who did nothing else has nobody who stands for them
            if who[0] != name and ghost_id(who) in shown.names and shown.names[ghost_id(who)] != called:
                found.append(f"{who} is called {shown.names[ghost_id(who)]!r}, and is {called!r}")
        return found

    async def _kept(self, truth: Truth) -> list[str]:
        found: list[str] = []
        for ref, made in truth.made.items():
            other = "blue" if made.network == "red" else "red"
            copies = await self.bridge.copies(Ref(*ref), other)
            served = [read(c.served).text for c in copies if not c.gone]
            wanted = [truth.texts[ref]] if ref in truth.alive else []
            if served != wanted:
                found.append(f"{ref} is served as {served}, and is {wanted}")
        actors = {(d.network, d.by) for d in truth.made.values()} | {who for who, _ in truth.follows}
        for who in actors:
            refs = await self.bridge.read(lambda tx, w=who: follows.refs_of(tx, Ref(*w)))
            have = {(who, (t.network, t.id)) for t in refs}
            wanted = {pair for pair in truth.follows if pair[0] == who}
            if have != wanted:
                found.append(f"{who} follows {have}, and should {wanted}")
        return found


class Quick(Harness):
    """On SQLite, reads go straight to a connection of their own instead of through a thread: ten times as fast."""

    def _build(self) -> None:
        super()._build()
        store = self.core.store
        if not store.sqlite:
            return
        engine = create_engine(store.url, connect_args={"check_same_thread": False}, poolclass=StaticPool)

        async def read(unit: Callable[[Tx], Any]) -> Any:
            await asyncio.sleep(0)
            with engine.begin() as connection:
                return unit(Tx(connection))

        async def nobody(_: object) -> None:
            """Networks in memory ask for nothing, so whom to listen for need not be found out after every step."""

        store.read = read  # type: ignore[method-assign]
        self.core.ears.refresh = nobody  # type: ignore[method-assign]
