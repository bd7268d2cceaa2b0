"""Our own PDS against whoever comes by: absurd questions, floods, readers that never read. Nothing there writes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from adapters.atproto import cbor

from .kit import eventually
from .kit.daemon import Daemon
from .kit.fediverse import Peer
from .kit.heaven import HANDLES, did_at
from .kit.raw import BINARY, CLOSE, RawClient, frames
from .kit.watch import calm

pytestmark = pytest.mark.asyncio(loop_scope="module")
POSTS = 40
SUBSCRIBE = "/xrpc/com.atproto.sync.subscribeRepos"


class Stage:
    """alice of the fediverse is a member; what she says is kept and served here, under `did`."""

    def __init__(self, daemon: Daemon, peer: Peer) -> None:
        self.daemon, self.peer, self.alice = daemon, peer, peer.actor("alice")
        self.did, self.bot, self.posts = "", "", 0

    async def say(self, text: str) -> None:
        assert await self.alice.send(self.alice.create(text), f"{self.daemon.base}/inbox") == 202
        self.posts += 1

    async def asked(self, name: str, query: str = "") -> tuple[int, bytes]:
        status, _, body = await self.daemon.get(f"/xrpc/com.atproto.{name}?{query}")
        return status, body

    async def settled(self) -> None:
        """All that was heard is decided on, all that was queued done."""

        async def idle() -> bool:
            heard = await self.daemon.rows("SELECT native_id FROM inbox WHERE state = 'new'")
            queued = await self.daemon.rows("SELECT id FROM outbox WHERE state = 'ready' AND attempt = 0")
            assert not heard + queued, f"waits: {len(heard)} {len(queued)}"
            return True

        await eventually(idle)

    async def good(self) -> None:
        """What she says is in her repo, and is shown."""
        text = f"good as ever {self.posts}"
        await self.say(text)

        async def shown() -> bool:
            # within a second the order of keys is nobody's: the newest are not the last said
            cursor: str | None = ""
            while cursor is not None:
                query = f"repo={self.did}&collection=app.bsky.feed.post&limit=100&cursor={cursor}"
                page = json.loads((await self.asked("repo.listRecords", query))[1])
                if any(record["value"]["text"] == text for record in page["records"]):
                    return True
                cursor = page.get("cursor")
            return False

        await eventually(shown)
        await self.settled()

    async def counts(self) -> dict[str, int]:
        names = await self.daemon.rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        union = " UNION ALL ".join(f"SELECT '{n['name']}' AS name, count(*) AS n FROM {n['name']}" for n in names)
        return {row["name"]: row["n"] for row in await self.daemon.rows(union)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with opened(tmp_path_factory.mktemp("outside")) as made:
        yield made


@contextlib.asynccontextmanager
async def opened(folder: Path, posts: int = POSTS) -> AsyncIterator[Stage]:
    """With so many posts in her repo."""
    daemon = Daemon(folder, config={"handle_domain": HANDLES})
    pace = {"second": 10_000, "hour": 1_000_000, "day": 10_000_000}
    daemon.config["adapters"] = {"activitypub": {}, "atproto": {"plc": "embedded", "pace": pace}}
    async with Peer() as peer:
        await daemon.start()
        made = Stage(daemon, peer)
        bot = await daemon.actor_of("bridge")
        assert await made.alice.send(made.alice.follow(bot), f"{daemon.base}/inbox") == 202
        await eventually(lambda: peer.posts("Accept"))
        repos = "SELECT did FROM atproto_identities WHERE owner_network = 'activitypub'"
        made.did = (await eventually(lambda: daemon.rows(repos)))[0]["did"]
        made.bot = await did_at(daemon, f"bridge.{HANDLES}")
        for n in range(posts):
            await made.say(f"{n} " + "long words " * 60)
        await made.settled()
        yield made
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log, daemon.tail(60)


# --- nothing is written ---------------------------------------------------------------------------------------

WRITES = [
    "server.createAccount",
    "server.createSession",
    "server.refreshSession",
    "server.deleteAccount",
    "server.createInviteCode",
    "server.createAppPassword",
    "server.requestPasswordReset",
    "server.activateAccount",
    "server.deactivateAccount",
    "repo.createRecord",
    "repo.putRecord",
    "repo.deleteRecord",
    "repo.applyWrites",
    "repo.uploadBlob",
    "repo.importRepo",
    "identity.updateHandle",
    "identity.signPlcOperation",
    "identity.submitPlcOperation",
    "identity.requestPlcOperationSignature",
    "admin.updateSubjectStatus",
    "admin.deleteAccount",
    "admin.updateAccountHandle",
    "sync.requestCrawl",
    "sync.notifyOfUpdate",
    "label.queryLabels",
    "moderation.createReport",
]


async def test_nobody_makes_an_account_or_writes_a_record_here(stage: Stage) -> None:
    before = await stage.counts()
    body = json.dumps(
        {"handle": f"evil.{HANDLES}", "email": "a@b.c", "password": "x", "did": stage.did, "repo": stage.did}
    )
    async with aiohttp.ClientSession() as session:
        for name in WRITES:
            url = f"{stage.daemon.base}/xrpc/com.atproto.{name}"
            for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic YWRtaW46YWRtaW4="}):
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status in (403, 404, 405), (name, answer.status)
        async with session.post(f"{stage.daemon.base}/xrpc/com.atproto.server.createAccount", data=body) as answer:
            assert (answer.status, (await answer.json())["error"]) == (403, "AccountCreationDisabled")
    assert await stage.counts() == before
    await stage.good()


# --- absurd questions -----------------------------------------------------------------------------------------

QUESTIONS = {
    "server.describeServer": ("did",),
    "repo.describeRepo": ("repo",),
    "repo.getRecord": ("repo", "collection", "rkey", "cid"),
    "repo.listRecords": ("repo", "collection", "limit", "cursor", "reverse"),
    "sync.getRepo": ("did", "since"),
    "sync.getRecord": ("did", "collection", "rkey"),
    "sync.getBlocks": ("did", "cids"),
    "sync.getLatestCommit": ("did",),
    "sync.getRepoStatus": ("did",),
    "sync.listRepos": ("limit", "cursor"),
    "sync.listBlobs": ("did", "since", "limit", "cursor"),
    "sync.getBlob": ("did", "cid"),
    "identity.resolveHandle": ("handle",),
}
ABSURD = [
    *("-1", "0", "1e9", "NaN", "0x10", "99999999999999999999", "-9223372036854775809", "1" * 5000, "５０", "1.5", "+1"),
    *("../../../../etc/passwd", "..", ".", "/", "//", "%2e%2e%2f", "%", "\0", "\r\nX: y", "'; DROP TABLE inbox; --"),
    *("did:plc:../../x", "did:plc:" + "a" * 24, "did:web:127.0.0.1", "did:web:localhost%3A80", "did:" + "x" * 5000),
    *("🦣" * 100, "\u202e", "ａ", "a" * 7000, "*", "null", "true", "[]", "{}", "bafy", "b" + "a" * 58, "Q" * 46),
    *("bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq", "f" * 200, "at://x/y/z", "self\n", " "),
]


def usual(stage: Stage) -> dict[str, str]:
    return {
        "repo": stage.did,
        "did": stage.did,
        "collection": "app.bsky.actor.profile",
        "rkey": "self",
        "handle": f"bridge.{HANDLES}",
        "cids": "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq",
        "cid": "bafkreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq",
    }


@pytest.mark.parametrize("name", QUESTIONS)
async def test_absurd_question_gets_an_answer_and_does_nothing(stage: Stage, name: str) -> None:
    before = await stage.counts()
    async with calm(stage.daemon), aiohttp.ClientSession() as session:
        for odd in QUESTIONS[name]:
            for value in ABSURD:
                fields = {key: each for key, each in usual(stage).items() if key in QUESTIONS[name] and key != odd}
                query = "&".join(f"{key}={quote(each)}" for key, each in {**fields, odd: value}.items())
                async with session.get(f"{stage.daemon.base}/xrpc/com.atproto.{name}?{query}") as answer:
                    body = await answer.read()
                    assert answer.status in (200, 400, 404), (odd, value[:50], answer.status, body[:200])
                    if answer.status == 400 and answer.content_type == "application/json":
                        assert json.loads(body)["error"]
                    assert b"root:" not in body
        for extra in ("&".join(["x=1"] * 1500), "=", "&&&", "%ff=%fe", "did[]=1", f"did={stage.did}&did=x"):
            async with session.get(f"{stage.daemon.base}/xrpc/com.atproto.{name}?{extra}") as answer:
                assert answer.status in (200, 400, 404), extra[:50]
    assert await stage.counts() == before
    await stage.good()


async def test_ten_thousand_cids_are_too_many(stage: Stage) -> None:
    cid = usual(stage)["cids"]
    async with calm(stage.daemon):
        for count in (0, 100, 10_000):
            query = f"did={stage.did}" + f"&cids={cid}" * count
            try:
                status, _ = await stage.asked("sync.getBlocks", query)
            except aiohttp.ClientError:
                status = 400  # hung up on, in the middle of a line without end
            assert status == 400
    await stage.good()


async def test_paths_lead_nowhere_but_to_what_is_meant(stage: Stage) -> None:
    for path in (
        "/xrpc/../bridge.yaml",
        "/xrpc/%2e%2e/%2e%2e/etc/passwd",
        "/media/../../bridge.yaml",
        "/media/..%2f..%2fsecret.key",
        f"/media/{'0' * 64}",
        f"/media/{'0' * 62}%2f.",
        f"/media/{'g' * 64}",
        "/xrpc/com.atproto.sync.getBlob/../../secret.key",
        "/plc/..%2f..%2fsecret.key",
        "/did:plc:../../secret.key",
        "/.well-known/atproto-did/..%2f..%2fsecret.key",
    ):
        answered = await _raw(stage.daemon, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answered.split(b" ", 2)[1] in (b"400", b"404"), (path, answered[:200])
    await stage.good()


async def _raw(daemon: Daemon, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(1 << 16), 60)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "host", ["", "evil.example", f"..{HANDLES}", f"{'a' * 70}.{HANDLES}", "bridge.test", "[::1]:80"]
)
async def test_host_of_a_request_that_is_no_handle_of_ours_finds_nobody(stage: Stage, host: str) -> None:
    for path in ("/.well-known/atproto-did", "/.well-known/did.json"):
        answered = await _raw(
            stage.daemon, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert answered.split(b" ", 2)[1] in (b"400", b"404"), answered[:200]


# --- floods ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["listRecords", "getRepo"])
async def test_flood_of_reads_is_answered_and_not_felt(stage: Stage, name: str) -> None:
    query = f"repo={stage.did}&collection=app.bsky.feed.post&limit=100"
    url = f"/xrpc/com.atproto.repo.listRecords?{query}"
    if name == "getRepo":
        url = f"/xrpc/com.atproto.sync.getRepo?did={stage.did}"

    statuses: list[int] = []

    async def reads(session: aiohttp.ClientSession) -> None:
        for _ in range(8):
            async with session.get(stage.daemon.base + url) as answer:
                await answer.read()
                statuses.append(answer.status)

    async with calm(stage.daemon, lag=0.25), aiohttp.ClientSession() as session:
        await asyncio.gather(*(reads(session) for _ in range(30)))
        await stage.good()
    assert set(statuses) <= {200, 429, 503}
    assert statuses.count(200) > 10


async def never_reads(daemon: Daemon, request: str, times: int = 1) -> socket.socket:
    """Asks, and has no room for the answer; what the kernel holds for it is kept small too."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", daemon.port))
    await loop.sock_sendall(sock, request.encode() * times)
    return sock


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


async def test_who_asks_for_repos_and_never_reads_them_keeps_nobody_from_theirs(stage: Stage) -> None:
    url = f"/xrpc/com.atproto.sync.getRepo?did={stage.did}"
    other = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with calm(stage.daemon), aiohttp.ClientSession(connector=other) as session:
        held = [await never_reads(stage.daemon, f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n", 20) for _ in range(20)]
        await asyncio.sleep(1)
        for _ in range(3):
            async with asyncio.timeout(9), session.get(stage.daemon.base + url) as answer:
                assert answer.status == 200
                assert len(await answer.read()) > 50_000

        async def let_go() -> float:
            return await stage.daemon.metric("bridged_dropped_total", reason="export_slow_reader")

        await eventually(let_go)
        for sock in held:
            sock.close()
        await stage.good()


# --- the firehose ---------------------------------------------------------------------------------------------


def words(heard: Iterable[tuple[int, bytes]]) -> list[dict[str, Any]]:
    """What errors there were, as objects."""
    start = cbor.encode({"op": -1})
    return [cbor.decode(data[len(start) :]) for _, data in heard if data.startswith(start)]


class Reader(RawClient):
    """`asked` is the query, from its ?."""

    def __init__(self, daemon: Daemon, asked: str) -> None:
        super().__init__(f"ws://{daemon.domain}{SUBSCRIBE}{asked}")

    def events(self) -> int:
        return sum(opcode == BINARY and data.startswith(b"\xa2") for opcode, data in self.frames)


CURSORS = {
    **dict.fromkeys(("x", "-1", "1.5", "1" * 5000, "%00", "NaN", "%EF%BC%91", "0x1", "%F0%9F%A6%A3"), "InvalidRequest"),
    **dict.fromkeys(("999999999999", "9" * 18), "FutureCursor"),
}


async def test_cursor_that_is_no_number_or_from_the_future_is_told_so(stage: Stage) -> None:
    async def asked(cursor: str, error: str) -> None:
        async with Reader(stage.daemon, f"?cursor={cursor}") as reader:
            await asyncio.wait_for(reader.ended.wait(), 60)
            assert [word["error"] for word in words(reader.frames)] == [error], cursor
            assert reader.events() == 0

    await asyncio.gather(*(asked(*each) for each in CURSORS.items()))
    await stage.good()


async def wakes(sock: socket.socket) -> list[tuple[int, bytes]]:
    """Reads on to the end what a socket that has not read was sent."""
    reader, writer = await asyncio.open_connection(sock=sock)
    async with asyncio.timeout(60):
        await reader.readuntil(b"\r\n\r\n")
        heard = [each async for each in frames(reader)]
    writer.close()
    return heard


async def test_readers_that_never_read_are_sent_away_and_the_others_read_on(stage: Stage) -> None:
    before = descriptors(stage.daemon)
    ask = (
        f"GET {SUBSCRIBE}?cursor=0 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    dropped = await stage.daemon.metric("bridged_dropped_total", reason="firehose_slow_reader")
    async with Reader(stage.daemon, "?cursor=0") as reader:
        async with calm(stage.daemon):
            held = [await never_reads(stage.daemon, ask) for _ in range(50)]
            await eventually(lambda: reader.events() > POSTS)
            seen = reader.events()
            for _ in range(3):
                await stage.good()
            await eventually(lambda: reader.events() >= seen + 3)

            async def gone() -> bool:
                now = await stage.daemon.metric("bridged_dropped_total", reason="firehose_slow_reader")
                assert now == dropped + len(held), now
                return True

            await eventually(gone)
            # one wakes up just then: it has what it slept over, and is told why there is no more
            heard = await wakes(held.pop())
            assert [word["error"] for word in words(heard)] == ["ConsumerTooSlow"]
            assert [opcode for opcode, _ in heard][-2:] == [BINARY, CLOSE]
            assert words(heard[-2:-1])
            assert len(heard) > 3
            await eventually(lambda: descriptors(stage.daemon) < before + 10)
        for sock in held:
            sock.close()
        await stage.good()
        assert not reader.ended.is_set()


async def test_reader_that_talks_is_not_listened_to_and_one_that_shouts_is_sent_away(stage: Stage) -> None:
    async with Reader(stage.daemon, "") as quiet, Reader(stage.daemon, "") as loud, calm(stage.daemon):
        await loud.say("x" * 100_000)
        await asyncio.wait_for(loud.ended.wait(), 60)
        for n in range(100):
            await quiet.say("hello", n)
        await stage.good()
        await eventually(lambda: quiet.events() >= 1)


async def test_more_readers_than_there_is_room_for_are_asked_to_come_back(stage: Stage) -> None:
    readers: list[Reader] = []
    try:
        for _ in range(20):
            some = [Reader(stage.daemon, "") for _ in range(100)]
            readers += some
            await asyncio.gather(*(reader.__aenter__() for reader in some))
        assert all(b" 101 " in reader.head for reader in readers)
        async with Reader(stage.daemon, "") as late:
            assert b" 503 " in late.head
            assert b"Retry-After" in late.head

        async def all_hear() -> bool:
            # who came last is served from a moment after the handshake on: what was said before is not for them
            await stage.good()
            return all(reader.events() for reader in readers)

        await eventually(all_hear, timeout=120, every=2)
    finally:
        await asyncio.gather(*(reader.__aexit__() for reader in readers))
    await stage.good()
