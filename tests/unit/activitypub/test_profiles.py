"""Actor documents read, and actors written."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridged.api import Account, Malformed, Profile, Span, Text
from tests.unit.activitypub.fake import HOME, NOW
from tests.unit.activitypub.hearing import ALICE, ap, one
from tests.unit.activitypub.telling import ACTOR, BOB, said

NPUB = "npub1" + "q" * 58


def read(**more: Any) -> Account:
    actor = {"id": ALICE, "type": "Person", "preferredUsername": "alice", "inbox": f"{ALICE}/inbox", **more}
    return one(actor).act.account


def field(value: str, name: str = "web") -> dict[str, str]:
    return {"type": "PropertyValue", "name": name, "value": value}


def test_actor_says_what_it_is():
    account = read(
        type="Group",
        name="Cats :blob:",
        manuallyApprovesFollowers=True,
        discoverable=False,
        indexable=False,
        published="2020-01-01T00:00:00Z",
        movedTo="https://new.test/alice",
        tag=[
            {"type": "Emoji", "name": ":blob:", "icon": {"url": "https://peer.test/b.png"}},
            {"type": "Emoji", "name": ":other:", "icon": {"url": "https://peer.test/o.png"}},
        ],
    )
    assert (account.group, account.bot, account.locked) == (True, False, True)
    assert (account.discoverable, account.indexable) == (False, False)
    assert account.since == 1_577_836_800.0
    assert account.moved == ap("https://new.test/alice")
    assert account.emojis == (("blob", "https://peer.test/b.png"),)


def test_actor_that_says_nothing_may_be_found():
    account = read()
    assert (account.discoverable, account.indexable, account.locked, account.refuses) == (True, True, False, "")
    assert (account.same_as, account.moved, account.since) == ((), None, None)


@pytest.mark.parametrize(
    ("said", "refuses"),
    [
        ({"summary": "<p>cats. #NoBridge please</p>"}, "#nobridge"),
        ({"summary": '<a href="https://p.test/t" class="mention hashtag">#<span>nobot</span></a>'}, "#nobot"),
        ({"summary": "#nobots"}, "#nobots"),
        ({"name": "Alice #nobridge"}, "#nobridge"),
        ({"attachment": [field("#nobot", "rules")]}, "#nobot"),
        ({"tag": [{"type": "Hashtag", "name": "#NoBridge", "href": "https://p.test/t"}]}, "#nobridge"),
        ({"tag": {"type": "Hashtag", "name": "nobridge"}}, "#nobridge"),
        ({"bridgeable": False}, "bridgeable: false"),
        ({"bridgeable": True}, ""),
        ({"summary": "I write about #nobridges2far and x#nobridge and https://a.test/#nobot"}, ""),
    ],
)  # fmt: skip
def test_who_does_not_want_to_be_bridged_is_heard(said: dict[str, Any], refuses: str):
    assert read(**said).refuses == refuses


def test_claims_to_be_elsewhere_are_gathered():
    account = read(
        url=["https://peer.test/@alice", {"type": "Link", "href": "https://alice.test/", "mediaType": "text/html"}],
        alsoKnownAs=["https://old.test/alice", ALICE],
        summary=f"<p>nostr:{NPUB}</p>",
        attachment=[
            field('<a href="https://alice.test" rel="me nofollow noopener">alice.test</a>'),
            field('<a href="https://cats.test" rel="nofollow">cats</a>'),
            field(NPUB, "nostr"),
        ],
    )
    assert account.same_as == (
        "https://old.test/alice",
        "https://alice.test/",
        "https://alice.test",
        f"nostr:{NPUB}",
    )


def test_known_bridge_hosts_mark_their_accounts():
    actor = {"type": "Person", "preferredUsername": "x"}
    for url, marked in (
        ("https://momostr.pink/users/npub1x", True),
        ("https://bsky.brid.gy/ap/did:plc:x", True),
        ("https://bird.makeup/users/x", False),
    ):
        account = one({**actor, "id": url, "inbox": f"{url}/inbox"}).act.account
        assert bool(account.mark) == marked


def written(**more: Any) -> dict[str, Any]:
    return json.loads(said(Profile(replace(HOME, **more))).parts[0].served)


def test_profile_is_written_whole():
    actor = written(
        name="Nora :blob:",
        emojis=(("blob", "https://a.test/b.png"),),
        bio=Text("hi :x: #Cats", (Span(3, 6, "emoji", "https://a.test/x.png"), Span(7, 12, "tag", "Cats"))),
        discoverable=False,
        indexable=False,
        since=NOW,
        fields=(("web", "https://n.test"),),
        same_as=("https://unproven.test/x",),
        group=True,
    )
    assert actor["type"] == "Group"
    assert [tag["name"] for tag in actor["tag"]] == [":blob:", ":x:", "#Cats"]
    assert (actor["discoverable"], actor["indexable"]) == (False, False)
    assert actor["published"] == "2026-09-21T14:13:20Z"
    assert actor["featured"] == f"{ACTOR}/collections/featured"
    assert actor["featuredTags"] == f"{ACTOR}/collections/tags"
    assert 'rel="me nofollow noopener noreferrer"' in actor["attachment"][0]["value"]
    assert "alsoKnownAs" not in actor
    assert "movedTo" not in actor


def test_profile_of_who_moved_to_the_fediverse_says_so():
    assert written(moved=BOB.ref)["movedTo"] == BOB.ref.id


@pytest.mark.parametrize("name", ["Ali\u202ece", "A\u200bl\u2060i\ufeffce", "\u2066Alice\u2069", "Ali\x1bce\x07"])
def test_name_holds_nothing_unseen(name: str):
    assert read(name=name).name == "Alice"


@pytest.mark.parametrize("username", ["ali\u202ece", "ali\u200bce", "ali\x7fce", "a b", "a@b", ""])
def test_username_with_anything_unseen_is_none(username: str):
    with pytest.raises(Malformed, match="no_name"):
        read(preferredUsername=username)
