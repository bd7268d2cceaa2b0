"""The media room: files of others made ours before what shows them is said, on both databases."""

import asyncio
import io
from hashlib import sha256
from typing import Any

import pytest
from PIL import Image

from bridged.adapter import EgressFailed, EgressRefused, Response
from bridged.testing import FakeNetwork
from tests.unit.core.media_scene import FILM, URL, Scene, picture, scene_of


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await scene_of(bridge_of)


async def test_picture_of_a_post_is_ours_before_the_post_is_said(scene: Scene) -> None:
    scene.serve()
    id = await scene.post("look", URL)
    ((name,),) = scene.shown()
    (path,) = scene.on_disk()
    assert sha256(path.read_bytes()).hexdigest() == name == path.parent.name + path.name
    found = await scene.media.blob(bytes.fromhex(name))
    assert found is not None
    assert (found[0].mime, found[0].size, found[0].width, found[0].height, found[1]) == (
        "image/jpeg",
        path.stat().st_size,
        64,
        48,
        path,
    )
    assert await scene.losses(id) == []


async def test_file_is_fetched_once_for_all_posts_that_show_it(scene: Scene) -> None:
    scene.serve()
    await scene.post("one", URL)
    await scene.bridge.restart()
    await scene.post("two", URL)
    assert scene.http.asked == [URL]
    assert scene.shown()[0] == scene.shown()[1]


async def test_network_that_need_not_own_files_has_none_fetched(bridge_of: Any) -> None:
    red, blue = FakeNetwork("red"), FakeNetwork("blue")
    red.join("alice")
    blue.join("bob")
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    await bridge.hear(red.post("alice", "look", files=(URL,), links=()))
    assert blue.texts() == ["look"]
    assert bridge.http.asked == []


@pytest.mark.parametrize(
    ("body", "type", "why"),
    [
        (picture(format="PNG"), "image/jpeg", "not of the type"),
        (b"<html>", "image/jpeg", "of no type"),
        (b"<svg/>", "image/svg+xml", "of no type"),
        (b"%PDF-1.4", "application/pdf", "of no type"),
        (picture()[:400], "image/jpeg", "broken picture"),
        (FILM, "video/mp4", "of no type"),  # where a picture was said to be
        (picture(), "text/html", "not of the type"),
    ],
)
async def test_file_that_is_no_such_picture_is_refused_and_the_post_goes(
    scene: Scene, body: bytes, type: str, why: str
) -> None:
    scene.serve(body=body, type=type)
    id = await scene.post("look", URL)
    assert scene.shown() == [(f"link {URL}",)]
    (lost,) = await scene.losses(id)
    assert why in lost
    assert URL in lost
    assert scene.on_disk() == []
    assert scene.http.asked == [URL]


@pytest.mark.parametrize("type", ["", "application/octet-stream", "image/jpg", "image/jpeg; charset=binary"])
async def test_type_that_says_nothing_or_the_same_is_no_lie(scene: Scene, type: str) -> None:
    scene.serve(type=type)
    await scene.post("look", URL)
    assert not scene.shown()[0][0].startswith("link")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (EgressFailed("too_large files.example"), "too big"),
        (EgressRefused("address files.example"), "not asked for"),
        (Response(404, URL, {}, b""), "404"),
        (Response(403, URL, {}, b""), "403"),
    ],
)
async def test_file_that_is_not_to_be_had_at_all_is_asked_for_once(scene: Scene, answer: Any, why: str) -> None:
    scene.http.pages[URL] = answer
    id = await scene.post("look", URL)
    assert scene.shown() == [(f"link {URL}",)]
    assert [why in lost for lost in await scene.losses(id)] == [True]
    assert scene.http.asked == [URL]
    await scene.post("again", URL)
    assert scene.http.asked == [URL]


@pytest.mark.parametrize("answer", [EgressFailed("timeout files.example"), Response(503, URL, {}, b"")])
async def test_host_that_is_down_is_tried_a_few_times_and_then_the_post_goes(scene: Scene, answer: Any) -> None:
    scene.http.pages[URL] = answer
    id = await scene.post("look", URL)
    assert scene.shown() == []
    await scene.wait()
    assert scene.shown() == [(f"link {URL}",)]
    assert len(await scene.losses(id)) == 1
    assert 3 <= len(scene.http.asked) <= 5
    asked = len(scene.http.asked)
    await scene.bridge.wait(3600)
    assert len(scene.http.asked) == asked


async def test_host_that_comes_back_in_time_is_waited_for(scene: Scene) -> None:
    scene.http.pages[URL] = EgressFailed("connect files.example")
    await scene.post("look", URL)
    scene.serve()
    await scene.wait()
    ((name,),) = scene.shown()
    assert not name.startswith("link")


async def test_file_that_is_slow_holds_its_post_for_moments_only(scene: Scene) -> None:
    """It is fetched on beside, and there when the post is taken up again."""
    let_go = asyncio.Event()
    get = scene.http.get

    async def slow(url: str, **more: Any) -> Response:
        await let_go.wait()
        return await get(url, **more)

    scene.http.get = slow  # type: ignore[method-assign]
    scene.media.prompt = 0.01
    scene.serve()
    await scene.post("look", URL)
    await scene.post("no file")
    assert scene.blue.texts() == ["no file"]
    let_go.set()
    await asyncio.wait(scene.media._tasks.values())
    await scene.bridge.wait(6)
    assert sorted(scene.blue.texts()) == ["look", "no file"]
    assert scene.http.asked == [URL]


async def test_slow_host_takes_two_places_and_leaves_the_others(scene: Scene) -> None:
    running, most = set[str](), dict[str, int]()
    let_go = asyncio.Event()

    async def slow(url: str, **_: Any) -> Response:
        if "slow" not in url:
            return Response(200, url, {"content-type": "image/jpeg"}, picture())
        running.add(url)
        most["slow"] = max(most.get("slow", 0), len(running))
        await let_go.wait()
        running.discard(url)
        raise EgressFailed("timeout slow.example")

    scene.http.get = slow  # type: ignore[method-assign]
    scene.media.prompt = 0.3
    await scene.post("slow", *(f"https://slow.example/{n}.jpg" for n in range(10)))
    scene.media.prompt = 5.0
    await scene.post("quick", *(f"https://quick.example/{n}.jpg" for n in range(10)))
    ((name, *_),) = scene.shown()
    assert not name.startswith("link")
    assert most == {"slow": 2}
    let_go.set()
    await asyncio.wait(scene.media._tasks.values())


async def test_no_more_files_than_sixteen_are_taken_over(scene: Scene) -> None:
    urls = [f"https://files.example/{n}.jpg" for n in range(40)]
    for n, url in enumerate(urls):
        scene.serve(url, picture(f"#0000{n:02x}"))
    await scene.post("look", *urls)
    assert scene.http.asked == urls[:16]
    assert len(scene.shown()[0]) == 16


async def test_film_goes_as_it_is_up_to_the_setting(scene: Scene) -> None:
    url = "https://files.example/film.mp4"
    limits: list[int] = []
    get = scene.http.get

    async def noting(url: str, *, limit: int = 0, **more: Any) -> Response:
        limits.append(limit)
        return await get(url, limit=limit, **more)

    scene.http.get = noting  # type: ignore[method-assign]
    scene.serve(url, FILM, "video/mp4")
    await scene.post("look", url)
    assert scene.shown() == [(sha256(FILM).hexdigest(),)]
    assert limits == [50 << 20]


async def test_films_can_be_left_out(bridge_of: Any) -> None:
    scene = await scene_of(bridge_of, media={"video": 0})
    await scene.post("look", "https://files.example/film.mp4")
    assert scene.shown() == [("link https://files.example/film.mp4",)]
    assert scene.http.asked == []


# --- cards ---

LINK = "https://news.example/story"
PAGE = b"""<html><head><title>Story</title><meta property="og:image" content="/big.png"></head>"""


async def test_first_link_of_a_post_gets_its_card_and_picture(scene: Scene) -> None:
    scene.serve(LINK, PAGE, "text/html; charset=utf-8")
    scene.serve("https://news.example/big.png", picture(format="PNG"), "image/png")
    await scene.post(f"read {LINK}", links=(LINK,))
    (told,) = scene.blue.received("Post")
    assert told.cards == ("Story (https://news.example/big.png)",)
    assert len(told.files) == 1
    assert not told.files[0].startswith("link")


async def test_post_with_a_picture_has_no_card(scene: Scene) -> None:
    scene.serve()
    await scene.post(f"read {LINK}", URL, links=(LINK,))
    assert scene.http.asked == [URL]


@pytest.mark.parametrize(
    "answer",
    [
        EgressFailed("timeout news.example"),
        EgressRefused("address news.example"),
        Response(200, LINK, {"content-type": "application/pdf"}, b"%PDF"),
        Response(200, LINK, {"content-type": "text/html"}, b"\0" * 1000),
        Response(500, LINK, {}, b""),
    ],
)
async def test_page_that_gives_no_card_holds_nobody_up(scene: Scene, answer: Any) -> None:
    scene.http.pages[LINK] = answer
    await scene.post(f"read {LINK}", links=(LINK,))
    (told,) = scene.blue.received("Post")
    assert told.cards == ()


# --- profiles ---


async def test_pictures_of_a_profile_are_ours_when_the_ghost_is_made(scene: Scene) -> None:
    scene.serve()
    scene.red.join("carol", avatar=URL)
    await scene.bridge.ghost(scene.red.ref("carol"), "blue")
    await scene.bridge.settle()
    told = scene.blue.received("Profile")[-1]
    assert not told.files[0].startswith("link")


async def test_avatar_that_was_late_is_shown_once_it_is_there(scene: Scene) -> None:
    scene.http.pages[URL] = EgressFailed("connect files.example")
    scene.red.join("carol", avatar=URL)
    await scene.bridge.ghost(scene.red.ref("carol"), "blue")
    await scene.bridge.settle()
    assert scene.blue.received("Profile")[-1].files == (f"link {URL}",)
    scene.serve()
    scene.bridge.clock.move(30)
    await scene.bridge.refresh.step()
    await scene.bridge.settle()
    assert not scene.blue.received("Profile")[-1].files[0].startswith("link")
    said = len(scene.blue.received("Profile"))
    scene.bridge.clock.move(8 * 86400)
    await scene.bridge.refresh.step()
    await scene.bridge.settle()
    assert len(scene.blue.received("Profile")) == said


async def test_limits_of_each_use_are_kept(scene: Scene) -> None:
    big = Image.effect_noise((3000, 1500), 50).convert("RGB")
    out = io.BytesIO()
    big.save(out, "JPEG", quality=95)
    scene.serve(body=out.getvalue())
    await scene.post("look", URL)
    found = await scene.media.blob(bytes.fromhex(scene.shown()[0][0]))
    assert found is not None
    assert max(found[0].width, found[0].height) <= 2000
    assert found[0].size <= 2_000_000
