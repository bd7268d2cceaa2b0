"""Encoding: what each act is said as, byte for byte the same every time."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.decode import decode
from adapters.activitypub.ids import native
from bridged.api import (
    Accept,
    Activity,
    Approve,
    Block,
    Copy,
    Delete,
    Edit,
    Envelope,
    Follow,
    FollowList,
    Media,
    Option,
    Poll,
    Post,
    Profile,
    QuoteRequest,
    React,
    Ref,
    Reject,
    Rejected,
    Repost,
    Span,
    There,
)
from tests.unit.activitypub.fake import BASE, GHOST, HOME, NOW, PUBLIC
from tests.unit.activitypub.telling import (
    ACT,
    ACTOR,
    BOB,
    FOLLOWERS,
    NOBODY,
    OTHER,
    OTHERS_GHOST,
    PARENT,
    POST,
    URLS,
    ZOE,
    body,
    first,
    said,
    view,
)


def test_post_is_a_create_of_a_note():
    (part,) = said(Post(body()), POST).parts
    create, note = json.loads(part.body), json.loads(part.served)
    assert (part.of, part.ref, part.number) == (POST, native(f"{BASE}/objects/nostr/{POST.id}"), 0)
    assert part.endpoints == ("https://peer.test/inbox", "https://b.test/zoe/inbox")
    assert create["id"] == f"{BASE}/activities/nostr/{POST.id}/create"
    assert (create["type"], create["actor"]) == ("Create", ACTOR)
    assert note["id"] == part.ref.id
    assert (note["type"], note["attributedTo"], note["content"]) == ("Note", ACTOR, "<p>hello</p>")
    for document in (create, note):
        assert (document["to"], document["cc"]) == ([PUBLIC], [FOLLOWERS])
        assert document["published"] == "2026-09-21T14:12:20Z"
        assert "https://w3id.org/security/v1" in document["@context"]
    assert note["url"] == [
        {"type": "Link", "mediaType": "text/html", "href": note["id"]},
        {"type": "Link", "rel": "canonical", "href": "nostr:note1x"},
    ]
    assert {name: value for name, value in note.items() if name != "@context"} == create["object"]


def test_every_term_said_is_declared():
    known = {
        "id", "type", "actor", "object", "published", "updated", "to", "cc", "url", "href", "rel", "mediaType", "name",
        "content", "contentMap", "summary", "tag", "icon", "image", "attachment", "attributedTo", "inReplyTo", "width",
        "height", "inbox", "outbox", "followers", "following", "endpoints", "sharedInbox", "publicKey", "owner",
        "publicKeyPem", "preferredUsername", "en", "replies", "totalItems", "oneOf", "closed", "endTime", "instrument",
        "duration", "first", "next", "partOf", "items",
    }  # fmt: skip
    rich = body(
        "hi :x:", Span(3, 6, "emoji", "https://a.test/x.png"), quote=PARENT, warning="w", lang="en",
        media=(Media("https://a.test/1.png", blurhash="U9", focus=(0, 1), preview="https://a.test/2", seconds=3),),
        poll=Poll((Option("a", "a"),), ends=NOW, closed=True), answers=("followers",),
    )  # fmt: skip
    react = React(PARENT, ":x:", "https://a.test/x.png")
    profile = Profile(replace(HOME, avatar="https://a.test/1.png", fields=(("a", "b"),), moved=BOB.ref))
    approved = Copy(POST, "activitypub", 0, native(URLS.object(POST)), said(Post(rich), POST).parts[0].served)
    asked = Activity(PARENT, BOB.ref, NOW, QuoteRequest(PARENT, native("https://peer.test/2")))
    used: set[str] = set()
    for document in (
        first(Post(rich)), first(react), json.loads(said(profile).parts[0].served),
        json.loads(said(Post(rich), POST).parts[1].body),
        json.loads(said(Approve(POST, "https://peer.test/stamp"), seen=view(previous=(approved,))).parts[0].body),
        json.loads(said(Accept(PARENT), seen=view(subject=asked)).parts[1].served),
    ):  # fmt: skip
        assert set(keys(document)) - known - set(document["@context"][2]) == set()
        used |= set(keys(document)) & set(document["@context"][2])
    assert {
        "Emoji", "toot", "misskey", "fedibird", "schema", "Hashtag", "PropertyValue", "gts", "fep044f", "QuoteRequest",
        "QuoteAuthorization",
    } == set(document["@context"][2]) - used  # fmt: skip


def keys(value: Any) -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "@context":
                yield name
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_reply_mentions_and_tags():
    text = "@bob @otto @nobody #Cats"
    post = body(
        text,
        Span(0, 4, "mention", BOB.ref),
        Span(5, 10, "mention", OTHER.ref),
        Span(11, 18, "mention", NOBODY.ref),
        Span(19, 24, "tag", "Cats"),
        reply_to=PARENT,
    )
    note = first(Post(post), POST)["object"]
    assert note["inReplyTo"] == PARENT.id
    assert note["cc"] == [FOLLOWERS, BOB.ref.id, OTHERS_GHOST.ref.id]
    assert note["tag"] == [
        {"type": "Mention", "href": BOB.ref.id, "name": "@bob@peer.test"},
        {"type": "Mention", "href": OTHERS_GHOST.ref.id, "name": "@npub1other@bridge.test"},
        {"type": "Hashtag", "href": f"{BASE}/?tag=Cats", "name": "#Cats"},
    ]
    assert 'href="https://peer.test/@bob"' in note["content"]
    assert f'href="{OTHERS_GHOST.ref.id}"' in note["content"]
    assert 'href="https://njump.example/nobody"' in note["content"]


def test_author_of_the_parent_is_told():
    note = first(Post(body(reply_to=PARENT)), POST)["object"]
    assert note["cc"] == [FOLLOWERS, BOB.ref.id]
    assert note["tag"] == [{"type": "Mention", "href": BOB.ref.id, "name": "@bob@peer.test"}]


def test_reply_to_what_is_not_here_stands_alone_and_says_so():
    out = said(Post(body(reply_to=Ref("nostr", "99" * 32))), POST)
    assert "inReplyTo" not in json.loads(out.parts[0].served)
    assert len(out.losses) == 1


def test_quote_is_said_in_every_known_way():
    note = first(Post(body(quote=PARENT)), POST)["object"]
    assert note["quoteUrl"] == note["quoteUri"] == note["_misskey_quote"] == PARENT.id
    assert note["tag"][0]["href"] == PARENT.id
    assert note["content"].endswith(
        '<p class="quote-inline">RE: <a href="https://peer.test/@bob/1">https://peer.test/@bob/1</a></p>'
    )


def test_links_lead_to_what_stands_here():
    old, other, far = "https://njump.example/e", "https://njump.example/p", "https://far.test/"
    text = f"{old} words {far}"
    spans = (Span(0, len(old), "link", old), Span(24, 29, "link", other), Span(30, 30 + len(far), "link", far))
    copy = Copy(PARENT, "activitypub", 0, native(f"{BASE}/objects/nostr/x"), b"")
    links = {
        old: There(Ref("nostr", "x"), copy.ref, GHOST.ref, url=old, parts=(copy,)),
        other: OTHERS_GHOST.ref,
    }
    content = first(Post(body(text, *spans)), POST, view(links=links))["object"]["content"]
    assert f'href="{BASE}/objects/nostr/x"' in content
    assert f'href="{OTHERS_GHOST.ref.id}" target="_blank" rel="nofollow noopener noreferrer">words<' in content
    assert f'href="{far}"' in content
    assert "njump" not in content


def test_images_warning_language_and_title():
    post = body(
        title="On cats",
        warning="cats",
        lang="de",
        url="https://njump.example/1",
        media=(
            Media("https://a.test/1.PNG?x", alt="a cat", size=(3, 4), blurhash="U9"),
            Media("https://a.test/2", type="video/mp4"),
            Media("javascript:alert(1)"),
        ),
    )
    note = first(Post(post), POST)["object"]
    assert (note["type"], note["name"]) == ("Article", "On cats")
    assert (note["summary"], note["sensitive"]) == ("cats", True)
    assert note["contentMap"] == {"de": note["content"]}
    assert note["url"][0]["href"] == "https://njump.example/1"
    assert note["attachment"] == [
        {
            "type": "Document", "mediaType": "image/png", "url": "https://a.test/1.PNG?x", "name": "a cat", "width": 3,
            "height": 4, "blurhash": "U9",
        },
        {"type": "Document", "mediaType": "video/mp4", "url": "https://a.test/2", "name": None},
    ]  # fmt: skip


def test_unlisted_is_not_shouted():
    note = first(Post(body(audience="unlisted")), POST)["object"]
    assert (note["to"], note["cc"]) == ([FOLLOWERS], [PUBLIC])


@pytest.mark.parametrize("audience", ["followers", "direct"])
def test_private_posts_are_not_said(audience: Any):
    with pytest.raises(Rejected):
        said(Post(body(audience=audience)), POST)


def test_future_posts_are_dated_when_they_were_heard():
    assert first(Post(replace(body(), at=NOW + 1e6)), POST)["published"] == "2026-09-21T14:13:20Z"


def test_script_in_a_name_or_warning_stays_text():
    note = first(Post(body("<script>alert(1)</script>")), POST)["object"]
    assert "<script" not in note["content"]
    evil = replace(HOME, fields=(("x", "<script>"), ("y", 'https://a.test/"><script>')))
    document = json.loads(said(Profile(evil)).parts[0].served)
    assert all("<script" not in field["value"] for field in document["attachment"])


def test_edit_changes_the_copy_and_keeps_its_own_activity():
    changed, kept = said(Edit(body("new"))).parts
    update = json.loads(changed.body)
    assert (changed.of, changed.ref) == (POST, native(f"{BASE}/objects/nostr/{POST.id}"))
    assert json.loads(changed.served)["content"] == "<p>new</p>"
    assert update["type"] == "Update"
    assert update["object"]["updated"] == "2026-09-21T14:12:20Z"
    assert (kept.of, kept.body, kept.endpoints) == (ACT, b"", ())
    # the words stand in one place alone, where they can be withdrawn
    assert json.loads(kept.served) == {**update, "object": URLS.object(POST)}
    assert kept.ref == native(update["id"])
    assert update["id"] != first(Edit(body("new")), Ref("nostr", "33" * 32))["id"]


def test_delete_of_a_post_is_a_tombstone():
    copy = Copy(POST, "activitypub", 0, native(URLS.object(POST)), b"{}")
    gone, kept = said(Delete(POST), seen=view(previous=(copy,))).parts
    delete = json.loads(gone.body)
    assert (gone.of, gone.gone) == (POST, True)
    assert delete["object"] == {"id": URLS.object(POST), "type": "Tombstone"}
    assert json.loads(gone.served)["type"] == "Tombstone"
    assert kept.ref == native(delete["id"])


def test_leaving_deletes_the_actor():
    gone, _ = said(Delete(HOME.ref)).parts
    assert (gone.of, gone.ref, gone.gone, gone.number) == (HOME.ref, GHOST.ref, True, 0)
    assert json.loads(gone.body)["object"] == ACTOR


@pytest.mark.parametrize("act", [React(PARENT, "👍"), Repost(PARENT), Follow(BOB.ref), Block(BOB.ref)])
def test_taking_back_embeds_what_was_said(act: Any):
    subject = Activity(POST, HOME.ref, NOW, act)
    (part,) = said(act, POST).parts
    copy = Copy(POST, "activitypub", 0, part.ref, part.served)
    gone, kept = said(Delete(POST), seen=view(previous=(copy,), subject=subject)).parts
    undo = json.loads(gone.body)
    original = {name: value for name, value in json.loads(part.served).items() if name != "@context"}
    assert (undo["type"], undo["object"]) == ("Undo", original)
    assert undo["to"] == original["to"]
    assert (gone.of, gone.ref, gone.gone) == (POST, part.ref, True)
    assert kept.of == ACT


def test_taking_back_what_was_never_said_says_nothing():
    out = said(Delete(POST), seen=view(subject=Activity(POST, HOME.ref, NOW, React(PARENT))))
    assert out.parts == ()
    assert out.losses


def test_like_and_reactions():
    like = first(React(PARENT))
    assert (like["type"], like["object"], like["to"]) == ("Like", PARENT.id, [BOB.ref.id])
    assert "content" not in like
    custom = first(React(PARENT, ":cat:", "https://a.test/c.png"))
    assert custom["content"] == custom["_misskey_reaction"] == ":cat:"
    assert custom["tag"][0]["icon"]["url"] == "https://a.test/c.png"


def test_repost_is_an_announce_with_an_audience_and_a_date():
    announce = first(Repost(PARENT))
    assert (announce["type"], announce["object"]) == ("Announce", PARENT.id)
    assert (announce["to"], announce["cc"]) == ([PUBLIC], [FOLLOWERS, BOB.ref.id])
    assert announce["published"]


@pytest.mark.parametrize("act", [React(POST), Repost(POST), Accept(POST)])
def test_acts_on_nothing_are_rejected(act: Any):
    with pytest.raises(Rejected):
        said(act)


def test_second_follows_have_ids_of_their_own():
    one, two = first(Follow(BOB.ref)), first(Follow(BOB.ref), POST)
    assert one["object"] == BOB.ref.id
    assert one["id"] != two["id"] != first(Follow(ZOE.ref), POST)["id"]


@pytest.mark.parametrize(("act", "kind"), [(Accept, "Accept"), (Reject, "Reject")])
def test_answers_embed_the_whole_follow(act: Any, kind: str):
    follow = Activity(native("https://peer.test/f/1"), BOB.ref, NOW, Follow(HOME.ref))
    answer = first(act(follow.ref), seen=view(subject=follow))
    assert answer["type"] == kind
    assert answer["object"] == {
        "id": "https://peer.test/f/1",
        "type": "Follow",
        "actor": BOB.ref.id,
        "object": ACTOR,
    }


def test_profile_is_the_actor_document_and_an_update():
    account = replace(
        HOME,
        avatar="https://a.test/a.png",
        banner="https://a.test/b.png",
        bot=True,
        fields=(("web", "https://n.test"),),
    )
    shown, told = said(Profile(account)).parts
    actor = json.loads(shown.served)
    assert (shown.of, shown.ref, shown.number, shown.endpoints) == (HOME.ref, GHOST.ref, 0, ())
    assert told.of == ACT
    assert json.loads(told.body)["object"] == {name: v for name, v in actor.items() if name != "@context"}
    assert json.loads(told.served)["object"] == ACTOR
    assert actor["type"] == "Service"
    assert actor["publicKey"]["id"] == f"{ACTOR}#main-key"
    assert actor["publicKey"]["owner"] == actor["id"] == ACTOR
    assert actor["endpoints"] == {"sharedInbox": f"{BASE}/inbox"}
    assert actor["manuallyApprovesFollowers"] is False
    assert (actor["icon"]["url"], actor["image"]["url"]) == (account.avatar, account.banner)
    assert actor["url"][1] == {"type": "Link", "rel": "canonical", "href": HOME.uri}
    assert [field["name"] for field in actor["attachment"]] == ["web", "Bridged from"]


def test_profile_without_followers_is_only_kept():
    assert len(said(Profile(HOME), seen=replace(view(), recipients=())).parts) == 1


def test_follow_lists_are_not_said():
    with pytest.raises(Rejected):
        said(FollowList((BOB.ref,)))


TARGETS = st.sampled_from([BOB.ref, OTHER.ref, NOBODY.ref])
ACTS = st.one_of(
    st.builds(
        lambda text, lang, title, reply: Post(body(text, lang=lang, title=title, reply_to=reply)),
        st.text(max_size=80),
        st.sampled_from(["", "en"]),
        st.sampled_from(["", "T"]),
        st.sampled_from([None, PARENT]),
    ),
    st.builds(lambda text: Edit(body(text)), st.text(max_size=40)),
    st.builds(Follow, TARGETS),
    st.builds(Block, TARGETS),
    st.builds(React, st.just(PARENT), st.text(max_size=5)),
    st.builds(lambda name: Profile(replace(HOME, name=name)), st.text(max_size=20)),
)


@given(ACTS)
def test_encoding_is_deterministic(act: Any):
    ref = POST if isinstance(act, Post) else ACT
    assert said(act, ref) == said(act, ref)


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), max_size=200))
def test_what_we_say_is_read_back(text: str):
    (part,) = said(Post(body(text)), POST).parts
    envelope = Envelope("activitypub", "x", part.body, "inbox", GHOST.ref, NOW)
    (activity,) = decode(envelope)
    assert activity.ref == part.ref
    assert activity.mark == "nostr:note1x"
    assert "".join(activity.act.body.text.plain.split()) == "".join(text.split())
