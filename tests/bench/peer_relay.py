"""A process that is several relays: it answers questions with nothing, and sends a file of events when told to.

Each of its addresses sends an equal share of the events, to whoever asks there for the posts of people.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from tests.bench.child import answer

_more = asyncio.Condition()
_asked: dict[str, tuple[ServerConnection, str]] = {}
"""Path -> where to send events to."""


async def _serve(socket: ServerConnection) -> None:
    path = socket.request.path if socket.request else "/"
    async for text in socket:
        frame: list[Any] = json.loads(text)
        if frame[0] == "REQ":
            if any("authors" in f and 1 in f.get("kinds", ()) and "limit" not in f for f in frame[2:]):
                async with _more:
                    _asked[path] = socket, frame[1]
                    _more.notify_all()
            await socket.send(json.dumps(["EOSE", frame[1]]))


async def _send(socket: ServerConnection, name: str, bodies: list[bytes]) -> None:
    head = f'["EVENT","{name}",'
    for frame in [f"{head}{body.decode()}]" for body in bodies]:
        await socket.send(frame)


async def _handle(count: int, file: str = "") -> dict[str, Any]:
    """Waits for `count` askers; with a file, sends it and says when all of it is out."""
    async with _more:
        await _more.wait_for(lambda: len(_asked) >= count)
    if file:
        bodies = _lines(file)
        shares = [bodies[n::count] for n in range(count)]
        await asyncio.gather(*(_send(*to, share) for to, share in zip(_asked.values(), shares, strict=True)))
    return {}


def _lines(file: str) -> list[bytes]:
    return Path(file).read_bytes().splitlines()


async def main() -> None:
    async with serve(_serve, "127.0.0.1", 0, compression=None) as server:
        await answer({"port": server.sockets[0].getsockname()[1]}, _handle)


if __name__ == "__main__":
    asyncio.run(main())
