"""What strangers' servers answer when we ask: sent round in circles, lied to, kept waiting. All of it ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.unit.activitypub.fake import rsa_key

from .kit import eventually
from .kit.abroad import World, abroad, numbers
from .kit.fediverse import AS2, Answer, Got
from .kit.internet import refused_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW = "193.0.14.129"
"""A host that never ends, on an address of its own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(net: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with abroad(tmp_path_factory.mktemp("fetching")) as made:
        # whose posts are taken up as context, if they are hers
        await made.send((fay := made.far.actor("fay")).follow(await made.daemon.actor_of("bridge")), fay)
        await made.settled()
        yield made
        assert "bridge_failed" not in made.daemon.log


async def answering(world: World, url: str) -> dict[str, Any]:
    """alice answers the post at this address, so it is fetched; her activity, once that is decided on."""
    said = world.alice.create(f"an answer {next(numbers)}", inReplyTo=url)
    await world.send(said)
    await world.settled()
    return said


async def known(world: World, url: str) -> bool:
    return bool(await world.daemon.rows(f"SELECT id FROM acts WHERE id = '{url}'"))


async def test_honest_answers_are_taken(world: World) -> None:
    """What all that follows is made of: a note at its own id, also behind three redirects."""
    fay = world.far.actor("fay")
    note = fay.note("what fay said")
    await answering(world, note["id"])
    assert await known(world, note["id"])
    world.far.got.clear()
    world.far.script = lambda got: (
        Answer(302, {"Location": f"/hop{int(got.path[4]) + 1}"}) if got.path in ("/hop0", "/hop1", "/hop2") else None
    )
    await answering(world, f"{world.far.base}/hop0")
    world.far.script = lambda got: None
    # fay's own account is looked at again when she has joined, whenever that comes round
    hops = [got.path for got in world.far.got if got.path.startswith("/hop")]
    assert hops == ["/hop0", "/hop1", "/hop2", "/hop3"]


LOCATIONS = {
    "itself": "",
    "a_fourth_hop": "/more",
    "file": "file:///etc/passwd",
    "ftp": "ftp://far.example/x",
    "gopher": "gopher://far.example:80/_GET",
    "javascript": "javascript:alert(1)",
    "data": "data:application/activity+json,{}",
    "downgrade": "http://far.example/down",
    "user": "https://user:pass@far.example/x",
    "inside": "http://169.254.169.254/latest",
    "port": "https://far.example:22/x",
    "line_break": "https://far.example/\\r\\nX: y",
}


@pytest.mark.parametrize("how", LOCATIONS)
async def test_redirect_that_leads_nowhere_good_is_not_followed(world: World, how: str) -> None:
    start = f"/start{next(numbers)}"
    where = LOCATIONS[how]

    def script(got: Got) -> Answer | None:
        if not got.path.startswith((start, "/more")):
            return None
        onward = {"": start, "/more": f"/more{next(numbers)}"}.get(where, where)
        return Answer(302, {"Location": onward})

    world.far.got.clear()
    world.far.script = script
    before = refused_of(await world.daemon.metrics())
    await answering(world, f"{world.far.base}{start}")
    world.far.script = lambda got: None
    assert refused_of(await world.daemon.metrics()) == before + 1
    asked = [got.path for got in world.far.got if got.path.startswith((start, "/more", "/x", "/down"))]
    assert len(asked) == (4 if how in ("itself", "a_fourth_hop") else 1), asked
    assert world.bird.hits == []
    await world.still_good()


def _note(world: World, **changes: Any) -> dict[str, Any]:
    return {**world.far.actor("fay").note("LIES"), **changes}


LIES = {
    "id_on_another_host": lambda w, at: (_note(w, id=f"{w.good.base}/notes/77"), AS2),
    "id_elsewhere_on_its_host": lambda w, at: (_note(w, id=f"{w.far.base}/elsewhere"), AS2),
    "author_on_another_host": lambda w, at: (_note(w, id=at, attributedTo=w.alice.id), AS2),
    "as_html": lambda w, at: (_note(w, id=at), "text/html"),
    "as_json": lambda w, at: (_note(w, id=at), "application/json"),
    "as_text_that_names_as2": lambda w, at: (_note(w, id=at), f'text/plain; x="{AS2}"'),
    "private": lambda w, at: (_note(w, id=at, to=[], cc=[]), AS2),
    "no_post": lambda w, at: (_note(w, id=at, type="Person"), AS2),
    "key_twice": lambda w, at: (json.dumps(_note(w, id=at))[:-1] + ', "id": "x"}', AS2),
    "too_deep": lambda w, at: (_note(w, id=at, x=json.loads("[" * 60 + "]" * 60)), AS2),
    "nul": lambda w, at: (_note(w, id=at, content="LIES\0"), AS2),
}


@pytest.mark.parametrize("how", LIES)
async def test_document_that_proves_nothing_is_not_taken(world: World, how: str) -> None:
    path = f"/lie{next(numbers)}"
    at = f"{world.far.base}{path}"
    document, kind = LIES[how](world, at)
    body = (document if isinstance(document, str) else json.dumps(document)).encode()
    world.far.script = lambda got: Answer(200, {"Content-Type": kind}, body) if got.path == path else None
    said = await answering(world, at)
    world.far.script = lambda got: None
    assert [got.path for got in world.far.got if got.path == path]
    assert not await known(world, at)
    assert not await world.daemon.rows("SELECT id FROM acts WHERE body LIKE '%LIES%'")
    assert not [event for event in world.relay.stored.values() if "LIES" in event["content"]]
    assert await known(world, said["object"]["id"]), "the answer itself goes on without what it answers"


async def test_document_moved_to_another_host_is_not_taken(world: World) -> None:
    """It says the id under which it was asked for, and comes from elsewhere."""
    at = f"{world.good.base}/moved"
    note = {**world.alice.note("LIES"), "id": at}
    onward = Answer(302, {"Location": "https://far.example/moved"})
    world.good.script = lambda got: onward if got.path == "/moved" else None
    body = json.dumps(note).encode()
    world.far.script = lambda got: Answer(200, {"Content-Type": AS2}, body) if got.path == "/moved" else None
    await answering(world, at)
    world.good.script = world.far.script = lambda got: None
    assert [got for got in world.far.got if got.path == "/moved"]
    assert not await known(world, at)


async def test_what_never_ends_is_cut_at_ten_seconds(world: World) -> None:
    """A byte a second, headers without end, a body without end, silence: all at once, each as somebody's key."""
    as2 = b"HTTP/1.1 200 OK\r\nContent-Type: application/activity+json\r\n"
    ways = {
        "/slow": (as2 + b"Content-Length: 500\r\n\r\n", b"{", 1.0),
        "/headers": (b"HTTP/1.1 200 OK\r\n", b"X-Header-Without-End: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 200, 0.0),
        "/head": (b"HTTP/1.1 200 OK\r\nX: ", b"a", 1.0),
        "/body": (as2 + b"\r\n", b" " * 65536, 0.0),
        "/status": (b"HTTP/1.1 ", b"2", 1.0),
        "/silence": (b"", b"", 1.0),
        "/chunks": (as2 + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.5),
    }  # fmt: skip

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readline()).split()[1].decode()
            start, more, pause = ways[path.partition("-")[0]]
            writer.write(start)
            while True:
                writer.write(more)
                await writer.drain()
                await asyncio.sleep(pause)
        except (OSError, IndexError):
            pass
        finally:
            writer.close()

    nora = await world.someone()
    before = world.daemon.rss()
    started = time.monotonic()
    async with await asyncio.start_server(serve, SLOW, 80, reuse_port=True):

        async def one(path: str) -> int:
            actor = f"http://{SLOW}{path}-{next(numbers)}"
            body = json.dumps({**world.alice.follow(nora), "actor": actor, "id": f"{actor}/1"}).encode()
            headers = world.alice.signed(world.inbox, body, key_id=f"{actor}#main-key")
            return (await world.good.post(world.inbox, body, headers))[0]

        asked = asyncio.gather(*map(one, ways))
        highest = before
        while not asked.done():
            await asyncio.sleep(0.5)
            highest = max(highest, world.daemon.rss())
        statuses = dict(zip(ways, await asked, strict=True))
    assert set(statuses.values()) <= {401, 503}, statuses
    assert {statuses[way] for way in ("/slow", "/head", "/status", "/silence", "/chunks")} == {503}
    assert 9 < time.monotonic() - started < 25
    assert highest - before < 64 << 20
    await world.still_good()


async def test_circles_and_chains_of_answers_stay_within_budget(world: World) -> None:
    fay = world.far.actor("fay")
    base = f"{fay.id}/chain{next(numbers)}"
    for n in range(60):
        fay.note(f"link {n}", id=f"{base}/{n}", inReplyTo=f"{base}/{n + 1}", quoteUrl=f"{base}/{(n + 7) % 60}")
    world.far.got.clear()
    await answering(world, f"{base}/0")
    assert 0 < len([got for got in world.far.got if "/chain" in got.path]) <= 20
    fay.note("one", id=f"{base}/a", inReplyTo=f"{base}/b")
    fay.note("two", id=f"{base}/b", inReplyTo=f"{base}/a", quoteUrl=f"{base}/b")
    world.far.got.clear()
    await answering(world, f"{base}/a")
    assert len([got for got in world.far.got if "/chain" in got.path]) == 2
    await world.still_good()


async def test_pages_without_end_stay_within_budget(world: World) -> None:
    """The outbox of who joins is read, and its pages go on for ever."""
    fay = world.far.actor(f"endless{next(numbers)}", rsa_key("mallory"))
    fay.show(outbox=f"{fay.id}/outbox", featured=f"{fay.id}/featured")

    def script(got: Got) -> Answer | None:
        if "/outbox" not in got.path and "/featured" not in got.path:
            return None
        url = f"{world.far.base}{got.path.partition('?')[0]}"
        page = {"id": url, "type": "OrderedCollectionPage", "next": f"{url}?page={next(numbers)}", "orderedItems": []}
        return Answer(200, {"Content-Type": AS2}, json.dumps(page).encode())

    world.far.got.clear()
    world.far.script = script
    await world.send(fay.follow(f"{world.daemon.base}/users/bridge/bot"), fay)
    await world.settled()

    def read() -> list[str]:
        return [got.path for got in world.far.got if "/outbox" in got.path]

    await eventually(read)
    await asyncio.sleep(1)
    world.far.script = lambda got: None
    assert 1 <= len(read()) <= 3
    assert len([got for got in world.far.got if "/featured" in got.path]) <= 2
    await world.still_good()
