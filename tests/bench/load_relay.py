"""A process with clients of a relay: each publishes its share of a file of events, a few at a time."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.child import answer

AHEAD = 4
"""Events a client has on their way."""


async def _publish(http: aiohttp.ClientSession, url: str, bodies: list[bytes], go: asyncio.Event) -> tuple[int, str]:
    """How many were accepted, and the first word why one was not."""
    accepted, why = 0, ""
    async with http.ws_connect(url, autoping=True) as socket:
        await go.wait()
        frames = [f'["EVENT",{body.decode()}]' for body in bodies]
        for number in range(len(frames) + AHEAD):
            if number < len(frames):
                await socket.send_str(frames[number])
            if number >= AHEAD - 1 and number - AHEAD + 1 < len(frames):
                ok = await _ok(socket)
                accepted += ok[2]
                why = why or ("" if ok[2] else str(ok))
    return accepted, why


async def _ok(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    while True:
        text = await socket.receive_str()
        if text.startswith('["OK"'):
            return json.loads(text)


async def _handle(url: str, file: str, clients: int) -> dict[str, Any]:
    bodies = _lines(file)
    go = asyncio.Event()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tasks = [asyncio.create_task(_publish(http, url, bodies[n::clients], go)) for n in range(clients)]
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        go.set()
        answers = await asyncio.gather(*tasks)
        took = time.perf_counter() - began
    return {"seconds": took, "accepted": sum(a for a, _ in answers), "why": next((w for _, w in answers if w), "")}


def _lines(file: str) -> list[bytes]:
    return Path(file).read_bytes().splitlines()


if __name__ == "__main__":
    asyncio.run(answer({}, _handle))
