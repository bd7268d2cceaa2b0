"""The adapter with its embedded relay on a real server, over the real store, without a core."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.nostr import signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.config import NostrConfig, RelayConfig
from adapters.nostr.event import Event, sign, to_json
from bridged.api import HOME, LOCAL, Delivery, Envelope, Ghost, Heard, Ref, Site
from bridged.store.engine import Store, Tx
from tests.unit import stores

OWNER = Ref("activitypub", "https://social.test/alice")


def secret(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def key(name: str) -> str:
    return said(name, 1, "").pubkey


def said(name: str, kind: int, content: str = "", *tags: tuple[str, ...], at: int | None = None) -> Event:
    return sign(secret(name), kind, int(time.time()) if at is None else at, tags, content)


def as_object(event: Event) -> dict[str, Any]:
    return json.loads(to_json(event))


def opened(kind: str, folder: Path) -> contextlib.AbstractAsyncContextManager[Store]:
    """A store with this adapter's tables, on "sqlite" or "postgresql"."""
    assert Nostr.migrations is not None
    return stores.opened(kind, folder, Nostr.migrations, "nostr_version")


class Keys:
    def derive(self, purpose: str, ref: Ref, generation: int = 0) -> bytes:
        return secret(f"{purpose} {ref} {generation}")


class Log:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self._more = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def bind(self, **_: object) -> "Log":
        return self

    def info(self, event: str, **values: object) -> None:
        self.lines.append((event, values))
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    warning = error = debug = info

    async def _tell(self) -> None:
        async with self._more:
            self._more.notify_all()

    async def until(self, event: str, **values: object) -> None:
        """Wait for this line."""
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: (event, values) in self.lines)


class Host:
    """As the core is to the adapter, with an inbox that only remembers."""

    http: Any = None

    def __init__(self, store: Store, base_url: str = "http://127.0.0.1") -> None:
        self.store, self.keys, self.log = store, Keys(), Log()
        self.site = Site("bridge.test", "bridge.test", base_url, "1", "bridge", "The bridge", Path("."))
        self.people = Heard()
        self.clock: Callable[[], float] = time.time
        self.received: list[Envelope] = []
        self.drops: list[str] = []
        self.refusals: list[str] = []
        self.fail: list[Exception] = []

    def now(self) -> float:
        return self.clock()

    def heard(self) -> Heard:
        return self.people

    async def receive(
        self,
        *envelopes: Envelope,
        cursor: tuple[str, str] | None = None,
        also: Callable[[Any], None] | None = None,
    ) -> int:
        def unit(tx: Tx) -> int:
            if also is not None:
                also(tx)
            if self.fail:
                raise self.fail.pop(0)
            tx.on_commit(lambda: self.received.extend(envelopes))
            return len(envelopes)

        return await self.store.write(unit)

    async def read(self, unit: Callable[[Any], Any]) -> Any:
        return await self.store.read(unit)

    async def write(self, unit: Callable[[Any], Any]) -> Any:
        return await self.store.write(unit)

    def on(self, name: str, call: Callable[[str], None]) -> None:
        self.store.signals.on(name, call)

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def dropped(self, reason: str) -> None:
        self.drops.append(reason)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Nothing here is about figures."""


class Client:
    """A websocket that speaks in JSON."""

    def __init__(self, socket: ClientConnection, challenge: str) -> None:
        self.socket, self.challenge = socket, challenge

    async def say(self, *frame: object) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self) -> list[Any]:
        async with asyncio.timeout(60):
            return json.loads(await self.socket.recv())

    async def ask(self, *frame: object) -> list[Any]:
        await self.say(*frame)
        return await self.hear()

    async def publish(self, event: Event) -> tuple[bool, str]:
        answer = await self.ask("EVENT", as_object(event))
        assert answer[:2] == ["OK", event.id]
        return answer[2], answer[3]

    async def stored(self, *filters: Mapping[str, object], name: str = "q") -> list[dict[str, Any]]:
        """The stored events that meet the filters; the subscription stays open."""
        await self.say("REQ", name, *filters)
        found: list[dict[str, Any]] = []
        while (frame := await self.hear()) != ["EOSE", name]:
            assert frame[:2] == ["EVENT", name]
            found.append(frame[2])
        return found

    async def ids(self, *filters: Mapping[str, object]) -> list[str]:
        return [event["id"] for event in await self.stored(*filters)]

    async def count(self, *filters: Mapping[str, object]) -> dict[str, Any]:
        answer = await self.ask("COUNT", "c", *filters)
        assert answer[:2] == ["COUNT", "c"]
        return answer[2]

    async def closed(self) -> int | None:
        """Read on until the relay closes; its code."""
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code


async def authenticated(bridge: "World", client: Client, *names: str) -> Client:
    """The client, once it has shown to hold these keys (NIP-42)."""
    for name in names:
        event = said(name, 22242, "", ("relay", bridge.url), ("challenge", client.challenge))
        assert await client.ask("AUTH", as_object(event)) == ["OK", event.id, True, ""]
    return client


class World:
    """A bridge with one ghost, "alice", served at `url`."""

    relay_url = "ws://127.0.0.1/relay"
    """The address it is known by."""

    def __init__(self, store: Store, remote: str | None = None, config: RelayConfig | None = None) -> None:
        self.store, self.host, self._remote = store, Host(store), remote
        self.adapter = Nostr(NostrConfig(relay=config or RelayConfig()), self.host)
        self.bot = signing.public_key(self.host.keys.derive("nostr-ghost", Ref(HOME, "bot"), 0)).hex()
        self.alice = self.host.keys.derive("nostr-ghost", OWNER, 0)
        self.ghost = self.ghost_says(1, "").pubkey
        self.host.people = Heard(frozenset({key("full")}), frozenset({key("known")}), frozenset({self.ghost}))
        self.url = self.http = ""

    def ghost_says(self, kind: int, content: str = "", *tags: tuple[str, ...], at: int | None = None) -> Event:
        return sign(self.alice, kind, int(self.host.now()) if at is None else at, tags, content)

    def wrapped_for(self, name: str, at: int) -> Event:
        """A message of ours to somebody (NIP-59)."""
        return said(f"one-time {name} {at}", 1059, "sealed", ("p", key(name)), at=at)

    async def deliver(self, *events: Event) -> None:
        """As the outbox does: in one transaction."""
        ghost = Ghost(OWNER, Ref("nostr", self.ghost), "alice_at_social.test")

        def unit(tx: Tx) -> None:
            for event in events:
                self.adapter.apply(tx, Delivery(event.id, LOCAL, to_json(event), ghost, None, 1))

        await self.store.write(unit)

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator["World"]:
        @web.middleware
        async def behind_proxy(request: web.Request, handler: Any) -> web.StreamResponse:
            return await handler(request.clone(remote=self._remote) if self._remote else request)

        app = web.Application(middlewares=[behind_proxy])
        app.add_routes([*self.adapter.routes(), *self.adapter.streams()])
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.http, self.url = f"http://{host}:{port}/relay", f"ws://{host}:{port}/relay"
            yield self
        finally:
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with connect(self.url, proxy=None, compression=None, max_size=None, max_queue=None) as socket:
            word, challenge = json.loads(await socket.recv())
            assert word == "AUTH"
            yield Client(socket, challenge)


@contextlib.asynccontextmanager
async def world(
    folder: Path, kind: str = "sqlite", remote: str | None = None, config: RelayConfig | None = None
) -> AsyncIterator[World]:
    async with opened(kind, folder) as store, World(store, remote, config).served() as it:
        yield it
