"""A bridge in this process with people who post on both sides, and a database that is filled with copies of that.

No network: the fediverse is a script, our own relay is the whole of Nostr. What a post leaves behind is not
written down here: some are carried the real way, and their rows are multiplied.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.activitypub.adapter import ActivityPub
from adapters.nostr import ids, signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.event import sign
from bridged.api import Envelope, Ref, Response
from bridged.store import identity
from bridged.testing import Harness, ScriptedHttp

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
HOST = "https://social.example"
PEOPLE = 10
"""On each side; everybody is followed by two from the other."""
_WORDS = ("some", "words", "people", "use", "every", "day", "and", "others", "once", "in", "while", "about", "rain")

_REFERS = {"outbox": [("copy", "copies")], "nostr_words": [("seq", "nostr_texts")]}
"""Columns with the number of a row in another table, which comes before theirs by name."""
_TIMES = frozenset({"at", "created_at", "received_at", "queued_at"})
Row = tuple[Any, ...]


class Outside(ScriptedHttp):
    """A server with all the people of the fediverse, one shared inbox, and an answer for everything."""

    def __init__(self) -> None:
        super().__init__()
        self.pages[f"{HOST}/inbox"] = lambda _body, _headers: Response(202, f"{HOST}/inbox", {}, b"")
        for number in range(PEOPLE):
            actor = actor_of(number)
            document = {
                "@context": "https://www.w3.org/ns/activitystreams",
                "id": actor,
                "type": "Person",
                "preferredUsername": f"user{number}",
                "name": f"User {number}",
                "inbox": f"{actor}/inbox",
                "endpoints": {"sharedInbox": f"{HOST}/inbox"},
                "publicKey": {"id": f"{actor}#main-key", "owner": actor, "publicKeyPem": "none"},
            }
            self.serve(actor, json.dumps(document).encode(), type="application/activity+json")


def actor_of(number: int) -> str:
    return f"{HOST}/users/u{number:04d}"


def secret_of(number: int) -> bytes:
    return hashlib.sha256(f"town {number}".encode()).digest()


class Town:
    """Use `start` once; then `toot` and `note` carry one post each, all the way, and say how it went."""

    def __init__(self, bridge: Harness, outside: Outside) -> None:
        self.bridge, self.outside = bridge, outside
        self.natives = [ids.account_ref(signing.public_key(secret_of(n)).hex()) for n in range(PEOPLE)]
        self.fedi = [Ref("activitypub", actor_of(n)) for n in range(PEOPLE)]

    async def start(self) -> "Town":
        bridge = self.bridge
        for ref in (*self.fedi, *self.natives):
            await bridge.write(lambda tx, r=ref: identity.set_standing(tx, r, "in", "operator", 0.0))
        for n in range(PEOPLE):
            ghosts = [await bridge.ghost(self.natives[(n + k) % PEOPLE], "activitypub") for k in range(2)]
            for k, ghost in enumerate(ghosts):
                follow = {"id": f"{actor_of(n)}/follows/{k}", "type": "Follow", "object": ghost.ref.id}
                await self._activity(n, follow)
            followed = [await bridge.ghost(self.fedi[(n + k) % PEOPLE], "nostr") for k in range(2)]
            await self._event(n, 3, "", [("p", ghost.ref.id) for ghost in followed])
        return self

    async def toot(self, number: int, name: str) -> None:
        """A post of the fediverse, until our relay has it; `name` must be new."""
        actor = actor_of(number % PEOPLE)
        words = " ".join(_WORDS[(number + step) % len(_WORDS)] for step in range(12))
        note = {
            "id": f"{HOST}/notes/{name}",
            "type": "Note",
            "attributedTo": actor,
            "content": f'<p>{words} {name} <a href="{HOST}/tags/rain" class="hashtag">#rain</a></p>',
            "url": f"{HOST}/@user/{name}",
            "to": [PUBLIC],
            "cc": [f"{actor}/followers"],
            "tag": [{"type": "Hashtag", "name": "#rain", "href": f"{HOST}/tags/rain"}],
        }
        create = {
            "id": f"{HOST}/notes/{name}/create",
            "type": "Create",
            "object": note,
            "to": [PUBLIC],
            "cc": note["cc"],
        }
        await self._activity(number % PEOPLE, create)

    async def note(self, number: int, name: str) -> None:
        """A note of Nostr, until the fediverse has it."""
        words = " ".join(_WORDS[(number + step) % len(_WORDS)] for step in range(12))
        await self._event(number % PEOPLE, 1, f"{words} {name} #rain", [("t", "rain")])

    async def _activity(self, number: int, said: dict[str, Any]) -> None:
        body = json.dumps({"actor": actor_of(number), **said}).encode()
        envelope = Envelope("activitypub", said["id"], body, "inbox", self.fedi[number], self.bridge.clock())
        await self.bridge.hear(envelope)

    async def _event(self, number: int, kind: int, text: str, tags: list[tuple[str, ...]]) -> None:
        """As a client of our relay publishes it."""
        bridge = self.bridge
        bridge.clock.move(1)
        event = sign(secret_of(number), kind, int(bridge.clock()), tags, text)
        nostr: Any = bridge.core.adapters["nostr"]
        accepted, why = await nostr._relay.publish(event, frozenset())
        assert accepted, why
        await bridge.settle()


def harness(folder: Path, store: str) -> Harness:
    adapters: Any = [ActivityPub, Nostr]
    return Harness(adapters, data_dir=folder, store=store, http=Outside())


class Copier:
    """Multiplies what posts have left in the tables."""

    def __init__(self, conn: sa.Connection) -> None:
        meta = sa.MetaData()
        meta.reflect(conn)
        self._tables = {t.name: t for t in meta.sorted_tables if not t.name.endswith("_version")}
        self.columns = {name: [c.name for c in table.columns] for name, table in self._tables.items()}

    def rows(self, conn: sa.Connection) -> dict[str, dict[Row, Row]]:
        """All there is: table -> primary key -> row."""
        found: dict[str, dict[Row, Row]] = {}
        for name, table in self._tables.items():
            key, width = table.primary_key.columns, len(table.primary_key.columns)
            rows = [tuple(row) for row in conn.execute(sa.select(*key, *table.columns))]
            found[name] = {row[:width]: row[width:] for row in rows}
        return found

    def numbers(self, conn: sa.Connection) -> dict[str, int]:
        """For every table whose rows are counted the first number that is free."""
        found: dict[str, int] = {}
        for name, table in self._tables.items():
            (first, *rest) = table.primary_key.columns
            if not rest and isinstance(first.type, sa.Integer):
                found[name] = (conn.execute(sa.select(sa.func.max(first))).scalar() or 0) + 1
        return found

    def further(
        self, left: Mapping[str, Sequence[Row]], marks: Sequence[str], numbers: dict[str, int], counts: range
    ) -> Iterator[tuple[str, Row]]:
        """(table, row) of further posts like the one that left these rows, one for each of `counts`.

        `marks` are what is its alone: words that are renamed wherever they stand. `numbers` goes on counting.
        """
        for count in counts:
            fresh = [(mark, hashlib.sha256(f"{mark} {count}".encode()).hexdigest()[: len(mark)]) for mark in marks]
            pairs = [(old, new, old.encode(), new.encode()) for old, new in fresh]
            counted: dict[tuple[str, Any], int] = {}
            for table, rows in left.items():
                for row in rows:
                    values = [
                        self._renamed(name, value, pairs, count)
                        for name, value in zip(self.columns[table], row, strict=True)
                    ]
                    if table in numbers:
                        counted[table, row[0]] = values[0] = numbers[table]
                        numbers[table] += 1
                    for column, other in _REFERS.get(table, ()):
                        place = self.columns[table].index(column)
                        values[place] = counted.get((other, row[place]), row[place])
                    yield table, tuple(values)

    @staticmethod
    def _renamed(column: str, value: Any, pairs: Sequence[tuple[str, str, bytes, bytes]], count: int) -> Any:
        if isinstance(value, str):
            for old, new, _, _ in pairs:
                if old in value:
                    value = value.replace(old, new)
        elif isinstance(value, bytes):
            for _, _, old, new in pairs:
                if old in value:
                    value = value.replace(old, new)
        elif column in _TIMES and value:
            return value - 7 * count
        return value
