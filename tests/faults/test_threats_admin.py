"""What is for the operator alone: figures are not for the outside, and who leaves is left alone. There are no admin
pages yet; what there is of them must be tried here."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.ports import free_port

from .kit import eventually
from .kit.daemon import Daemon
from .kit.scene import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("admin")) as made:
        yield made


SPOOFED = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-For": "8.8.8.8"},
    {"X-Forwarded-For": "127.0.0.1, 127.0.0.1"},
    {"X-Forwarded-For": ""},
    {"X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"Forwarded": 'for="[::1]";proto=https'},
    {"Via": "1.1 proxy.example"},
    {"x-forwarded-for": "localhost"},
]


@pytest.mark.parametrize("headers", SPOOFED, ids=str)
async def test_figures_are_not_for_who_came_through_an_unknown_proxy(here: Scene, headers: dict[str, str]) -> None:
    status, _, body = await here.daemon.get("/metrics", headers)
    assert status == 403
    assert b"bridged_" not in body
    assert (await here.daemon.get("/metrics"))[0] == 200


BEHIND = [
    ("8.8.8.8", 403),
    ("127.0.0.1, 8.8.8.8", 403),
    ("10.0.0.1,8.8.8.8", 403),
    ("8.8.8.8, unknown", 403),
    ("::ffff:8.8.8.8", 403),
    ("[2001:500:2::c]:443", 403),
    (", ".join(["127.0.0.1"] * 50 + ["8.8.8.8"]), 403),
    ("8.8.8.8, 127.0.0.3", 403),
    ("8.8.8.8, 10.0.0.1", 200),
    ("10.1.2.3", 200),
]


async def test_figures_behind_a_proxy_are_for_who_is_inside(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The proxy we know writes down whom it saw, after whatever it was told."""
    folder, port = tmp_path_factory.mktemp("proxied"), free_port()
    daemon = Daemon(folder, port=port, config={"trusted_proxies": ["127.0.0.0/8"]})
    await daemon.start()
    try:
        for said, wanted in BEHIND:
            assert (await daemon.get("/metrics", {"X-Forwarded-For": said}))[0] == wanted, said
    finally:
        assert await daemon.stop() == 0


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/api/v1/admin", "/metrics/", "//metrics", "/metrics?token=x", "/debug"]
)
async def test_there_is_nothing_to_administer_from_the_web(here: Scene, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Cookie": "session=x"}):
        status, answered, body = await here.daemon.get(path, {**headers, "X-Forwarded-For": "8.8.8.8"})
        assert status in (302, 403, 404), (path, status)
        assert b"bridged_" not in body
        assert "set-cookie" not in answered


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/"])
async def test_nothing_but_reading_is_answered(here: Scene, method: str, path: str) -> None:
    before = await here.counts()
    host = here.daemon.domain
    answered = await here.raw(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(), wait=2)
    assert re.match(rb"HTTP/1\.[01] (400|403|404|405)", answered), answered[:80]
    assert await here.counts() == before


async def test_who_leaves_with_a_full_queue_is_not_heard_again(here: Scene) -> None:
    """What waits to be sent is not sent, though the relay takes everything again."""
    who = here.peer.actor("leaver")
    join = who.follow(here.bot)
    assert await who.send(join, here.inbox) == 202
    await eventually(lambda: [got for got in here.peer.posts("Accept") if join["id"].encode() in got.body])
    await here.settled()
    assert await who.send(who.create("said before the queue"), here.inbox) == 202
    (early,) = await eventually(lambda: [e for e in here.relay.events(kinds=[1]) if "before the queue" in e["content"]])
    here.relay.script = lambda frame: (
        [["OK", frame.json[1]["id"], False, "error: come back"]] if frame.json[0] == "EVENT" else None
    )
    count = 500
    said = [who.create(f"queued words {n}") for n in range(count)]
    for at in range(0, count, 20):
        sent = await asyncio.gather(*(who.send(each, here.inbox) for each in said[at : at + 20]))
        assert set(sent) == {202}

    async def queued() -> bool:
        rows = await here.daemon.rows("SELECT id FROM outbox WHERE state = 'ready' AND act = 'Post'")
        assert len(rows) >= count - 10, f"{len(rows)} wait"  # some may be in hand just now
        return True

    await eventually(queued)
    assert await who.send(who.undo(join), here.inbox) == 202

    async def left() -> bool:
        return bool(await here.daemon.rows(f"SELECT id FROM members WHERE id = '{who.id}' AND state = 'out'"))

    await eventually(left)
    assert [frame for frame in here.relay.heard() if "queued words" in frame.text], "nothing was in hand"
    await asyncio.sleep(1)  # what was in hand as they left may still come
    here.relay.frames.clear()
    here.relay.script = lambda frame: None
    with contextlib.suppress(AssertionError):  # when the relay is asked again is not the matter here
        await eventually(lambda: here.relay.events(kinds=[5], e=[early["id"]]), timeout=20)
    assert not [frame for frame in here.relay.heard() if "queued words" in frame.text]
    await here.good()
