"""A small town on all networks there were, lived by whatever version of the bridge is on the path: `make.py` makes
databases of earlier versions with it, and the tests let it go on with today's. So it uses nothing but what all of them
have.
"""

import json
from typing import Any

from sqlalchemy import text

from adapters.activitypub.adapter import ActivityPub
from adapters.nostr import ids, signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.event import Event, sign, to_json
from bridged.api import Envelope, Ref, Response
from bridged.store import identity
from bridged.testing import Harness, ScriptedHttp

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
MAYA, ZOE = "https://peer.example/users/maya", "https://broken.example/users/zoe"
SECRET = b"\x07" * 32
KEY = signing.public_key(SECRET).hex()
ADAPTERS: list[Any] = [ActivityPub, Nostr]
COPIES = "SELECT origin_network, origin_id, network, part, version, ref, gone, served FROM copies ORDER BY id"
GHOSTS = "SELECT owner_network, owner_id, network, ref, handle, state FROM ghosts ORDER BY network, ref"
REPOS = "SELECT did, rev, status, root, head FROM atproto_repos ORDER BY id"
WAITING = "SELECT l.endpoint, o.body FROM outbox o JOIN lanes l ON l.id = o.lane WHERE o.state = 'ready' ORDER BY o.id"


def networks(version: str) -> tuple[list[Any], dict[str, Any]]:
    """The adapters that the state at the end of an issue had, and their settings."""
    if int(version.removeprefix("issue-")) < 5:
        return ADAPTERS, {}
    from adapters.atproto.adapter import Atproto

    return [*ADAPTERS, Atproto], {"configs": {"atproto": {"plc": "embedded"}}}


class Outside(ScriptedHttp):
    """The servers of maya, who is reached, and of zoe, who is not until `mend`."""

    def __init__(self) -> None:
        super().__init__()
        for actor in (MAYA, ZOE):
            name = actor.rpartition("/")[2]
            document = {
                "@context": "https://www.w3.org/ns/activitystreams",
                "id": actor,
                "type": "Person",
                "preferredUsername": name,
                "name": name.title(),
                "inbox": f"{actor}/inbox",
                "publicKey": {"id": f"{actor}#main-key", "owner": actor, "publicKeyPem": "none"},
            }
            self.serve(actor, json.dumps(document).encode(), type="application/activity+json")
        self.mend(MAYA)

    def mend(self, actor: str) -> None:
        self.pages[f"{actor}/inbox"] = lambda _body, _headers: Response(202, f"{actor}/inbox", {}, b"")

    def inbox(self, actor: str, kind: str = "") -> list[dict[str, Any]]:
        """What arrived, each id once."""
        said = {a["id"]: a for url, body, _ in self.posted if url == f"{actor}/inbox" and (a := json.loads(body))}
        return [a for a in said.values() if not kind or a["type"] == kind]


class Town:
    """Maya and zoe of the fediverse follow nora of Nostr, who follows maya."""

    def __init__(self, bridge: Harness, outside: Outside) -> None:
        self.bridge, self.outside = bridge, outside
        self.maya, self.nora = Ref("activitypub", MAYA), ids.account_ref(KEY)
        self.count = 0

    async def live(self) -> dict[str, Any]:
        """Posts, answers, likes, edits and deletions; at the end, something waits at every station. What is to stay."""
        for ref in (self.maya, self.nora, Ref("activitypub", ZOE)):
            await self.bridge.write(lambda tx, r=ref: identity.set_standing(tx, r, "in", "operator", 0.0))
        await self.event(0, json.dumps({"name": "nora", "about": "of Nostr"}))
        ghost = await self.bridge.ghost(self.nora, "activitypub")
        here = await self.bridge.ghost(self.maya, "nostr")
        for actor in (MAYA, ZOE):
            await self.activity({"type": "Follow", "object": ghost.ref.id}, by=actor)
        follows = await self.event(3, "", ["p", here.ref.id])
        first = await self.note("first words")
        second = await self.note("words to be edited")
        third = await self.note("words to be deleted")
        words = await self.event(1, "nora speaks")
        doomed = await self.event(1, "nora regrets")
        copy = (await self.bridge.copies(Ref("activitypub", first), "nostr"))[0].ref
        assert copy is not None
        answer = await self.event(1, "an answer", ["e", copy.id, "", "root"], ["p", here.ref.id])
        await self.event(7, "+", ["e", copy.id], ["p", here.ref.id], ["k", "1"])
        await self.edit(second, "words, edited")
        await self.activity({"type": "Delete", "object": {"id": third, "type": "Tombstone"}})
        await self.event(5, "", ["e", doomed.id], ["k", "1"])
        article = await self.event(30023, "long words", ["d", "art"], ["title", "An article"])
        envelope = Envelope("activitypub", f"{MAYA}/acts/late", b"", "inbox", self.maya, self.bridge.clock())
        late = await self.note("heard, not decided", envelope=envelope)
        return {
            "first": first,
            "second": second,
            "third": third,
            "late": late,
            "words": words.id,
            "doomed": doomed.id,
            "answer": answer.id,
            "article": article.id,
            "follows": follows.id,
            "clock": self.bridge.clock(),
            "count": self.count,
            **await self.standing(),
        }

    async def standing(self) -> dict[str, Any]:
        """All copies and ghosts, and what waits to be sent."""

        def unit(tx: Any) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for name, sql in (("copies", COPIES), ("ghosts", GHOSTS), ("waiting", WAITING)):
                rows = [[plain(value) for value in row] for row in tx.execute(text(sql))]
                found[name] = rows
            if "atproto" in self.bridge.hosts:
                found["repos"] = [[plain(value) for value in row] for row in tx.execute(text(REPOS))]
            return found

        return await self.bridge.read(unit)

    async def activity(self, said: dict[str, Any], by: str = MAYA, envelope: Envelope | None = None) -> str:
        self.bridge.clock.move(1)
        self.count += 1
        full = {"id": f"{by}/acts/{self.count}", "actor": by, "to": [PUBLIC], **said}
        body = json.dumps(full).encode()
        heard = Envelope("activitypub", full["id"], body, "inbox", Ref("activitypub", by), self.bridge.clock())
        await self.bridge.hear(heard, settle=envelope is None)
        return full["id"]

    async def note(self, text: str, envelope: Envelope | None = None, **more: Any) -> str:
        id = f"{MAYA}/notes/{self.count}"
        note = self._note(id, text, **more)
        await self.activity({"type": "Create", "object": note}, envelope=envelope)
        return id

    async def edit(self, id: str, text: str) -> None:
        note = self._note(id, text, updated=_time(self.bridge.clock() + 1))
        await self.activity({"type": "Update", "object": note})

    def _note(self, id: str, text: str, **more: Any) -> dict[str, Any]:
        note = {"id": id, "type": "Note", "attributedTo": MAYA, "content": f"<p>{text}</p>", "to": [PUBLIC]}
        return {**note, "published": _time(self.bridge.clock()), **more}

    async def event(self, kind: int, content: str, *tags: list[str]) -> Event:
        self.bridge.clock.move(1)
        event = sign(SECRET, kind, int(self.bridge.clock()), tags, content)
        await self.bridge.hear(
            Envelope("nostr", event.id, to_json(event), "wss://relay.example", self.nora, self.bridge.clock())
        )
        return event


def _time(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """Text as it is, other bytes in hex."""
    if not isinstance(value, bytes | memoryview):
        return value
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return bytes(value).hex()
