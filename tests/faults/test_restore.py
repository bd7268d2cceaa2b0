"""The bridge lives on after its backup, is restored from it, and goes on: nothing said outwards is contradicted."""

import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .kit import eventually
from .kit.daemon import Daemon, database
from .kit.fediverse import Actor, Peer
from .kit.nostr import Relay, key, npub, said

PAIRS = 40
REPLACED = (0, 3, 10000, 10001, 10002, 30023)


class Town:
    """Alice of the fediverse and Nora of Nostr are bridged and follow one another; Olga and Pia are heard of later."""

    def __init__(self, daemon: Daemon, peer: Peer, relay: Relay) -> None:
        self.daemon, self.peer, self.relay = daemon, peer, relay
        self.alice: Actor = peer.actor("alice")
        self.said: list[dict[str, Any]] = []

    async def settle(self) -> None:
        await self.relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        for name in ("olga", "pia"):
            await self.relay.publish(said(name, 0, json.dumps({"name": name})))
        self.alice.show(outbox=f"{self.alice.id}/outbox")
        self.peer.documents["/users/alice/outbox"] = {}
        await self.daemon.start()
        await self.send(self.alice.follow(await self.daemon.actor_of("bridge")))
        await self.send(self.alice.follow(await self.daemon.actor_of(npub("nora"))))
        await eventually(lambda: len(self.peer.posts("Accept")) == 2)
        await eventually(lambda: self.relay.events(kinds=[3]))

    async def send(self, activity: dict[str, Any]) -> None:
        assert await self.alice.send(activity, f"{self.daemon.base}/inbox") == 202

    async def says(self, text: str) -> dict[str, Any]:
        """A post by alice that has crossed; her outbox shows it."""
        create = self.alice.create(text)
        self.said.insert(0, create["object"])
        items = [{"type": "Create", "actor": self.alice.id, "object": note} for note in self.said]
        outbox = {"id": f"{self.alice.id}/outbox", "type": "OrderedCollection", "orderedItems": items}
        self.peer.documents["/users/alice/outbox"] = outbox
        await self.send(create)
        await eventually(lambda: self.notes(text))
        return create["object"]

    async def edits(self, note: dict[str, Any], text: str) -> None:
        update = self.alice.update(note, text)
        self.said[:] = [update["object"] if each["id"] == note["id"] else each for each in self.said]
        await self.send(update)
        await eventually(lambda: self.notes(text))

    async def is_called(self, name: str) -> None:
        actor = self.alice.show(outbox=f"{self.alice.id}/outbox", name=name)
        await self.send(self.alice.activity("Update", actor, to=["https://www.w3.org/ns/activitystreams#Public"]))
        await self.replaced(0, lambda event: name in event["content"])

    async def follows(self, name: str) -> None:
        await self.send(self.alice.follow(await self.daemon.actor_of(npub(name))))
        await self.replaced(3, lambda event: ["p", key(name)] in event["tags"])

    async def hurries(self) -> None:
        """So many changes of heart, each dated a second after the last, that the newest list is ahead of its time."""
        follow = self.alice.follow(await self.daemon.actor_of(npub("olga")))
        for _ in range(PAIRS):
            await self.send(self.alice.undo(follow))
            await self.send(follow := {**follow, "id": f"{follow['id']}x"})
        latest = max(e["created_at"] for e in await eventually(lambda: self._lists(2 * PAIRS)))
        assert latest > time.time() + PAIRS

    def _lists(self, least: int) -> list[dict[str, Any]]:
        lists = self.relay.events(kinds=[3])
        return lists if len(lists) >= least else []

    async def replaced(self, kind: int, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await eventually(lambda: [e for e in self.relay.events(kinds=[kind]) if is_it(e)][-1])

    async def nora(self, kind: int, text: str, *tags: tuple[str, ...]) -> str:
        """Nora says something; her event's id, once it has reached alice's server."""
        event = said("nora", kind, text, *tags)
        await self.relay.publish(event)
        await eventually(lambda: self.heard(text or event.id[:16]) or kind == 5)
        return event.id

    def notes(self, text: str) -> list[dict[str, Any]]:
        return [e for e in self.relay.events(kinds=[1]) if e["content"] == text]

    def heard(self, text: str) -> list[Any]:
        return [got for got in self.peer.posts() if text.encode() in got.body]


def changed_bodies(peer: Peer) -> dict[str, int]:
    """Ids of activities that arrived with more than one body."""
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    for got in peer.posts(accepted=False):
        bodies[got.json["id"]].add(got.body)
    return {id: len(each) for id, each in bodies.items() if len(each) > 1}


def replaceables(relay: Relay) -> dict[tuple[str, ...], list[tuple[int, str]]]:
    """(kind, key, d) -> (created_at, id) of every version, in the order in which they were first sent."""
    found: defaultdict[tuple[str, ...], dict[tuple[int, str], None]] = defaultdict(dict)
    for frame in relay.heard():
        event = frame.json[1]
        if event["kind"] in REPLACED:
            name = next((t[1] for t in event["tags"] if t[0] == "d"), "")
            found[str(event["kind"]), event["pubkey"], name][event["created_at"], event["id"]] = None
    return {place: list(versions) for place, versions in found.items()}


async def test_what_was_said_after_the_backup_is_not_contradicted_after_the_restore(tmp_path: Path) -> None:
    """From SQLite into PostgreSQL: so it is the move from one to the other as well."""
    async with database("postgresql") as second, Peer() as peer, Relay() as relay:
        daemon = Daemon(tmp_path, config={"adapters": {"nostr": {"relays": [relay.url]}}})
        town = Town(daemon, peer, relay)
        await town.settle()
        first = await town.says("first words")
        early = await town.nora(1, "nora speaks")
        await town.nora(30023, "an article", ("d", "art"), ("title", "Art"))
        saved = await daemon.cli("backup", str(tmp_path / "saved"))
        assert saved["rows"]["copies"] > 0

        # what the backup does not know
        await town.says("after the backup")
        await town.edits(first, "first words, changed")
        await town.is_called("Alice the Second")
        await town.follows("olga")
        late = await town.nora(1, "nora speaks again")
        await town.nora(30023, "an article, longer", ("d", "art"), ("title", "Art"))
        await town.nora(5, "", ("e", early))
        await eventually(lambda: peer.posts("Delete"))
        await town.hurries()
        before = replaceables(relay)
        await daemon.kill()

        # all of it is lost
        await daemon.restore(tmp_path / "saved", second)
        mark = len(peer.got)
        await daemon.start()

        # it is asked for again, from relays and from alice's server
        again = await eventually(lambda: [g for g in peer.got[mark:] if b"nora speaks again" in g.body])
        assert again[0].json["object"]["id"].endswith(late)
        await eventually(lambda: [g for g in peer.got[mark:] if g.method == "POST" and g.json["type"] == "Delete"])
        texts = "SELECT count(*) AS n FROM copies WHERE network = 'nostr' AND act = 'Post' AND gone = 0"
        await eventually(lambda: _count(daemon, texts, 2))
        profile = await eventually(lambda: _newest(relay, before, 0))
        assert "Alice the Second" in profile["content"]
        assert len(town.notes("after the backup")) == 1
        status, _, _ = await daemon.get(f"/objects/nostr/{early}", {"Accept": "application/activity+json"})
        assert status == 410

        # and life goes on
        await town.edits(first, "first words, changed twice")
        await town.is_called("Alice the Third")
        await town.follows("pia")
        await town.nora(1, "nora goes on")
        await town.nora(30023, "an article, at last", ("d", "art"), ("title", "Art"))

        assert changed_bodies(peer) == {}
        after = replaceables(relay)
        assert {k for (k, _, _) in after} >= {"0", "3", "10002"}
        for place, versions in after.items():
            new = [at for at, id in versions if (at, id) not in before.get(place, [])]
            newest = max((at for at, _ in before.get(place, [])), default=0)
            assert all(at > newest for at in new), f"{place}: {versions}"
            assert new == sorted(set(new)), f"{place}: {versions}"
        assert await daemon.stop() == 0


async def _count(daemon: Daemon, sql: str, least: int) -> bool:
    return (await daemon.rows(sql))[0]["n"] >= least


def _newest(relay: Relay, before: dict[tuple[str, ...], list[tuple[int, str]]], kind: int) -> dict[str, Any]:
    known = {id for versions in before.values() for _, id in versions}
    return [e for e in relay.events(kinds=[kind]) if e["id"] not in known][-1]
