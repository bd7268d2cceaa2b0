"""A relay of Nostr and the people who write to it, in one process: it keeps nothing but their newest profiles.

ready: {"url": …, "people": [public key, …]}      options: people (how many write here)
{"do": "say", "marks": [name, …], "rate": per second or null}     a note each, in turn -> {mark: said at}
{"do": "came"}                                      {mark: [how often, first at]} of the events that came
{"do": "forget"}                                    what came so far
"""

import asyncio
import hashlib
import json
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from adapters.nostr.event import Event, sign, to_json
from tests.bench.child import answer, options
from tests.bench.fediverse import MARK, mark


class Relay:
    def __init__(self, people: int) -> None:
        self.secrets = [hashlib.sha256(b"bench %d" % n).digest() for n in range(people)]
        self.profiles = [
            sign(secret, 0, int(time.time()), (), json.dumps({"name": f"bench{n}"}))
            for n, secret in enumerate(self.secrets)
        ]
        self.subscriptions: dict[tuple[ServerConnection, str], str] = {}
        self.came: dict[str, list[float]] = {}

    async def serve(self, socket: ServerConnection) -> None:
        try:
            async for text in socket:
                at = time.monotonic()
                frame = json.loads(text)
                match frame[0]:
                    case "EVENT":
                        await socket.send(json.dumps(["OK", frame[1]["id"], True, ""]))
                        if found := MARK.search(frame[1]["content"].encode()):
                            self.came.setdefault(found[1].decode(), []).append(at)
                    case "REQ":
                        self.subscriptions[socket, frame[1]] = json.dumps(frame[2:])
                        for profile in self.profiles:
                            if any(
                                0 in f.get("kinds", [0]) and profile.pubkey in f.get("authors", []) for f in frame[2:]
                            ):
                                await self.tell(socket, frame[1], profile)
                        await socket.send(json.dumps(["EOSE", frame[1]]))
                    case "CLOSE":
                        self.subscriptions.pop((socket, frame[1]), None)
        finally:
            for key in [key for key in self.subscriptions if key[0] is socket]:
                del self.subscriptions[key]

    async def tell(self, socket: ServerConnection, name: str, event: Event) -> None:
        await socket.send(f'["EVENT","{name}",{to_json(event).decode()}]')

    async def say(self, marks: list[str], rate: float | None) -> dict[str, float]:
        notes = [
            (
                name,
                sign(
                    self.secrets[n % len(self.secrets)],
                    1,
                    int(time.time()),
                    (),
                    f"A note of the usual length, {mark(name)}",
                ),
            )
            for n, name in enumerate(marks)
        ]
        said: dict[str, float] = {}
        started = time.monotonic()
        for number, (name, note) in enumerate(notes):
            if rate:
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            said[name] = time.monotonic()
            for (socket, subscription), filters in list(self.subscriptions.items()):
                if f'"{note.pubkey}"' in filters:
                    await self.tell(socket, subscription, note)
                    break
        return said


async def main() -> None:
    relay = Relay(options()["people"])

    async def handle(do: str, **more: Any) -> Any:
        match do:
            case "say":
                return await relay.say(**more)
            case "came":
                return {name: [len(at), at[0]] for name, at in relay.came.items()}
            case "forget":
                relay.came.clear()
        return None

    async with serve(relay.serve, "127.0.0.1", 0, compression=None) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        await answer({"url": f"ws://{host}:{port}", "people": [p.pubkey for p in relay.profiles]}, handle)


if __name__ == "__main__":
    asyncio.run(main())
