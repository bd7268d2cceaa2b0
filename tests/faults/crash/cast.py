"""The people: each does their acts one after the other, as often as it takes to be thanked for it."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp
from websockets.exceptions import WebSocketException

from adapters.nostr.event import Event

from ..kit import eventually
from ..kit.daemon import Daemon
from ..kit.fediverse import Actor, Got, Peer
from ..kit.nostr import Relay, client, key, npub, said
from .history import EVERYBODY, FEDIVERSE, NOSTR, Act
from .model import World

PATIENCE = 180.0
"""Seconds after which somebody gives up on the daemon: something is wrong then."""


class Cast:
    """`gate` is how many acts may be done by now; `thanked` those that were answered with 202 or OK."""

    def __init__(self, daemon: Daemon, relay: Relay, homes: Mapping[str, Peer], history: Sequence[Act]) -> None:
        self.daemon, self.relay = daemon, relay
        self.world = World(history, homes, relay)
        self.people = {who: peer.actor(who) for who, peer in homes.items()}
        self.carol = homes["bob"].actor("carol")
        self.thanked: set[int] = set()
        self.wrong: list[str] = []
        self._gate = 0
        self._opened = asyncio.Condition()
        self._dated: dict[str, int] = {}
        self._follows: dict[str, dict[str, Any]] = {}
        self._likes: dict[int, dict[str, Any]] = {}
        self._notes: dict[int, dict[str, Any]] = {}
        self._others: set[asyncio.Task[None]] = set()
        for peer in set(homes.values()):
            peer.on_taken = self._took
        self.world.actors |= {who: actor.id for who, actor in self.people.items()}
        self.world.actors |= {who: key(who) for who in (*NOSTR, "nina")}

    async def introduce(self) -> None:
        """Everybody is bridged and followed from across; until then the daemon may die as it likes."""
        for who in (*NOSTR, "nina"):
            await self.relay.publish(self._event(who, 0, json.dumps({"name": who})))
        for whom in (*NOSTR, "nina", "bridge"):
            name = whom if whom == "bridge" else npub(whom)
            look = partial(self.daemon.actor_of, name, timeout=1)
            self.world.ghosts[whom] = await self._patiently(look)
        for whom in NOSTR:
            # whose server takes nothing that they subscribe to
            await self.send(self.carol, self.carol.follow(self.world.ghosts[whom]))
        for who, actor in self.people.items():
            for whom in (*NOSTR, "bridge"):
                await self.send(actor, actor.follow(self.world.ghosts[whom]))
            await eventually(lambda actor=actor: len(self.accepted(actor)) == 3, timeout=PATIENCE)
            ghost = await eventually(lambda actor=actor: self._ghost(actor), timeout=PATIENCE)
            self.world.ghosts[who] = ghost

    def accepted(self, actor: Actor) -> set[str]:
        """The ids of the Accepts that somebody got."""
        return {g.json["id"] for g in actor.peer.posts("Accept") if g.path == f"/users/{actor.name}/inbox"}

    def later(self, job: Coroutine[Any, Any, None]) -> None:
        """Done beside all else, however long it takes."""
        task = asyncio.create_task(job)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    @property
    def busy(self) -> bool:
        return bool(self._others)

    async def open(self, gate: int) -> None:
        async with self._opened:
            self._gate = max(self._gate, gate)
            self._opened.notify_all()

    async def act(self) -> None:
        """Everybody does what the history says, as far as the gate lets them."""
        async with asyncio.TaskGroup() as group:
            for who in EVERYBODY:
                group.create_task(self._life_of(who), name=who)

    async def _life_of(self, who: str) -> None:
        world = self.world
        for act in (a for a in world.history if a.who == who):
            async with self._opened:
                await self._opened.wait_for(lambda act=act: self._gate > act.number)
            needs = [world.history[n] for n in act.needs]
            try:
                await eventually(lambda needs=needs: all(map(world.seen, needs)), timeout=PATIENCE)
            except AssertionError:
                unseen = [f"{n.number} {n.who} {n.do}" for n in needs if not world.seen(n)]
                raise AssertionError(f"{act.number} {who} {act.do} waited in vain for {unseen}") from None
            if act.fediverse:
                await self.send(self.people[who], self._activity(act))
            else:
                await self._publish(who, self._as_event(act))
            self.thanked.add(act.number)

    async def aside(self) -> None:
        """A post that is not in the history."""
        await self.relay.publish(self._event("nora", 1, "aside"))

    async def comes_and_goes(self, actor: Actor) -> None:
        """Somebody joins, says something that the relay does not take, and leaves before it can be sent again."""
        follow = actor.follow(self.world.ghosts["bridge"])
        await self.send(actor, follow)
        await eventually(lambda: self._ghost(actor), timeout=PATIENCE)
        await self.send(actor, actor.create("aside"))
        await eventually(lambda: any("aside" in frame.text for frame in self.relay.heard()), timeout=PATIENCE)
        self.later(self.send(actor, actor.undo(follow)))

    async def send(self, actor: Actor, activity: Mapping[str, Any]) -> None:
        """The same bytes until they are taken."""
        body = json.dumps(activity).encode()

        async def once() -> bool:
            status = await actor.send(body, f"{self.daemon.base}/inbox")
            if status != 202 and status < 500:
                self.wrong.append(f"{status} for {activity['id']}")
            return status == 202

        await self._patiently(once)

    async def _publish(self, who: str, event: Event) -> None:
        if who != "nick":
            await self.relay.publish(event)
            return

        async def once() -> bool:
            async with client(self.daemon.relay_url) as c:
                taken, why = await c.publish(event)
                if not taken and not why.startswith("error:"):
                    self.wrong.append(f"{why} for event {event.id}")
                return taken

        await self._patiently(once)

    async def _patiently(self, once: Callable[[], Awaitable[Any]]) -> Any:
        """Until it goes well: the daemon may be dead, or die over it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError, WebSocketException, OSError, TimeoutError, AssertionError):
                if got := await once():
                    return got
            await asyncio.sleep(0.05)
        raise AssertionError(f"not taken in {PATIENCE} s")

    def _activity(self, act: Act) -> dict[str, Any]:
        actor, world, number = self.people[act.who], self.world, act.number
        target = act.target or 0
        match act.do:
            case "post" | "reply":
                more: dict[str, Any] = {}
                if act.do == "reply":
                    note = world.told(world.history[target], actor.peer)[0].json["object"]
                    more = {"inReplyTo": note["id"], "cc": [actor.followers, note["attributedTo"]]}
                made = actor.create(act.mark, **more)
                self._notes[number] = made["object"]
                world.ids[number] = made["object"]["id"]
            case "edit":
                made = actor.update(self._notes[target], act.mark)
                self._notes[target] = made["object"]
                world.ids[number] = world.ids[target]
            case "delete":
                made = actor.delete(world.ids[target])
                world.ids[number] = made["id"]
            case "like":
                made = actor.like(world.told(world.history[target], actor.peer)[0].json["object"]["id"])
                self._likes[number] = made
                world.ids[number] = made["id"]
            case "unlike":
                made = actor.undo(self._likes[target])
                world.ids[number] = made["id"]
            case "profile":
                shown = actor.show(name=f"{act.who} {act.mark}")
                made = actor.activity("Update", shown, to=["https://www.w3.org/ns/activitystreams#Public"])
            case "follow":
                made = self._follows[act.who] = actor.follow(self.world.ghosts["nina"])
            case _:
                made = actor.undo(self._follows[act.who])
        return made

    def _as_event(self, act: Act) -> Event:
        world, who = self.world, act.who
        target = act.target or 0
        match act.do:
            case "post":
                event = self._event(who, 1, act.mark)
            case "reply" | "like":
                aimed = world.history[target]
                seen = world.events(world.newest(target, act.number))[0]["id"]
                tags = [("e", seen, "", "root")[: 4 if act.do == "reply" else 2], ("p", world.ghosts[aimed.who])]
                event = self._event(who, 1 if act.do == "reply" else 7, act.mark if act.do == "reply" else "+", *tags)
            case "delete" | "unlike":
                event = self._event(who, 5, "", ("e", world.ids[target]))
            case "profile":
                event = self._event(who, 0, json.dumps({"name": f"{who} {act.mark}"}))
            case _:
                tags = [("p", world.ghosts["alice"])] if act.do == "follow" else []
                event = self._event(who, 3, "", *tags)
        world.ids[act.number] = event.id
        return event

    def _event(self, who: str, kind: int, content: str, *tags: tuple[str, ...]) -> Event:
        """Each dated a second after the last, if need be: events of the same second have no order of their own."""
        self._dated[who] = max(int(time.time()), self._dated.get(who, 0) + 1)
        return said(who, kind, content, *tags, at=self._dated[who])

    def _ghost(self, actor: Actor) -> str:
        """The public key of who stands for somebody of the fediverse on Nostr."""
        names = (e for e in self.relay.events(kinds=[0]) if any(t[:2] == ["proxy", actor.id] for t in e["tags"]))
        return next((e["pubkey"] for e in names), "")

    def _took(self, got: Got) -> None:
        """Servers answer a Follow of one of theirs with an Accept."""
        if got.method == "POST" and got.json["type"] == "Follow":
            actor = next((a for peer in set(self.world.homes.values()) for a in peer.actors.values()
                          if a.id == got.json["object"]), None)  # fmt: skip
            if actor is not None:
                self.later(self.send(actor, actor.activity("Accept", got.json)))

    async def own(self) -> list[dict[str, Any]]:
        """What the bridge's own relay holds of the ghosts."""
        async with client(self.daemon.relay_url) as c:
            return await c.stored({"authors": [self.world.ghosts[who] for who in FEDIVERSE], "limit": 500})

    async def close(self) -> None:
        for task in self._others:
            task.cancel()
        await asyncio.gather(*self._others, return_exceptions=True)
