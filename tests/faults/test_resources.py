"""A full disk, a locked database, one that is gone or hangs, memory that is short: nothing is acknowledged that is not
kept, whoever asks is told to come back, and all is well again by itself.

Each test first proves that its fault fired.
"""

import asyncio
import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .kit import eventually
from .kit.daemon import Daemon, database
from .kit.fediverse import Actor, Peer
from .kit.heard import until_heard
from .kit.nostr import Relay, as_object, client, npub, said


class Stage:
    """Alice is bridged and follows nora. `taken`: what was acknowledged, texts of posts by alice and by nora."""

    def __init__(self, daemon: Daemon, peer: Peer, relay: Relay) -> None:
        self.daemon, self.peer, self.relay = daemon, peer, relay
        self.alice: Actor = peer.actor("alice")
        self.taken: dict[str, list[str]] = {"alice": [], "nora": [], "relay": []}
        self._number = 0

    def _words(self) -> str:
        self._number += 1
        return f"number {self._number} of {time.time_ns()}"

    async def post(self, size: int = 0) -> tuple[int, dict[str, str]]:
        """Alice posts to the inbox: status and headers."""
        words = self._words()
        body = json.dumps(self.alice.create(words + "." * size)).encode()
        inbox = f"{self.daemon.base}/inbox"
        status, headers, _ = await self.peer.post(inbox, body, self.alice.signed(inbox, body))
        if status == 202:
            self.taken["alice"].append(words)
        return status, dict(headers)

    async def publish(self) -> tuple[bool, str]:
        """Nora publishes at our relay."""
        words = self._words()
        async with client(self.daemon.relay_url) as c, asyncio.timeout(90):
            await c.say("EVENT", as_object(said("nora", 1, words)))
            while (told := json.loads(await c.socket.recv()))[0] != "OK":
                pass
        if told[2]:
            self.taken["nora"].append(words)
        return told[2], told[3]

    async def elsewhere(self) -> None:
        """Nora publishes at a relay that we listen to."""
        words = self._words()
        await self.relay.publish(said("nora", 1, words))
        self.taken["relay"].append(words)

    async def red(self, why: str, timeout: float = 90) -> None:
        async def is_red() -> bool:
            status, _, body = await self.daemon.get("/readyz")
            return status == 503 and why in json.loads(body)["reason"]

        await eventually(is_red, timeout=timeout)

    async def green(self, timeout: float = 90) -> None:
        await eventually(self.daemon.ready, timeout=timeout)

    async def all_is_well(self) -> None:
        """New posts cross both ways, and so has all that was ever acknowledged, once."""
        await self.green()
        assert (await self.post())[0] == 202
        assert await self.publish() == (True, "")
        for words in (*self.taken["nora"], *self.taken["relay"]):
            await eventually(lambda w=words: self._crossed(w, self.peer))
        for words in self.taken["alice"]:
            await eventually(lambda w=words: self._crossed(w, self.relay))

    def _crossed(self, words: str, where: Peer | Relay) -> bool:
        if isinstance(where, Peer):
            count = where.copies(words, "Create")
        else:
            count = sum(words in event["content"] for event in where.events(kinds=[1]))
        assert count <= 1, f"{count} copies of {words}"
        return count == 1


@contextlib.asynccontextmanager
async def staged(folder: Path, store: str = "sqlite", **more: Any) -> AsyncIterator[Stage]:
    async with Peer() as peer, Relay() as relay:
        await relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        daemon = Daemon(folder, store, {"adapters": {"nostr": {"relays": [relay.url]}}}, **more)
        await daemon.start()
        it = Stage(daemon, peer, relay)
        inbox = f"{daemon.base}/inbox"
        for whom in (await daemon.actor_of(npub("nora")), await daemon.actor_of("bridge")):
            assert await it.alice.send(it.alice.follow(whom), inbox) == 202
        await eventually(lambda: len(peer.posts("Accept")) == 2)
        await eventually(lambda: daemon.rows("SELECT state FROM members WHERE state = 'in'"))

        async def nora_is_heard() -> bool:
            return (await it.publish())[0]

        await eventually(nora_is_heard)
        del it.taken["alice"][: await until_heard(daemon, "activitypub", it.post)]  # said in vain
        await it.all_is_well()
        yield it
        assert await daemon.stop() == 0


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Any:
    """A disk of its own at `folder`; needs root, which the tests of real peers need too."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _refused_for_now(status: int, headers: dict[str, str]) -> None:
    assert status == 503
    assert 1 <= int(headers["retry-after"]) <= 3600


async def test_full_disk_is_survived(tmp_path: Path) -> None:
    with small_disk(tmp_path / "bridge" / "var", 24):
        async with staged(tmp_path / "bridge") as stage:
            ballast = stage.daemon.data / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 65536)
            assert os.statvfs(stage.daemon.data).f_bavail == 0
            # what the write-ahead log has room for is still taken
            answers = [await stage.post(20_000) for _ in range(40)]
            _refused_for_now(*answers[-1])
            accepted, why = await stage.publish()
            assert not accepted
            assert why.startswith("error:")
            await stage.elsewhere()
            await stage.red("disk")
            ballast.unlink()
            await stage.all_is_well()


async def test_database_locked_by_another_process_is_waited_for(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        with contextlib.closing(sqlite3.connect(stage.daemon.data / "bridged.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            posted, published = await asyncio.gather(stage.post(), stage.publish())
            _refused_for_now(*posted)
            assert (published[0], published[1].partition(":")[0]) == (False, "error")
            await stage.elsewhere()
            await stage.red("database is locked")
            other.execute("ROLLBACK")
        await stage.all_is_well()


class Pipe:
    """A TCP proxy that can be cut, and made to hang."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port, self.port = host, port, 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.open = True
        self.held = 0
        """Pieces of data that were held back."""

    async def __aenter__(self) -> "Pipe":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """All connections are reset, and new ones too as long as `open` is not set."""
        for writer in self._writers:
            writer.transport.abort()

    def hang(self) -> None:
        """Nothing gets through any more, though everything stays connected, and can be connected to."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self.open:
                return
            await self._flows.wait()
            there, back = await asyncio.open_connection(self._host, self._port)
            self._writers.add(back)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self._flows.is_set():
                self.held += 1
                await self._flows.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def piped(folder: Path) -> AsyncIterator[tuple[Stage, Pipe]]:
    async with database("postgresql") as store:
        before, _, rest = store.partition("@")
        address, _, name = rest.partition("/")
        host, _, port = address.partition(":")
        async with Pipe(host, int(port or 5432)) as pipe:
            daemon_store = f"{before}@127.0.0.1:{pipe.port}/{name}"
            async with staged(folder, daemon_store) as stage:
                yield stage, pipe


async def test_postgresql_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    async with piped(tmp_path) as (stage, pipe):
        pipe.open = False
        pipe.cut()
        posted, published = await asyncio.gather(stage.post(), stage.publish())
        _refused_for_now(*posted)
        assert (published[0], published[1].partition(":")[0]) == (False, "error")
        await stage.elsewhere()
        await stage.red("the database")
        pipe.open = True
        await stage.all_is_well()


async def test_postgresql_that_hangs_is_given_up_and_found_again(tmp_path: Path) -> None:
    async with piped(tmp_path) as (stage, pipe):
        pipe.hang()
        began = time.monotonic()
        posts = asyncio.gather(*(stage.post() for _ in range(20)))
        await stage.red("the database")
        for each in await posts:
            _refused_for_now(*each)
        assert time.monotonic() - began < 30, "nobody waits for ever"
        assert pipe.held > 0
        status, _, _ = await stage.daemon.get("/healthz")
        assert status == 200
        await stage.elsewhere()
        pipe.flow()
        await stage.all_is_well()


def address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


async def test_memory_that_is_short_loses_nothing(tmp_path: Path) -> None:
    """What cannot be done without memory is not acknowledged, and the process lives on."""
    async with staged(tmp_path) as stage:
        size = address_space(stage.daemon.pid)
        resource.prlimit(stage.daemon.pid, resource.RLIMIT_AS, (size + (1 << 20), resource.RLIM_INFINITY))
        statuses: list[int] = []
        for _ in range(5):
            results = await asyncio.gather(*(stage.post(600_000) for _ in range(8)), return_exceptions=True)
            statuses += [r[0] if isinstance(r, tuple) else 0 for r in results]
        assert any(status != 202 for status in statuses), "memory was not short"
        resource.prlimit(stage.daemon.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert stage.daemon.code is None
        await stage.all_is_well()
