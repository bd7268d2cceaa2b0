"""Articles: said whole as site.standard.document where that is on, and read as others publish them."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.atproto import cbor, ids
from adapters.atproto.articles import ARTICLE
from adapters.atproto.decode import decode
from adapters.atproto.encode import encode
from adapters.atproto.envelopes import Change, record_envelope
from adapters.atproto.home import Home
from adapters.atproto.intake import Intake
from adapters.atproto.lexicon import validate
from bridged.api import (
    Activity,
    Blob,
    Delete,
    Edit,
    Malformed,
    Outgoing,
    Post,
    PostBody,
    React,
    Ref,
    Rejected,
    There,
)
from bridged.testing.fakehost import FakeHost
from tests.unit.atproto.stream_host import FakePeople
from tests.unit.atproto.test_at_words import ALICE, AT, CID, DID, GHOST, TOOT, copies, records, toot, view

ON = Home(articles=True)
LONG = "Bees. " * 6000
"""What a post keeps of the original's text is less."""
TITLED = {"title": "On bees", "summary": "Why they matter", "tags": ("bees",)}
SITE = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/site.standard.publication/3lwafzkjqm25s"


def said(text: str = "Bees. " * 200, **more: Any) -> Outgoing:
    return encode(toot(text, **{**TITLED, **more}), view(), ON)


def edited(text: str, before: Outgoing, **more: Any) -> Outgoing:
    act = toot(text, **{**TITLED, **more})
    assert isinstance(act.act, Post)
    return encode(replace(act, act=Edit(act.act.body)), view(previous=copies(before)), ON)


def read(record: dict[str, Any], *, site: str = "", operation: Any = "create") -> Activity:
    change = Change(
        DID, ids.ARTICLE, "3lwafzkjqm25s", operation, CID, "3lwafzkjqm25t", record, "anna.example", "", site
    )
    (activity,) = decode(record_envelope(change, AT))
    return activity


def body_of(activity: Activity) -> PostBody:
    assert isinstance(activity.act, Post | Edit)
    return activity.act.body


def document(**more: Any) -> dict[str, Any]:
    return {
        "$type": ids.ARTICLE,
        "site": "https://blog.example",
        "path": "/bees",
        "title": "On bees",
        "publishedAt": "2026-09-21T10:00:00.000Z",
        **more,
    }


def test_article_is_said_whole_beside_the_post_that_tells_of_it() -> None:
    out = said()
    post, whole = out.parts
    record = cbor.decode(whole.served)
    assert record["bskyPostRef"] == {"uri": post.ref.id if post.ref else "", "cid": post.detail["cid"]}
    assert (record["site"], record["path"]) == ("https://social.example", "/@alice/1")
    assert (record["title"], record["description"], record["tags"]) == ("On bees", "Why they matter", ["bees"])
    assert record["textContent"] == "Bees. " * 200
    assert whole.ref is not None
    assert whole.ref.id.startswith(f"at://{GHOST}/{ids.ARTICLE}/")
    validate(ids.ARTICLE, whole.ref.id.rpartition("/")[2], record)


def test_article_shows_its_picture_and_what_it_warns_of() -> None:
    act = toot("Bees", **TITLED, image="https://files.example/bee.jpg", warning="stings", sensitive=True)
    blob = Blob(b"\x01" * 32, "image/jpeg", 1000, 800, 600)
    record = records(encode(act, view(blobs={"https://files.example/bee.jpg": blob}), ON))[-1]
    assert record["coverImage"]["size"] == 1000
    assert record["labels"]["values"] == [{"val": "graphic-media"}]
    validate(ids.ARTICLE, "3lwafzkjqm25s", record)


@pytest.mark.parametrize("more", [{"title": ""}, {"url": ""}])
def test_what_has_no_title_or_no_address_is_a_post_alone(more: dict[str, str]) -> None:
    act = toot("Bees", **TITLED)
    assert isinstance(act.act, Post)
    act = replace(act, act=Post(replace(act.act.body, **more)))
    assert {record["$type"] for record in records(encode(act, view(), ON))} == {ids.POST}


@pytest.mark.parametrize(
    ("url", "site", "path"),
    [
        ("https://blog.example", "https://blog.example", None),
        ("https://blog.example/", "https://blog.example", None),
        ("https://blog.example?p=1#x", "https://blog.example", "?p=1#x"),
        ("HTTPS://Blog.Example:81/a?b", "https://Blog.Example:81", "/a?b"),
        ("https://блог.example/я", "https://%D0%B1%D0%BB%D0%BE%D0%B3.example", "/я"),
        ("https://[2001:db8::1]:81/x", "https://[2001:db8::1]:81", "/x"),
    ],
)
def test_site_and_path_are_the_address_in_two(url: str, site: str, path: str | None) -> None:
    act = toot("Bees", **TITLED)
    assert isinstance(act.act, Post)
    record = records(encode(replace(act, act=Post(replace(act.act.body, url=url))), view(), ON))[-1]
    assert (record["$type"], record["site"], record.get("path")) == (ids.ARTICLE, site, path)


def test_article_that_stands_is_kept_up_once_they_are_switched_off() -> None:
    before = said(LONG)
    act = toot(LONG + "And wasps.", **TITLED)
    assert isinstance(act.act, Post)
    (part,) = encode(replace(act, act=Edit(act.act.body)), view(previous=copies(before)), Home()).parts
    assert (part.number, part.ref) == (ARTICLE, before.parts[1].ref)


def test_articles_are_posts_alone_unless_they_are_switched_on() -> None:
    assert {r["$type"] for r in records(encode(toot("Bees", **TITLED), view(), Home()))} == {ids.POST}


def test_edit_behind_the_cut_changes_the_article_alone() -> None:
    before = said(LONG)
    (part,) = edited(LONG + "And wasps.", before).parts
    assert (part.number, part.ref) == (ARTICLE, before.parts[1].ref)
    record = cbor.decode(part.served)
    assert record["textContent"].endswith("And wasps.")
    assert record["updatedAt"]
    assert record["publishedAt"] == cbor.decode(before.parts[1].served)["publishedAt"]


def test_edit_of_the_title_changes_both_and_the_article_names_the_post_as_it_is_now() -> None:
    before = said()
    post, whole = edited("Bees. " * 200, before, title="Of bees").parts
    assert post.detail["cid"] != before.parts[0].detail["cid"]
    assert cbor.decode(whole.served)["bskyPostRef"]["cid"] == post.detail["cid"]


def test_edit_that_changes_nothing_says_nothing() -> None:
    before = said()
    again = edited("Bees. " * 200, before)
    assert again.parts == ()
    changed = edited("Bees. " * 200 + "And wasps.", before)
    held = {c.part: c for c in (*copies(before), *copies(changed))}
    act = toot("Bees. " * 200 + "And wasps.", **TITLED)
    assert isinstance(act.act, Post)
    out = encode(replace(act, act=Edit(act.act.body)), view(previous=tuple(held.values())), ON)
    assert out.parts == ()


def test_article_that_loses_its_title_is_withdrawn() -> None:
    parts = edited("Bees. " * 200, said(), title="").parts
    assert [part.number for part in parts if part.gone] == [ARTICLE]


def test_deleted_article_goes_with_its_post() -> None:
    out = encode(Activity(TOOT, ALICE, AT, Delete(TOOT)), view(previous=copies(said())), ON)
    assert {part.number for part in out.parts} == {0, ARTICLE}
    assert all(part.gone for part in out.parts)


def test_gates_of_an_article_are_left_alone_by_its_edit() -> None:
    before = said(LONG, quotable=False)
    parts = edited(LONG + "And wasps.", before, quotable=False).parts
    assert [part.number for part in parts] == [ARTICLE]


def test_article_of_others_is_read_with_all_that_belongs_to_it() -> None:
    body = body_of(read(document(description="Why", textContent="Bees\0buzz.", tags=["#bees", "buzz"])))
    assert (body.title, body.summary, body.text.plain) == ("On bees", "Why", "Bees buzz.")
    assert (body.url, body.tags) == ("https://blog.example/bees", ("bees", "buzz"))
    assert body.at == 1_789_984_800.0
    assert body.detail == {"cid": CID}


@pytest.mark.parametrize(
    ("site", "path", "found", "url"),
    [
        ("https://blog.example/", "/bees", "", "https://blog.example/bees"),
        ("https://blog.example", "bees", "", "https://blog.example/bees"),
        ("https://blog.example", None, "", "https://blog.example"),
        (SITE, "/bees", "https://blog.example", "https://blog.example/bees"),
        (SITE, "/bees", "", "https://bsky.app/profile/anna.example"),
        ("javascript:alert(1)", "/bees", "", "https://bsky.app/profile/anna.example"),
        (7, "/bees", "", "https://bsky.app/profile/anna.example"),
    ],
)
def test_address_of_an_article_is_that_of_its_site_and_the_path(site: Any, path: Any, found: str, url: str) -> None:
    assert body_of(read(document(site=site, path=path), site=found)).url == url


@pytest.mark.parametrize("title", [None, "", "  ", 7, "x" * 5001])
def test_article_without_a_title_is_malformed(title: Any) -> None:
    with pytest.raises(Malformed):
        read(document(title=title))


def test_update_of_an_article_is_an_edit() -> None:
    activity = read(document(), operation="update")
    assert isinstance(activity.act, Edit)
    assert body_of(activity).title == "On bees"


def test_article_is_liked_and_answered_by_way_of_the_post_that_tells_of_it() -> None:
    post = {"uri": f"at://{DID}/{ids.POST}/3lwafzkjqm25a", "cid": CID}
    detail = body_of(read(document(bskyPostRef=post))).detail
    origin = Ref("atproto", f"at://{DID}/{ids.ARTICLE}/3lwafzkjqm25s")
    there = {origin: There(origin, origin, Ref("atproto", DID), detail=detail)}
    (like,) = records(encode(Activity(TOOT, ALICE, AT, React(origin)), view(there=there), ON))
    assert like["subject"] == post
    (answer,) = records(encode(toot("Indeed", reply_to=origin), view(there=there), ON))
    assert answer["reply"] == {"root": post, "parent": post}


def test_article_that_no_post_tells_of_is_neither_liked_nor_answered() -> None:
    origin = Ref("atproto", f"at://{DID}/{ids.ARTICLE}/3lwafzkjqm25s")
    there = {origin: There(origin, origin, Ref("atproto", DID), detail=body_of(read(document())).detail)}
    with pytest.raises(Rejected):
        encode(Activity(TOOT, ALICE, AT, React(origin)), view(there=there), ON)
    out = encode(toot("Indeed", reply_to=origin), view(there=there), ON)
    assert "reply" not in records(out)[0]
    assert "what it answers is not here" in out.losses


async def test_publication_is_looked_up_when_an_article_is_heard() -> None:
    people = FakePeople({DID: ("anna.example", "https://pds.example")})
    people.sites[DID, "3lwafzkjqm25s"] = "https://blog.example"
    intake = Intake(FakeHost(), people)
    heard = Change(DID, ids.ARTICLE, "3lwafzkjqm25b", "create", CID, "3lwafzkjqm25t", document(site=SITE))
    (envelope,) = await intake.envelopes([heard])
    (activity,) = decode(envelope)
    assert body_of(activity).url == "https://blog.example/bees"
