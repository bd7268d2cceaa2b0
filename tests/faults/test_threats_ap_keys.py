"""Keys of strangers: fetched when they must be and no more often, and nothing lasting is concluded from a bad day."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.activitypub.fake import PUBLIC, rsa_key

from .kit import eventually
from .kit.fediverse import AS2, Actor, Answer
from .kit.scene import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("keys")) as made:
        yield made


def looks(who: Actor) -> int:
    """How often the document of the actor was asked for."""
    return len([got for got in who.peer.got if f"{who.peer.base}{got.path}" == who.id])


@pytest.mark.parametrize("how", ["status_503", "status_429", "cut", "half"])
async def test_key_host_that_is_down_means_come_back(here: Scene, how: str) -> None:
    """503 now, accepted at the sender's next try: no answer is no reason to remember anything."""
    who = here.other.actor(f"down_{how}", rsa_key("mallory"))
    said = who.follow(here.nora)
    answers = {
        "status_503": Answer(503),
        "status_429": Answer(429),
        "cut": Answer(how="reset"),
        "half": Answer(how="half"),
    }
    here.other.script = lambda got: answers[how] if got.method == "GET" else None
    async with here.refuses("origin_unreachable"):
        assert await who.send(said, here.inbox) == 503
    here.other.script = lambda got: None
    assert await who.send(said, here.inbox) == 202
    await here.settled()
    assert await here.daemon.ledger(f"origin = '{said['id']}' AND step = 'heard'")


async def test_rotated_key_costs_one_look(here: Scene) -> None:
    who = here.other.actor("rotates", rsa_key("rotates"))
    assert await who.send(who.follow(here.nora), here.inbox) == 202
    await here.settled()
    before = looks(who)
    who.key = rsa_key("rotated")
    who.show()
    for _ in range(3):
        assert await who.send(who.like(here.nora), here.inbox) == 202
    assert looks(who) == before + 1
    async with here.refuses("unknown_key", "signature_mismatch"):
        assert await who.send(who.like(here.nora), here.inbox, key=rsa_key("rotates")) == 401


async def test_key_that_never_fits_costs_one_look_a_minute(here: Scene) -> None:
    who = here.other.actor("forged", rsa_key("mallory"))
    for _ in range(20):
        assert await who.send(who.like(here.nora), here.inbox, key=rsa_key("rotates")) == 401
    assert looks(who) == 1
    await asyncio.gather(*(who.send(who.like(here.nora), here.inbox, key=rsa_key("rotates")) for _ in range(20)))
    assert looks(who) == 1
    assert await who.send(who.like(here.nora), here.inbox) == 202, "the right key was seen in the same look"


async def test_many_at_once_from_one_who_is_new_cost_one_look(here: Scene) -> None:
    who = here.other.actor("eager", rsa_key("mallory"))
    shown = Answer(200, {"Content-Type": AS2}, json.dumps(who.show()).encode(), delay=0.3)
    here.other.script = lambda got: shown if got.path.endswith("/eager") else None
    said = [who.like(here.nora) for _ in range(10)]
    assert await asyncio.gather(*(who.send(each, here.inbox) for each in said)) == [202] * 10
    here.other.script = lambda got: None
    assert looks(who) == 1


async def test_farewell_of_somebody_unknown_is_waved_through(here: Scene) -> None:
    who = here.other.actor("gone", rsa_key("mallory"))
    here.other.documents[who.id.removeprefix(here.other.base)] = None
    async with here.refuses("unknown_actor_gone", kind="dropped"):
        assert await who.send(who.activity("Delete", who.id, to=[PUBLIC]), here.inbox) == 202
    assert looks(who) == 0


async def test_farewell_of_somebody_known_is_done_though_their_host_says_410(here: Scene) -> None:
    who = here.other.actor("leaves", rsa_key("mallory"))
    assert await who.send(who.follow(here.bot), here.inbox) == 202
    await eventually(lambda: [g for g in here.other.posts("Accept") if who.id.encode() in g.body])
    await here.settled()
    assert await who.send(who.create("the last words of one who leaves"), here.inbox) == 202
    await here.settled()
    here.other.documents[who.id.removeprefix(here.other.base)] = None
    async with here.refuses("unknown_key", "signature_mismatch"):
        forged = who.activity("Delete", who.id, to=[PUBLIC])
        assert await who.send(forged, here.inbox, key=rsa_key("rotates")) == 401
    before = looks(who)
    assert await who.send(who.activity("Delete", who.id, to=[PUBLIC]), here.inbox) == 202
    await here.settled()
    assert looks(who) == before
    rows = await here.daemon.rows(f"SELECT state FROM ghosts WHERE owner_id = '{who.id}'")
    assert [row["state"] for row in rows] == ["gone"]
    (event,) = [e for e in here.relay.events(kinds=[1]) if e["content"] == "the last words of one who leaves"]
    assert here.relay.events(kinds=[5], e=[event["id"]])
    await here.good()


async def test_strangers_who_want_nothing_of_us_cost_no_look(here: Scene) -> None:
    who = here.other.actor("passing", rsa_key("mallory"))
    async with here.refuses("unwanted", kind="dropped"):
        assert await who.send(who.create("not for anybody here"), here.inbox) == 202
    assert looks(who) == 0
