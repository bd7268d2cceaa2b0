"""What is kept of those who are not bridged: the oldest goes first."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.nostr.config import RelayConfig, StrangersConfig
from adapters.nostr.event import Event, to_json
from adapters.nostr.relay.tables import deleted, events, strangers, tags, words
from tests.unit.nostr.relay_kit import World, said, world


@pytest.fixture
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    kind, strangers_ = request.param
    async with world(tmp_path, kind, config=RelayConfig(strangers=StrangersConfig(**strangers_))) as it:
        seconds = iter(range(1_700_000_000, 1_800_000_000))
        it.host.clock = lambda: float(next(seconds))
        yield it


def held_to(**most: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "bridge", [("sqlite", most), ("postgresql", most)], indirect=True, ids=lambda v: v[0]
    )


def answer(bridge: World, name: str, text: str) -> Event:
    return said(name, 1, text, ("p", bridge.ghost), at=1_700_000_000)


async def publish(bridge: World, *given: Event) -> None:
    async with bridge.client() as client:
        for event in given:
            assert await client.publish(event) == (True, "")


async def held(bridge: World) -> set[str]:
    return set(await bridge.store.read(lambda tx: tx.execute(sa.select(events.c.id)).scalars().all()))


async def rows(bridge: World, table: sa.Table) -> int:
    return await bridge.store.read(lambda tx: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


@held_to(each=3)
async def test_one_key_has_its_share(bridge: World) -> None:
    own = [said("full", 1, str(n), at=1_700_000_000) for n in range(5)]
    eve = [answer(bridge, "eve", f"eve {n}") for n in range(5)]
    bob = [answer(bridge, "bob", f"bob {n}") for n in range(3)]
    await publish(bridge, *own, *eve[:3], *bob, *eve[3:])
    assert await held(bridge) == {event.id for event in (*own, *eve[2:], *bob)}
    assert (await rows(bridge, strangers), await rows(bridge, tags)) == (6, 6)
    assert await rows(bridge, words) == 5 + 6 * 2


@held_to(events=4)
async def test_all_together_have_a_share(bridge: World) -> None:
    note = bridge.ghost_says(1, "the bridge's own", at=1_600_000_000)
    await bridge.deliver(note, bridge.wrapped_for("eve", at=1_600_000_000))
    ours = await held(bridge)
    given = [answer(bridge, f"stranger {n}", "x") for n in range(7)]
    await publish(bridge, *given)
    assert await held(bridge) == ours | {event.id for event in given[3:]}


@held_to(megabytes=1)
async def test_long_texts_are_counted_by_their_bytes(bridge: World) -> None:
    given = [answer(bridge, f"stranger {n}", str(n) + "x" * 59_000) for n in range(20)]
    size = len(to_json(given[10]))
    await publish(bridge, *given)
    assert await held(bridge) == {event.id for event in given[-(1_000_000 // size) :]}


@held_to(each=4)
async def test_deletion_that_goes_is_forgotten_whole(bridge: World) -> None:
    notes = [answer(bridge, "eve", str(n)) for n in range(2)]
    deletion = said("eve", 5, "", ("e", notes[0].id), ("e", "ab" * 32), at=1_700_000_001)
    await publish(bridge, *notes, deletion)
    assert await rows(bridge, deleted) == 2
    await publish(bridge, *(answer(bridge, "eve", f"more {n}") for n in range(4)))
    assert (await rows(bridge, deleted), await rows(bridge, strangers)) == (0, 4)


@held_to(each=500)
async def test_deletion_of_a_stranger_names_few(bridge: World) -> None:
    note = answer(bridge, "eve", "x")
    await publish(bridge, note)
    many = [("e", f"{n:064x}") for n in range(50)]
    async with bridge.client() as client:
        assert not (await client.publish(said("eve", 5, "", ("e", note.id), *many, at=1_700_000_001)))[0]
    await publish(bridge, said("eve", 5, "", ("e", note.id), *many[1:], at=1_700_000_001))
    assert await rows(bridge, deleted) == 50
