"""A firehose client on a scripted relay, with a directory that knows the accounts of a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import adapters.atproto
from adapters.atproto import known, tid
from adapters.atproto.crypto import PublicKey
from adapters.atproto.documents import Document
from adapters.atproto.firehose import Firehose
from adapters.atproto.known import Known
from bridged.api import Heard, Unreachable
from tests.unit.atproto.scripted_repo import ScriptedRepo
from tests.unit.atproto.stream_host import FakePeople, Pauses, StreamHost, running

NOW = 1_790_000_000.0
ALICE = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
BOB = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
GHOST = "did:plc:gggggggggggggggggggggggg"
STRANGER = "did:plc:ssssssssssssssssssssssss"
HEARD = Heard(full=frozenset({ALICE, BOB}), ghosts=frozenset({GHOST}))
PDS = "https://pds.test"
POSTS = "app.bsky.feed.post"


def post(text: str = "hello", **more: object) -> dict[str, object]:
    return {"$type": POSTS, "text": text, "createdAt": "2026-11-26T02:00:00Z", **more}


def key_at(second: int) -> str:
    """A record key of so many seconds after NOW."""
    return tid.make(int((NOW + second) * 1_000_000), 2)


class Directory:
    """Stands in for the resolver: `known` is what it says now, `renewed` what it says when asked again."""

    def __init__(self, *repos: ScriptedRepo) -> None:
        self.known: dict[str, PublicKey] = {repo.did: repo.key.public for repo in repos}
        self.renewed: dict[str, PublicKey] = {}
        self.again: list[str] = []

    async def document(self, did: str) -> Document | None:
        if did not in self.known:
            raise Unreachable("nobody")
        return Document(did, "", self.known[did], PDS)

    async def key_again(self, did: str) -> PublicKey | None:
        self.again.append(did)
        if did in self.renewed:
            self.known[did] = self.renewed.pop(did)
            return self.known[did]
        return None


def new_host(heard: Heard = HEARD) -> StreamHost:
    host = StreamHost(heard, at=NOW + 3600)
    host.migrate(Path(adapters.atproto.__file__).parent / "migrations")
    return host


@asynccontextmanager
async def listen(
    url: str, host: StreamHost, directory: Directory, people: FakePeople | None = None
) -> AsyncIterator[Pauses]:
    pauses = Pauses()
    firehose = Firehose(host, url, directory, people or FakePeople(), pauses, save_every=0.05)  # type: ignore[arg-type]
    async with running(firehose.run):
        yield pauses


async def row(host: StreamHost, did: str) -> Known | None:
    return (await host.read(lambda tx: known.of(tx, [did]))).get(did)


def rkeys(host: StreamHost) -> list[str]:
    return [envelope.id.partition("#")[0].rpartition("/")[2] for envelope in host.received]
