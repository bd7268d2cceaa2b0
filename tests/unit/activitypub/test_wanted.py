"""What real servers send must pass the checks that forgeries fail."""

import json

import pytest

from adapters.activitypub import wanted
from adapters.activitypub.ids import Urls
from bridged.api import Heard
from tests.unit.activitypub.fake import BASE, PUBLIC
from tests.vectors import vectors

URLS = Urls(BASE)


def test_captured_activities_pass_and_private_ones_are_dropped():
    files = sorted((vectors() / "activitypub" / "captures").glob("*.json"))
    passed = dropped = 0
    for file in files:
        capture = json.loads(file.read_text())
        if not capture["request"].startswith("POST"):
            continue
        source = capture["body"]
        actor = wanted.actor_of(source, URLS)
        assert wanted.is_wanted(source, actor, Heard(full=frozenset({actor})), URLS)
        assert not wanted.is_wanted(source, actor, Heard(), URLS)
        assert not wanted.needs_object(source)
        wanted.check(source, actor)
        whole = json.dumps(source).encode()
        if any(word in file.name for word in ("_followers", "_direct")):
            with pytest.raises(wanted.Dropped, match="not_public"):
                wanted.kept(source, actor, whole, URLS)
            dropped += 1
        else:
            assert wanted.kept(source, actor, whole, URLS) == (source["id"], whole)
            passed += 1
    assert passed > 60
    assert dropped > 8


def test_naming_one_of_ours_anywhere_is_enough():
    ours = f"{BASE}/users/nostr/x"
    note = {"id": "https://p.test/1", "type": "Note"}
    for inner in (
        {"inReplyTo": ours},
        {"to": ours},
        {"cc": [PUBLIC, ours]},
        {"tag": {"type": "Mention", "href": ours}},
        {"quoteUrl": ours},
        {"_misskey_quote": ours},
    ):
        source = {"type": "Create", "object": {**note, **inner}}
        assert wanted.is_wanted(source, "https://p.test/a", Heard(), URLS)
    undo = {"type": "Undo", "object": {"type": "Follow", "object": ours}}
    assert wanted.is_wanted(undo, "https://p.test/a", Heard(), URLS)
    lookalike = {"type": "Like", "object": f"{BASE}.evil.test/objects/1"}
    assert not wanted.is_wanted(lookalike, "https://p.test/a", Heard(), URLS)
