"""What we serve, from outside."""

from dataclasses import replace
from email.utils import formatdate

import pytest

from bridged.api import Activity, Copy, Media, Option, Poll, Post, PostBody, Profile, Ref, Text, View
from tests.unit.activitypub.fake import AS2, BASE, BOT, GHOST, HOME, NOW, PUBLIC
from tests.unit.activitypub.site import ACTOR, BROWSER, Site


async def test_actor_is_served(site: Site):
    response, actor = await site.get(ACTOR)
    assert response.status == 200
    assert response.content_type == AS2
    assert actor["id"] == GHOST.ref.id
    assert actor["type"] == "Person"
    assert actor["preferredUsername"] == HOME.handle
    assert actor["summary"] == "<p>hello</p>"
    assert actor["publicKey"]["publicKeyPem"].startswith("-----BEGIN PUBLIC KEY-----")
    for name in ("inbox", "outbox", "followers", "following"):
        assert actor[name] == f"{GHOST.ref.id}/{name}"
    assert actor["featured"] == f"{GHOST.ref.id}/collections/featured"
    assert actor["featuredTags"] == f"{GHOST.ref.id}/collections/tags"
    assert actor["url"] == [
        {"type": "Link", "mediaType": "text/html", "href": HOME.url},
        {"type": "Link", "rel": "canonical", "href": HOME.uri},
    ]


async def test_actor_is_served_as_it_was_last_said(site: Site):
    act = Profile(replace(HOME, name="Newer"))
    out = site.adapter.encode(Activity(Ref("nostr", "99"), HOME.ref, NOW, act), View(NOW, GHOST, HOME))
    site.host.copies[GHOST.ref.id] = Copy(HOME.ref, "activitypub", 0, GHOST.ref, out.parts[0].served)
    _, actor = await site.get(ACTOR)
    assert actor["name"] == "Newer"


async def test_actor_for_pubby_has_a_plain_url(site: Site):
    response, actor = await site.get(ACTOR, **{"User-Agent": "pubby/0.6.2 (+https://pubby.test/ap/actor)"})
    assert actor["url"] == HOME.url
    assert response.headers["Vary"] == "Accept, User-Agent"


async def test_content_type_follows_accept(site: Site):
    response, _ = await site.get(ACTOR, 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"')
    assert response.headers["Content-Type"].startswith("application/ld+json; profile=")
    for accept in ("*/*", "application/json", f"{AS2}, text/html"):
        response, _ = await site.get(ACTOR, accept)
        assert (response.status, response.content_type) == (200, AS2)
    response, _ = await site.get(ACTOR, "text/html,application/xhtml+xml,*/*;q=0.8")
    assert (response.status, response.headers["Location"]) == (303, HOME.url)
    assert response.headers["Vary"] == "Accept"


async def test_head_and_etag(site: Site):
    async with site.client.head(ACTOR, headers={"Accept": AS2}) as response:
        assert response.status == 200
        assert await response.read() == b""
        assert int(response.headers["Content-Length"]) > 0
    again, body = await site.get(ACTOR, **{"If-None-Match": response.headers["ETag"]})
    assert (again.status, body) == (304, b"")


async def test_actor_gone_is_a_tombstone_and_unknown_is_not_found(site: Site):
    site.host.withdrawn.add(f"{BASE}/users/nostr/left")
    response, document = await site.get("/users/nostr/left")
    assert (response.status, document["type"]) == (410, "Tombstone")
    response, _ = await site.get("/users/nostr/left/outbox")
    assert response.status == 410
    for path in ("/users/nostr/x", "/users/nostr/x/followers", "/objects/nostr/x", "/activities/nostr/x/create"):
        response, _ = await site.get(path)
        assert response.status == 404


async def test_instance_actor_needs_no_signature(site: Site):
    response, actor = await site.get("/actor", "*/*")
    assert (response.status, actor["type"], actor["id"]) == (200, "Application", f"{BASE}/actor")
    assert actor["publicKey"]["id"] == f"{BASE}/actor#main-key"
    _, outbox = await site.get("/actor/outbox")
    assert outbox["totalItems"] == 0


async def test_object_and_its_create_are_served(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    response, note = await site.get(copy.ref.id.removeprefix(BASE))
    assert (response.status, note["id"], note["content"]) == (200, copy.ref.id, "<p>post 1</p>")
    _, create = await site.get(f"/activities/nostr/{1:064x}/create")
    assert create["id"] == f"{BASE}/activities/nostr/{1:064x}/create"
    assert (create["type"], create["object"]["id"]) == ("Create", note["id"])
    assert create["to"] == [PUBLIC]
    response, _ = await site.get(copy.ref.id.removeprefix(BASE), "text/html")
    assert (response.status, response.headers["Location"]) == (303, "https://njump.example/x")


async def test_withdrawn_object_is_gone(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    site.host.copies[copy.ref.id] = replace(copy, served=b"", gone=True)
    for path in (copy.ref.id.removeprefix(BASE), f"/activities/nostr/{1:064x}/create"):
        response, document = await site.get(path)
        assert (response.status, document["type"], document["id"]) == (410, "Tombstone", f"{BASE}{path}")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", AS2),
        ("*/*", AS2),
        ("image/png", AS2),
        ("application/json", AS2),
        (f'{AS2}, application/ld+json; profile="https://www.w3.org/ns/activitystreams", text/html;q=0.1', AS2),
        ('application/ld+json; profile="https://www.w3.org/ns/activitystreams", application/json', AS2),
        (f"{AS2};q=0.5, application/ld+json", "application/ld+json"),
        (f"text/html, {AS2}", AS2),
        (f"text/html;q=0.9, {AS2};q=0.8", "text/html"),
        (f"text/html, {AS2};q=0", "text/html"),
        ("text/html;q=0, */*", AS2),
        ("TEXT/HTML ; Q=0.5", "text/html"),
        (f"text/html;q=x, {AS2};q=0.1", AS2),
        (BROWSER, "text/html"),
    ],
)
async def test_form_follows_the_weights_of_accept(site: Site, accept: str, form: str):
    response, _ = await site.get(f"/users/bridge/{BOT.ref.id.rpartition('/')[2]}", accept)
    assert (response.status, response.content_type) == (200, form)


async def test_object_has_a_date_and_is_not_sent_again(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    path = copy.ref.id.removeprefix(BASE)
    response, _ = await site.get(path)
    assert response.headers["Last-Modified"] == formatdate(NOW, usegmt=True)
    assert "max-age=180" in response.headers["Cache-Control"]
    again, body = await site.get(path, **{"If-Modified-Since": response.headers["Last-Modified"]})
    assert (again.status, body) == (304, b"")
    newer, _ = await site.get(path, **{"If-Modified-Since": formatdate(NOW - 1, usegmt=True)})
    assert newer.status == 200
    # it may have been edited at a time before that, and we hear of it only now
    later, _ = await site.get(path, **{"If-Modified-Since": formatdate(NOW + 60, usegmt=True)})
    assert later.status == 200
    # a tag outranks a date
    other, _ = await site.get(path, **{"If-None-Match": '"x"', "If-Modified-Since": response.headers["Last-Modified"]})
    assert other.status == 200
    any_tag, _ = await site.get(path, **{"If-None-Match": "*"})
    assert any_tag.status == 304


async def test_poll_has_no_date_since_votes_come_without_one(site: Site):
    poll = Poll((Option("yes", "yes"), Option("no", "no")))
    copy = site.say(
        Ref("nostr", "33" * 32), Post(PostBody(Ref("nostr", "33" * 32), HOME.ref, Text("?"), NOW, poll=poll))
    )
    assert copy.ref is not None
    response, _ = await site.get(copy.ref.id.removeprefix(BASE))
    assert "Last-Modified" not in response.headers
    assert "ETag" in response.headers


async def test_what_has_no_page_at_home_has_one_here(site: Site):
    body = PostBody(
        Ref("nostr", "77"),
        HOME.ref,
        Text("<script>alert(1)</script> & so on"),
        NOW,
        media=(Media("https://files.example/a.png", "image/png", alt='a "cat"'),),
        uri="nostr:note1x",
    )
    out = site.adapter.encode(Activity(body.ref, HOME.ref, NOW, Post(body)), View(NOW, GHOST, HOME))
    part = out.parts[0]
    assert part.ref is not None
    site.host.copies[part.ref.id] = Copy(body.ref, "activitypub", 0, part.ref, part.served)
    response, page = await site.get(part.ref.id.removeprefix(BASE), BROWSER)
    assert (response.status, response.content_type) == (200, "text/html")
    assert f'<{part.ref.id}>; rel="alternate"' in response.headers["Link"]
    said = page.decode()
    assert "<script" not in said
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; so on" in said
    for shown in ("nostr:note1x", "https://files.example/a.png", "a &quot;cat&quot;", GHOST.ref.id, "Bridged by"):
        assert shown in said
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "<img" not in said


async def test_bot_has_a_page_here(site: Site):
    response, page = await site.get("/users/bridge/bot", BROWSER)
    assert (response.status, response.content_type) == (200, "text/html")
    assert b"@bridge@bridge.test" in page
    response, _ = await site.get("/actor", BROWSER)
    assert (response.status, response.headers["Location"]) == (303, BASE)


async def test_browser_is_sent_from_a_repost_to_what_it_shows(site: Site):
    copy = site.repost(9)
    assert copy.ref is not None
    response, _ = await site.get(copy.ref.id.removeprefix(BASE), BROWSER)
    assert (response.status, response.headers["Location"]) == (303, "https://peer.test/notes/1")


async def test_page_with_a_line_break_in_its_address_is_none(site: Site):
    """It would end the header that names it."""
    site.host.ghosts[GHOST.ref.id] = (GHOST, replace(HOME, url="https://njump.example/\r\nX-Evil: 1"))
    response, body = await site.get(ACTOR, BROWSER)
    assert (response.status, response.content_type) == (200, "text/html")
    assert b"X-Evil" not in body
