"""A scripted Nostr relay, people who sign events, and a client of the embedded relay.

    async with Relay() as relay:                      # config: adapters.nostr.relays = [relay.url]
        relay.script = lambda frame: "drop" if frame.json[0] == "EVENT" else None
        await relay.publish(said("nora", 1, "hello"))     # stored there, and sent to whoever subscribed
        relay.events(kinds=[1])                           # what the bridge published
    async with client(daemon.relay_url) as c:
        assert await c.publish(said("nora", 1, "hello")) == (True, "")

`said(name, kind, content, *tags, at=)` is an event of the key that belongs to the name, `key(name)` its public key in
hex, `npub(name)` the same as people write it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from adapters.nostr import nip19
from adapters.nostr.event import Event
from tests.unit.nostr.relay_kit import Client, as_object, key, said, secret

__all__ = ["Client", "Event", "Frame", "Relay", "as_object", "client", "key", "npub", "said", "secret"]


def npub(name: str) -> str:
    return nip19.encode(nip19.Npub(key(name)))


@dataclass
class Frame:
    """A frame as it came in; `connection` counts from 1. `answered`: not cut off without a word."""

    at: float
    connection: int
    text: str
    answered: bool = True

    @cached_property
    def json(self) -> Any:
        return json.loads(self.text)


Script = Callable[[Frame], "Sequence[Any] | str | None"]
"""Asked for each frame. None: as ever. A list of frames: these instead. "silent": nothing; "taken": what an EVENT says
is kept, but the connection cut before the OK; "drop": cut at once."""


class Relay:
    """Serves at `url` while entered. It verifies nothing: what it got is for the test to judge."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address, self.port = address, port
        self.frames: list[Frame] = []
        self.stored: dict[str, dict[str, Any]] = {}
        """id -> event, in the order in which they came; what is deleted or replaced stays."""
        self.script: Script = lambda frame: None
        self.connections = 0
        self._subscriptions: dict[tuple[ServerConnection, str], list[dict[str, Any]]] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Relay":
        server = await self._stack.enter_async_context(
            serve(self._serve, self.address, self.port, compression=None, max_size=None, close_timeout=0.2)
        )
        self.port = next(iter(server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        return f"ws://{self.address}:{self.port}"

    async def publish(self, event: Event | dict[str, Any]) -> None:
        """Somebody else writes here."""
        await self._keep(event if isinstance(event, dict) else as_object(event))

    def heard(self, name: str = "EVENT") -> list[Frame]:
        """The frames of this name that came in."""
        return [frame for frame in self.frames if frame.json[0] == name]

    def asked(self, name: str, value: str) -> bool:
        """Whether a subscription that stands asks for this value: of `authors`, `#p` …"""
        return any(value in each.get(name, ()) for asked in self._subscriptions.values() for each in asked)

    def asked_by(self, name: str) -> int:
        """By how many connections that stand something is asked with this condition."""
        asked = self._subscriptions.items()
        return len({socket for (socket, _), filters in asked if any(name in each for each in filters)})

    def events(self, **filter: Any) -> list[dict[str, Any]]:
        """What was published by clients, oldest first, each id once: `kinds=[1]`, `authors=[…]`, `e=[…]`."""
        mine = {k if k in ("kinds", "authors", "ids") else f"#{k}": v for k, v in filter.items()}
        ids = dict.fromkeys(frame.json[1]["id"] for frame in self.heard())
        return [self.stored[i] for i in ids if i in self.stored and _meets(self.stored[i], mine)]

    async def _serve(self, socket: ServerConnection) -> None:
        self.connections += 1
        number = self.connections
        try:
            async for text in socket:
                frame = Frame(time.time(), number, text if isinstance(text, str) else text.decode())
                self.frames.append(frame)
                if not await self._answer(socket, frame):
                    socket.transport.abort()
                    return
        except ConnectionClosed:
            pass
        finally:
            for name in [n for n in self._subscriptions if n[0] is socket]:
                del self._subscriptions[name]

    async def _answer(self, socket: ServerConnection, frame: Frame) -> bool:
        """False to hang up."""
        script = self.script(frame)
        word, *rest = frame.json
        if isinstance(script, str):
            frame.answered = False
            if script == "taken" and word == "EVENT":
                await self._keep(rest[0])
            return script == "silent"
        if script is not None:
            for each in script:
                await socket.send(json.dumps(each))
            return True
        match word:
            case "EVENT":
                await self._keep(rest[0])
                await socket.send(json.dumps(["OK", rest[0]["id"], True, ""]))
            case "REQ":
                name, filters = rest[0], rest[1:]
                self._subscriptions[socket, name] = filters
                for event in _found(list(self.stored.values()), filters):
                    await socket.send(json.dumps(["EVENT", name, event]))
                await socket.send(json.dumps(["EOSE", name]))
            case "CLOSE":
                self._subscriptions.pop((socket, rest[0]), None)
            case _:
                await socket.send(json.dumps(["NOTICE", f"no {word} here"]))
        return True

    async def _keep(self, event: dict[str, Any]) -> None:
        if event["id"] in self.stored:
            return
        self.stored[event["id"]] = event
        for (socket, name), filters in list(self._subscriptions.items()):
            if any(_meets(event, each) for each in filters):
                with contextlib.suppress(ConnectionClosed):
                    await socket.send(json.dumps(["EVENT", name, event]))


def _found(events: Sequence[dict[str, Any]], filters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """NIP-01: newest first within `limit`, each event once."""
    newest = sorted(events, key=lambda e: (-e["created_at"], e["id"]))
    found: dict[str, dict[str, Any]] = {}
    for each in filters:
        found |= {e["id"]: e for e in [e for e in newest if _meets(e, each)][: each.get("limit", 500)]}
    return sorted(found.values(), key=lambda e: (-e["created_at"], e["id"]))


def _meets(event: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for name, value in wanted.items():
        match name:
            case "ids" | "authors" | "kinds":
                if event[{"ids": "id", "authors": "pubkey", "kinds": "kind"}[name]] not in value:
                    return False
            case "since" | "until":
                if (event["created_at"] - value) * (1 if name == "since" else -1) < 0:
                    return False
            case _ if name.startswith("#"):
                if not any(t[0] == name[1:] and t[1] in value for t in event["tags"] if len(t) > 1):
                    return False
            case _:
                pass
    return True


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncGenerator[Client]:
    """A client of an embedded relay, past its AUTH challenge, which it keeps. Raises OSError, WebSocketException."""
    async with connect(url, proxy=None, compression=None, max_size=None, max_queue=None) as socket:
        async with asyncio.timeout(60):
            word, challenge = json.loads(await socket.recv())
        assert word == "AUTH"
        yield Client(socket, challenge)
