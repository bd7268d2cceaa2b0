"""The media room: what nothing shows any more, and what is served, on both databases."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridged.media import Media
from bridged.store import blobs
from bridged.web import files
from tests.unit.core.media_scene import URL, Scene, scene_of


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await scene_of(bridge_of)


async def test_file_of_a_deleted_post_is_served_no_more_and_later_removed(scene: Scene) -> None:
    scene.serve()
    id = await scene.post("look", URL)
    name = bytes.fromhex(scene.shown()[0][0])
    assert await scene.media.blob(name) is not None
    assert await scene.media.prune(86400) == 0
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=id))
    assert await scene.media.blob(name) is None
    assert await scene.media.prune(86400) == 0
    scene.bridge.clock.move(90_000)
    assert await scene.media.prune(86400) == 1
    assert scene.on_disk() == []
    assert await scene.bridge.read(lambda tx: blobs.get(tx, name)) is None


async def test_file_that_another_post_shows_stays(scene: Scene) -> None:
    scene.serve()
    first = await scene.post("one", URL)
    await scene.post("two", URL)
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=first))
    await scene.media.prune(0)
    scene.bridge.clock.move(10)
    assert await scene.media.prune(0) == 0
    assert await scene.media.blob(bytes.fromhex(scene.shown()[0][0])) is not None


async def test_file_that_an_edit_leaves_out_is_served_no_more(scene: Scene) -> None:
    scene.serve()
    id = await scene.post("look", URL)
    name = bytes.fromhex(scene.shown()[0][0])
    await scene.bridge.hear(scene.red.say("Edit", "alice", target=id, text="nothing to see"))
    assert await scene.media.blob(name) is None


async def test_file_without_a_row_is_swept_and_one_with_a_row_stays(scene: Scene, store_url: str) -> None:
    scene.serve()
    await scene.post("look", URL)
    (kept,) = scene.on_disk()
    orphan = scene.media.path(b"\x01" * 32)
    for path in (orphan, orphan.with_name(".half.part")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    if store_url != "sqlite":
        assert await scene.media.sweep() == 0  # another process may be at it
        later = orphan.stat().st_mtime + 7200
        scene.media._now = lambda: later
    assert await scene.media.sweep() == 2
    assert scene.on_disk() == [kept]


async def test_file_that_was_lost_is_fetched_again(scene: Scene) -> None:
    scene.serve()
    await scene.post("one", URL)
    scene.on_disk()[0].unlink()
    assert await scene.media.blob(bytes.fromhex(scene.shown()[0][0])) is None
    await scene.post("two", URL)
    assert len(scene.on_disk()) == 1


async def test_full_disk_is_no_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.serve()
    place: Callable[..., None] = Media._place

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Media, "_place", full)
    await scene.post("look", URL)
    assert scene.shown() == []
    monkeypatch.setattr(Media, "_place", place)
    await scene.wait()
    assert not scene.shown()[0][0].startswith("link")


# --- served to others ---


async def test_file_is_served_as_what_it_is_and_nothing_in_it_runs(scene: Scene) -> None:
    scene.serve()
    id = await scene.post("look", URL)
    ((name,),) = scene.shown()
    app = web.Application()
    app.add_routes(files.routes(scene.bridge.core))
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(f"/media/{name}")
        assert answer.status == 200
        assert sha256(await answer.read()).hexdigest() == name
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "immutable" in answer.headers["Cache-Control"]
        part = await client.get(f"/media/{name}", headers={"Range": "bytes=0-9"})
        assert (part.status, len(await part.read())) == (206, 10)
        for other in ("0" * 64, name.upper(), name[:-1], f"{name[:2]}/{name[2:]}", "..%2fsecret.key"):
            assert (await client.get(f"/media/{other}")).status == 404
        await scene.bridge.hear(scene.red.say("Delete", "alice", target=id))
        assert (await client.get(f"/media/{name}")).status == 404
