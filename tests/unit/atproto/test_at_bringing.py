"""What people mean by the address of a page, where it takes a look-up to tell."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.atproto.adapter import Atproto
from bridged.api import Ref, Response
from bridged.store import persons
from bridged.testing import FakeNetwork, Harness, ScriptedHttp
from tests.unit.atproto.test_at_reader import DID, KEYS, PLC, Outside, record, shown, uri

PAGE = "https://bsky.app/profile/alex.test"


class Directory(ScriptedHttp):
    """Takes every identity that is made."""

    async def post(self, url: str, body: bytes, **more: Any) -> Response:
        return Response(200, url, {}, b"OK") if url.startswith(PLC) else await super().post(url, body, **more)


class Square:
    def __init__(self, bridge: Harness, outside: Outside, other: FakeNetwork) -> None:
        self.bridge, self.outside, self.other = bridge, outside, other

    async def brought(self, text: str) -> Ref | None:
        return await self.bridge.hosts["elsewhere"].bring(text)


@pytest.fixture
async def square(tmp_path: Path) -> AsyncIterator[Square]:
    outside, other = Outside(Directory()), FakeNetwork("elsewhere")
    outside.has(shown(record("hello")))
    outside.has_profile({"$type": "app.bsky.actor.profile", "displayName": "Alex"})
    other.join("ann")
    config = {"atproto": {"plc": PLC, "ingest": {}}}
    async with Harness(
        [Atproto, other.adapter], data_dir=tmp_path, http=outside.http, configs=config, domain="bridge.test"
    ) as bridge:
        yield Square(bridge, outside, other)


@pytest.mark.parametrize("page", [f"{PAGE}/post/{KEYS[0]}", f"https://bsky.app/profile/{DID}/post/{KEYS[0]}"])
async def test_page_of_a_post_brings_the_post(square: Square, page: str) -> None:
    assert await square.brought(page) == Ref("elsewhere", f"copy/{uri()}")


async def test_page_of_a_profile_brings_the_account(square: Square) -> None:
    found = await square.brought(PAGE)
    assert found is not None
    assert found == (await square.bridge.ghost(Ref("atproto", DID), "elsewhere")).ref


@pytest.mark.parametrize("page", ["https://bsky.app/profile/nobody.test", "https://example.com/alex.test", "alex.test"])
async def test_other_pages_bring_nothing(square: Square, page: str) -> None:
    assert await square.brought(page) is None


async def test_account_that_both_pages_name_is_one_person(square: Square) -> None:
    """The one links to the viewer's page by handle, as people do; the other to what its network finds."""
    bridge, page = square.bridge, "https://elsewhere.test/ann"
    square.other.join("ann", same_as=(PAGE,), alias=page)
    square.outside.has_profile({"$type": "app.bsky.actor.profile", "description": f"also {page}"})
    await bridge.bridge.ghosts.profiles.look(square.other.ref("ann"))
    found = await bridge.read(lambda tx: persons.of(tx, square.other.ref("ann")))
    assert found == {"atproto": Ref("atproto", DID)}
