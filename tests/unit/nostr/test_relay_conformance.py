"""The conformance list, over raw frames and by nostr-sdk, against the adapter on a real server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import nostr_sdk as sdk
import pytest

from adapters.nostr.negentropy import Negentropy
from tests.unit.nostr.relay_conformance import (
    CHECKS,
    Event,
    Filter,
    Person,
    Refused,
    Sdk,
    Shelf,
    Tag,
    accepted,
    ids,
    ids_of,
)
from tests.unit.nostr.relay_kit import Client, World, as_object, authenticated, said, world


class Raw:
    """Frames as we write them; time is the host's."""

    def __init__(self, bridge: World, connections: contextlib.AsyncExitStack) -> None:
        self.ghost, self.bridged = bridge.ghost, "full"
        self._bridge, self._connections = bridge, connections
        self._clients: dict[str, Client] = {}

    async def client(self, by: str) -> Client:
        if by not in self._clients:
            client = await self._connections.enter_async_context(self._bridge.client())
            self._clients[by] = await authenticated(self._bridge, client, by) if by else client
        return self._clients[by]

    def said(self, name: str, kind: int, content: str, tags: Iterable[Tag], at: int) -> Event:
        return as_object(said(name, kind, content, *tags, at=at))

    async def publish(self, event: Event, by: str = "") -> tuple[bool, str]:
        answer = await (await self.client(by)).ask("EVENT", event)
        assert answer[:2] == ["OK", event["id"]]
        return answer[2], answer[3]

    async def ask(self, *filters: Filter, by: str = "") -> list[Event]:
        client = await self.client(by)
        await client.say("REQ", "q", *filters)
        found: list[Event] = []
        while True:
            frame = await client.hear()
            match frame:
                case ["EVENT", "q", event]:
                    found.append(event)
                case ["EOSE", "q"]:
                    await client.say("CLOSE", "q")
                    return found
                case ["CLOSED", "q", why]:
                    raise Refused(why)
                case _:
                    raise AssertionError(frame)

    async def count(self, filter_: Filter) -> int:
        return (await (await self.client("")).count(filter_))["count"]

    async def live(self, filter_: Filter, events: Sequence[Event], by: str = "") -> list[str]:
        async with self._bridge.client() as listener:
            assert await listener.stored({**filter_, "limit": 0}) == []
            await accepted(self, *events)
            got: list[str] = []
            while not got or got[-1] != events[-1]["id"]:
                got.append((await listener.hear())[2]["id"])
            return got

    async def sync(self, filter_: Filter, mine: Sequence[Event]) -> tuple[set[str], set[str]]:
        client, have, need = Negentropy((e["created_at"], e["id"]) for e in mine), set[str](), set[str]()
        message: bytes | None = client.initiate()
        question: list[Any] = ["NEG-OPEN", "n", filter_]
        talk = await self.client("")
        while message is not None:
            word, name, text = await talk.ask(*question, message.hex())
            assert (word, name) == ("NEG-MSG", "n"), text
            message, more_have, more_need = client.reconcile(bytes.fromhex(text))
            have |= set(more_have)
            need |= set(more_need)
            question = ["NEG-MSG", "n"]
        await talk.say("NEG-CLOSE", "n")
        return have, need

    async def wait_until(self, moment: float) -> None:
        self._bridge.host.clock = lambda: moment


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_relay_conforms_over_raw_frames(tmp_path: Path, name: str, store: str) -> None:
    async with world(tmp_path, store) as bridge, contextlib.AsyncExitStack() as connections:
        await CHECKS[name](Raw(bridge, connections))


class OnTheHostsClock(Sdk):
    def __init__(self, bridge: World) -> None:
        super().__init__(bridge.url, bridge.ghost, "full", sdk.ClientBuilder)
        self._bridge = bridge

    async def wait_until(self, moment: float) -> None:
        self._bridge.host.clock = lambda: moment


@pytest.fixture
async def by_sdk(tmp_path: Path) -> AsyncIterator[Sdk]:
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())
    async with world(tmp_path) as bridge:
        driver = OnTheHostsClock(bridge)
        yield driver
        await driver.close()


@pytest.mark.parametrize("name", CHECKS)
async def test_relay_conforms_to_nostr_sdk(by_sdk: Sdk, name: str) -> None:
    await CHECKS[name](by_sdk)


async def test_nostr_sdk_syncs_both_ways(by_sdk: Sdk) -> None:
    who = Person(by_sdk)
    notes = [who.answers(str(n), ago=n // 7) for n in range(300)]
    for part in (notes[:90], notes[90:180], notes[180:250]):
        await accepted(Sdk(by_sdk.url, by_sdk.ghost, "full", sdk.ClientBuilder), *part)
    shelf = Shelf(notes[30:270])
    options = sdk.SyncOptions().direction(sdk.SyncDirection.BOTH)
    report = await by_sdk.sync_shelf({"authors": [who.key]}, shelf, options)
    assert {e.to_hex() for e in report.received} == set(ids_of(*notes[:30]))
    assert {e.to_hex() for e in report.sent} == set(ids_of(*notes[250:270]))
    assert set(shelf.events) == set(ids_of(*notes[:270]))
    assert set(await ids(by_sdk, {"authors": [who.key]})) == set(ids_of(*notes[:270]))
