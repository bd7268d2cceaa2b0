"""A relay on loopback that does exactly what a test's script says, one script for each connection."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from adapters.nostr.event import Event, to_json


class Client:
    """The bridge, as the relay sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.frames: list[list[Any]] = []

    async def expect(self, *names: str) -> list[Any]:
        """The next frame of one of these names; others are kept in `frames` and passed over."""
        while True:
            frame = json.loads(await self.socket.recv())
            self.frames.append(frame)
            if frame[0] in names:
                return frame

    async def say(self, *frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def event(self, subscription: str, event: Event | bytes) -> None:
        text = event if isinstance(event, bytes) else to_json(event)
        await self.socket.send(f'["EVENT","{subscription}",{text.decode()}]')

    async def hold(self) -> None:
        """Stay silent until the other side hangs up."""
        await self.socket.wait_closed()


Script = Callable[[Client], Awaitable[None]]


class ScriptedRelay:
    def __init__(self) -> None:
        self.url = ""
        self.clients: list[Client] = []
        self.errors: list[BaseException] = []


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[ScriptedRelay]:
    """The last script serves all further connections too. A failed assertion in a script fails the test."""
    relay = ScriptedRelay()

    async def handle(socket: ServerConnection) -> None:
        client = Client(socket)
        relay.clients.append(client)
        script = scripts[min(len(relay.clients), len(scripts)) - 1]
        try:
            await script(client)
        except ConnectionClosed:
            pass
        except Exception as error:
            relay.errors.append(error)

    async with asyncio.timeout(120), serve(handle, "127.0.0.1", 0) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        relay.url = f"ws://{host}:{port}"
        yield relay
    assert not relay.errors, relay.errors
