"""Objects of every kind, as the servers that make them write them."""

from typing import Any

import pytest

from bridged.api import Media, PostBody
from tests.unit.activitypub.hearing import ap, note, one


def read(**more: Any) -> PostBody:
    return one(note(**more)).act.body


def links(body: PostBody) -> list[str]:
    return [str(target) for target in body.text.targets("link")]


def test_peertube_video_shows_its_best_file_and_a_still():
    body = read(
        type="Video",
        name="Cats",
        duration="PT1M3.5S",
        content="about *cats*\nhttps://a.test/more",
        mediaType="text/markdown",
        language={"identifier": "fr", "name": "French"},
        tag=[{"type": "Hashtag", "name": "cats"}],
        icon=[
            {"type": "Image", "url": "https://pt.test/small.jpg", "width": 280, "height": 157},
            {"type": "Image", "url": "https://pt.test/large.jpg", "width": 850, "height": 480},
        ],
        preview=[{"type": "Image", "rel": ["storyboard"], "url": [{"href": "https://pt.test/sheet.jpg"}]}],
        url=[
            {"type": "Link", "mediaType": "text/html", "href": "https://pt.test/w/1"},
            {
                "type": "Link",
                "mediaType": "application/x-mpegURL",
                "href": "https://pt.test/1.m3u8",
                "tag": [
                    {"type": "Link", "mediaType": "video/mp4", "href": "https://pt.test/2160.mp4", "height": 2160},
                    {
                        "type": "Link", "mediaType": "video/mp4", "href": "https://pt.test/720.mp4", "height": 720,
                        "width": 1280,
                    },
                    {"type": "Link", "mediaType": "video/mp4", "href": "https://pt.test/360.mp4", "height": 360},
                    {"type": "Link", "mediaType": "application/x-bittorrent", "href": "https://pt.test/1.torrent"},
                ],
            },
        ],
    )  # fmt: skip
    assert body.media == (
        Media(
            "https://pt.test/720.mp4", "video/mp4", size=(1280, 720), preview="https://pt.test/large.jpg", seconds=63.5
        ),
    )
    assert (body.title, body.url, body.lang, body.tags) == ("Cats", "https://pt.test/w/1", "fr", ("cats",))
    assert body.text.plain == "about *cats*\nhttps://a.test/more"
    assert links(body) == ["https://a.test/more"]


def test_video_without_a_file_leads_to_its_page():
    body = read(type="Video", name="Live", content="now", url=[{"mediaType": "text/html", "href": "https://pt.test/w"}])
    assert body.media == ()
    assert body.text.plain == "now\n\nhttps://pt.test/w"


def test_funkwhale_audio_and_castopod_episode_are_heard():
    for kind in ("Audio", "PodcastEpisode", "Track"):
        body = read(
            type=kind,
            name="Song",
            content="",
            url=[
                {"type": "Link", "href": "https://fw.test/a.html", "mediaType": "text/html"},
                {"type": "Link", "href": "https://fw.test/a.mp3", "mediaType": "audio/mpeg"},
            ],
            icon={"type": "Image", "url": "https://fw.test/cover.jpg"},
            duration=30,
        )
        assert body.media == (
            Media("https://fw.test/a.mp3", "audio/mpeg", preview="https://fw.test/cover.jpg", seconds=30),
        )


def test_lemmy_page_has_a_title_and_its_link():
    body = read(
        type="Page",
        name="A find",
        content="<p>look</p>",
        attachment=[{"type": "Link", "href": "https://a.test/found"}],
        image={"type": "Image", "url": "https://lemmy.test/thumb.png"},
        sensitive=False,
        language={"identifier": "de", "name": "Deutsch"},
    )
    assert (body.title, body.text.plain) == ("A find", "look\n\nhttps://a.test/found")
    assert links(body) == ["https://a.test/found"]
    assert (body.image, body.lang, body.warning) == ("https://lemmy.test/thumb.png", "de", "")


def test_link_that_the_text_has_already_is_not_added_again():
    body = read(
        content='<p><a href="https://a.test/x">this</a></p>',
        attachment=[{"type": "Page", "url": "https://a.test/x", "name": "X"}],
    )
    assert body.text.plain == "this"


def test_event_says_when_and_where():
    body = read(
        type="Event",
        name="Picnic",
        content="<p>Bring food</p>",
        startTime="2026-05-01T18:00:00+02:00",
        endTime="2026-05-01T20:00:00+02:00",
        location={
            "type": "Place",
            "name": "Park",
            "address": {"type": "PostalAddress", "streetAddress": "Main St 1", "addressLocality": "Graz"},
        },
        url="https://mobilizon.test/events/1",
    )
    assert body.title == "Picnic"
    assert body.text.plain == (
        "When: 2026-05-01 18:00 UTC+02:00 – 2026-05-01 20:00 UTC+02:00\nWhere: Park, Main St 1, Graz\n\nBring food\n\n"
        "https://mobilizon.test/events/1"
    )
    assert links(body) == ["https://mobilizon.test/events/1"]
    assert body.expires is None


def test_event_online_links_to_its_room():
    body = read(
        type="Event",
        name="Call",
        content="",
        startTime="2026-05-01T18:00:00Z",
        location=[{"type": "VirtualLocation", "url": "https://meet.test/room"}, "nonsense"],
    )
    assert body.text.plain == "When: 2026-05-01 18:00 UTC\nWhere: https://meet.test/room"
    assert links(body) == ["https://meet.test/room"]


@pytest.mark.parametrize("kind", ["Album", "Document", "Page", "Article"])
def test_what_has_no_words_leads_to_its_page(kind: str):
    body = read(type=kind, name="Holiday", content=None, url="https://a.test/album/1")
    assert (body.title, body.text.plain) == ("Holiday", "https://a.test/album/1")


def test_article_has_an_abstract_and_a_picture_at_its_head():
    body = read(
        type="Article",
        name="On <em>cats</em>",
        summary="<p>all of it</p>",
        image={"type": "Image", "url": "https://wp.test/head.jpg"},
        content="<h2>One</h2><figure><img src=x><figcaption>a cat</figcaption></figure><p>text</p>",
    )
    assert (body.title, body.summary, body.warning) == ("On cats", "all of it", "")
    assert body.image == "https://wp.test/head.jpg"
    assert body.text.plain == "One\n\na cat\n\ntext"


def test_sensitive_article_has_a_warning():
    body = read(type="Article", name="T", summary="blood", sensitive=True)
    assert (body.summary, body.warning) == ("", "blood")


def test_name_of_a_note_stands_above_it():
    body = read(name="Hear me", content="<p>words</p>")
    assert body.text.plain == "Hear me\n\nwords"
    assert body.text.spans[0].kind == "bold"
    assert read(name="words", content="<p>words</p>").text.plain == "words"


def test_note_that_ends_expires_and_a_poll_does_not():
    assert read(endTime="2026-09-22T10:00:00Z").expires == 1_790_071_200.0
    assert read(endTime="2026-09-20T10:00:00Z").expires is None
    assert read(type="Question", endTime="2026-09-22T10:00:00Z", oneOf=[{"name": "a"}]).expires is None


@pytest.mark.parametrize(
    ("said", "lang"),
    [
        ({"contentMap": {"en": "<p>hi</p>", "de": "<p>hallo</p>"}}, "en"),
        ({"contentMap": {"en": "<p>hi</p>", "en-GB": "<p>hi</p>"}}, ""),
        ({"contentMap": {"und": "<p>hi</p>"}}, ""),
        ({"language": "pt-BR"}, "pt-BR"),
        ({"language": "not a tag"}, ""),
        ({"@context": ["https://www.w3.org/ns/activitystreams", {"@language": "sv"}]}, "sv"),
        ({"@context": {"@language": "und"}}, ""),
        ({"content": ["<p>hi</p>"], "contentMap": {"en": "<p>hi</p>"}}, "en"),
        ({"content": None, "contentMap": {"ja": "<p>hi</p>"}}, "ja"),
    ],
)
def test_language_is_that_of_the_words(said: dict[str, Any], lang: str):
    body = read(**said)
    assert (body.text.plain, body.lang) == ("hi", lang)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        # Mastodon
        (
            {
                "type": "Document", "mediaType": "image/jpeg", "url": "https://m.test/1", "name": "alt",
                "focalPoint": [0.5, -1], "width": 2, "height": 3, "blurhash": "U9",
            },
            Media("https://m.test/1", "image/jpeg", "alt", (2, 3), "U9", focus=(0.5, -1)),
        ),
        # a video with its still, as Mastodon and Pixelfed attach it
        (
            {
                "type": "Video", "mediaType": "video/mp4", "url": "https://m.test/1.mp4",
                "icon": {"type": "Image", "url": "https://m.test/1.png"}, "duration": "PT2S",
            },
            Media("https://m.test/1.mp4", "video/mp4", preview="https://m.test/1.png", seconds=2),
        ),
        # Pleroma lists links
        (
            {
                "type": "Document", "mediaType": "image/png", "summary": "alt too",
                "url": [{"type": "Link", "href": "https://p.test/1", "mediaType": "image/png"}],
            },
            Media("https://p.test/1", "image/png", "alt too"),
        ),
        # one that offers a page as well
        (
            {
                "type": "Document",
                "url": [
                    {"type": "Link", "href": "https://p.test/w", "mediaType": "text/html"},
                    {"type": "Link", "href": "https://p.test/1", "mediaType": "audio/ogg"},
                ],
            },
            Media("https://p.test/1", "audio/ogg"),
        ),
        ({"type": "Image", "url": "https://p.test/1", "focalPoint": [5, 0]}, Media("https://p.test/1")),
        ({"type": "Image", "href": "https://p.test/1", "focalPoint": "x"}, Media("https://p.test/1")),
        ({"type": "Video", "url": {"href": "https://p.test/w", "mediaType": "text/html"}}, None),
        ({"type": "Image", "url": "javascript:alert(1)"}, None),
    ],
)  # fmt: skip
def test_attachment_is_read(item: dict[str, Any], expected: Media | None):
    assert read(attachment=[item]).media == (() if expected is None else (expected,))


def test_reply_of_a_titled_kind_keeps_its_parent():
    assert read(type="Comment", inReplyTo="https://b.test/1").reply_to == ap("https://b.test/1")


def test_copies_on_bridges_known_by_their_host_are_marked():
    marked = "https://mostr.pub/objects/ab"
    assert one(note(id=marked), "https://peer.test/users/alice").mark == marked
    assert one(note(id="https://bsky.brid.gy/x"), "https://peer.test/users/alice").mark
    assert one(note(id="https://notmostr.pub/x"), "https://peer.test/users/alice").mark == ""
