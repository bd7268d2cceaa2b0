"""The inboxes, from outside: what is let in, what is not, and what a peer is told."""

import asyncio
import gzip
import json

import pytest

from bridged.api import (
    Busy,
    Delete,
    EgressFailed,
    Follow,
    Heard,
    Post,
    Ref,
    Repost,
    Response,
)
from tests.unit.activitypub.door import Door
from tests.unit.activitypub.fake import BASE, GHOST, NOW, PUBLIC, Peer, rsa_key


@pytest.mark.parametrize("scheme", ["cavage", "rfc9421"])
@pytest.mark.parametrize("path", ["/inbox", f"/users/nostr/{'ab' * 32}/inbox", "/actor/inbox"])
async def test_signed_post_is_stored_as_sent(door: Door, scheme: str, path: str):
    activity = door.alice.create()
    assert await door.send(activity, scheme=scheme, path=path) == 202
    (envelope,) = door.host.received
    assert json.loads(envelope.body) == activity
    assert (envelope.id, envelope.signer) == (activity["id"], Ref("activitypub", door.alice.id))
    assert envelope.received_at == NOW
    (act,) = door.decoded()
    assert isinstance(act, Post)
    assert act.body.text.plain == "hi"


async def test_inbox_of_nobody_is_not_found_and_of_somebody_gone_is_gone(door: Door):
    activity = door.alice.activity("Follow", GHOST.ref.id)
    assert await door.send(activity, path="/users/nostr/nobody/inbox") == 404
    door.host.withdrawn.add(f"{BASE}/users/nostr/left")
    assert await door.send(activity, path="/users/nostr/left/inbox") == 410
    assert door.host.received == []


def broken(door: Door, how: str) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(door.alice.create()).encode()
    headers = door.alice.signed(body)
    match how:
        case "unsigned":
            del headers["Signature"]
        case "digest_missing":
            del headers["Digest"]
        case "digest_wrong":
            body = body.replace(b"hi", b"ho")
        case "date_old":
            headers = door.alice.signed(body, now=NOW - 7300)
        case "date_new":
            headers = door.alice.signed(body, now=NOW + 7300)
        case "date_garbage":
            headers["Date"] = "yesterday"
        case "date_absent":
            del headers["Date"]
        case "target_unsigned":
            headers["Signature"] = headers["Signature"].replace("(request-target) ", "")
        case "host_unsigned":
            headers["Signature"] = headers["Signature"].replace(" host ", " ")
        case "digest_unsigned":
            headers["Signature"] = headers["Signature"].replace(' digest"', '"')
        case "for_another_path":
            headers = door.alice.signed(body, path="/elsewhere")
        case "signature_garbage":
            headers["Signature"] = "what?"
        case "other_algorithm":
            headers["Signature"] = headers["Signature"].replace("rsa-sha256", "hmac-sha256")
        case _:
            raise AssertionError(how)
    return body, headers


@pytest.mark.parametrize(
    "how",
    [
        "unsigned",
        "digest_missing",
        "digest_wrong",
        "digest_unsigned",
        "date_old",
        "date_new",
        "date_garbage",
        "date_absent",
        "target_unsigned",
        "host_unsigned",
        "for_another_path",
        "signature_garbage",
        "other_algorithm",
    ],
)
async def test_badly_signed_request_is_refused(door: Door, how: str):
    assert await door.post(*broken(door, how)) == 401
    assert door.host.received == []
    assert len(door.host.refusals) == 1
    await door.still_good()


async def test_unsigned_flood_causes_no_fetch(door: Door):
    body = json.dumps(door.alice.create()).encode()
    for _ in range(50):
        assert await door.post(body, {"Content-Type": "application/activity+json"}) == 401
    assert door.host.http.asked == []


async def test_signature_of_another_actor_is_refused(door: Door):
    mallory = Peer(door.host, "mallory", "evil.test")
    neighbour = Peer(door.host, "nina")
    for other in (mallory, neighbour):
        assert await door.send(door.alice.create(), other) == 401
    assert mallory.id not in door.host.http.asked
    assert door.host.received == []
    await door.still_good()


async def test_key_must_be_named_by_the_actor_itself(door: Door):
    mallory = Peer(door.host, "mallory")
    # A key document that claims Alice for its owner.
    door.host.http.serve(mallory.id, mallory.actor(publicKey={**mallory.actor()["publicKey"], "owner": door.alice.id}))
    assert await door.send(door.alice.create(), mallory) == 401


async def test_actor_document_must_be_its_own(door: Door):
    stranger = Peer(door.host, "bob", "moved.test")
    follow = stranger.activity("Follow", GHOST.ref.id)
    door.host.http.serve(stranger.id, stranger.actor(), at="https://elsewhere.test/users/bob")
    assert await door.send(follow, stranger) == 401
    door.host.http.serve(stranger.id, stranger.actor(), kind="text/html")
    assert await door.send(follow, stranger) == 401
    door.host.http.serve(stranger.id, {**stranger.actor(), "id": door.alice.id})
    assert await door.send(follow, stranger) == 401
    assert door.host.received == []


async def test_replay_is_taken_once(door: Door):
    body = json.dumps(door.alice.create()).encode()
    headers = door.alice.signed(body)
    assert [await door.post(body, headers) for _ in range(2)] == [202, 202]
    assert len(door.host.received) == 1
    assert door.host.drops == ["duplicate"]


@pytest.mark.parametrize("down", [EgressFailed("timeout"), Response(503, "https://peer.test/users/alice", {}, b"")])
async def test_key_host_that_is_down_means_come_back(door: Door, down: object):
    well = door.host.http.pages[door.alice.id]
    door.host.http.pages[door.alice.id] = down
    assert await door.send(door.alice.create()) == 503
    assert int(door.answer.headers["Retry-After"]) > 0
    door.host.http.pages[door.alice.id] = well
    assert await door.send(door.alice.create()) == 202


async def test_store_that_is_busy_means_come_back(door: Door):
    door.host.fail = Busy("full", after=7)
    assert await door.send(door.alice.create()) == 503
    assert door.answer.headers["Retry-After"] == "7"
    door.host.fail = None
    assert await door.send(door.alice.create()) == 202


async def test_rotated_key_is_fetched_once_a_minute(door: Door):
    assert await door.send(door.alice.create(1)) == 202
    door.alice.key = rsa_key("alice, later")
    for _ in range(3):
        # The actor still shows the old key: looked at once, not thrice.
        assert await door.send(door.alice.create(2)) == 401
    assert door.host.http.asked.count(door.alice.id) == 2
    door.host.http.serve(door.alice.id, door.alice.actor())
    door.host.clock += 61
    assert await door.send(door.alice.create(2)) == 202
    assert await door.send(door.alice.create(3)) == 202
    assert door.host.http.asked.count(door.alice.id) == 3


async def test_farewell_of_an_unknown_actor_is_waved_through_without_a_fetch(door: Door):
    assert await door.send(door.alice.activity("Delete", door.alice.id, to=[PUBLIC])) == 202
    assert door.host.http.asked == []
    assert door.host.received == []


async def test_farewell_of_a_known_actor_that_is_gone_is_verified_by_the_key_we_have(door: Door):
    assert await door.send(door.alice.create()) == 202
    door.host.http.serve(door.alice.id, {}, status=410)
    assert await door.send(door.alice.activity("Delete", door.alice.id, 2)) == 202
    assert door.decoded()[1] == Delete(Ref("activitypub", door.alice.id))


async def test_forged_farewell_of_a_known_actor_is_refused(door: Door):
    assert await door.send(door.alice.create()) == 202
    door.alice.key = rsa_key("mallory")
    assert await door.send(door.alice.activity("Delete", door.alice.id, 2)) == 401
    assert len(door.host.received) == 1


FOREIGN = {
    "update_of_anothers_note": lambda p: p.activity("Update", p.note(attributedTo="https://peer.test/users/nina")),
    "update_of_a_note_elsewhere": lambda p: p.activity("Update", p.note(id="https://other.test/notes/1")),
    "update_of_another_actor": lambda p: p.activity("Update", p.actor(id="https://peer.test/users/nina")),
    "create_for_another": lambda p: p.activity("Create", p.note(attributedTo="https://other.test/u")),
    "create_with_two_authors": lambda p: p.activity("Create", p.note(attributedTo=[p.id, "https://a.test/b"])),
    "create_under_a_foreign_id": lambda p: p.activity("Create", p.note(id="https://other.test/notes/1")),
    "create_of_a_foreign_iri": lambda p: p.activity("Create", "https://other.test/notes/1", to=[PUBLIC]),
    "activity_with_a_foreign_id": lambda p: {**p.create(), "id": "https://other.test/activities/1"},
    "undo_of_anothers_follow": lambda p: p.activity(
        "Undo",
        {
            "id": "https://peer.test/f/1",
            "type": "Follow",
            "actor": "https://peer.test/users/nina",
            "object": GHOST.ref.id,
        },
    ),
    "undo_on_another_host": lambda p: p.activity("Undo", "https://other.test/follows/1"),
    "delete_on_another_host": lambda p: p.activity("Delete", "https://other.test/notes/1"),
    "delete_of_another_actors": lambda p: p.activity(
        "Delete", {"id": "https://peer.test/n/1", "attributedTo": "https://peer.test/users/nina"}
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_what_belongs_to_another_is_refused(door: Door, case: str):
    assert await door.send(FOREIGN[case](door.alice)) == 403
    assert door.host.received == []
    await door.still_good()


async def test_one_of_ours_cannot_speak_from_outside(door: Door):
    ghost = Peer(door.host, "ghost", "bridge.test")
    assert await door.send(ghost.create(), ghost) == 403


async def test_announced_note_is_reduced_to_its_id(door: Door):
    forged = {"id": "https://victim.test/notes/1", "type": "Note", "content": "lies", "to": [PUBLIC]}
    assert await door.send(door.alice.activity("Announce", forged, to=[PUBLIC])) == 202
    (envelope,) = door.host.received
    assert b"lies" not in envelope.body
    assert door.decoded() == [Repost(Ref("activitypub", "https://victim.test/notes/1"))]


async def test_post_named_by_iri_is_fetched_from_its_origin(door: Door):
    note = door.alice.note(7)
    door.host.http.serve(note["id"], note)
    assert await door.send(door.alice.activity("Create", note["id"], 7, to=[PUBLIC])) == 202
    (act,) = door.decoded()
    assert act.body.ref.id == note["id"]


async def test_post_named_by_iri_that_another_wrote_is_refused(door: Door):
    note = door.alice.note(7, attributedTo="https://peer.test/users/nina")
    door.host.http.serve(note["id"], note)
    assert await door.send(door.alice.activity("Create", note["id"], 7, to=[PUBLIC])) == 403


PRIVATE = {
    "followers_only": {"to": ["https://peer.test/users/alice/followers"], "cc": []},
    "direct_to_a_ghost": {"to": [GHOST.ref.id], "cc": []},
    "addressed_to_nobody": {"to": [], "cc": []},
}


@pytest.mark.parametrize("case", PRIVATE)
async def test_what_is_not_public_is_dropped(door: Door, case: str):
    assert await door.send(door.alice.create(**PRIVATE[case])) == 202
    assert door.host.received == []
    assert door.host.drops == ["not_public"]


async def test_private_note_in_a_public_create_is_dropped(door: Door):
    note = door.alice.note(to=[f"{door.alice.id}/followers"], cc=[])
    assert await door.send(door.alice.activity("Create", note, to=[PUBLIC])) == 202
    assert door.host.received == []


async def test_post_made_private_becomes_a_delete_without_its_words(door: Door):
    note = door.alice.note(content="now secret", to=[f"{door.alice.id}/followers"], cc=[])
    assert await door.send(door.alice.activity("Update", note, 2)) == 202
    (envelope,) = door.host.received
    assert b"secret" not in envelope.body
    assert door.decoded() == [Delete(Ref("activitypub", note["id"]))]


async def test_strangers_are_taken_only_when_they_name_us(door: Door):
    bob = Peer(door.host, "bob", "other.test")
    assert await door.send(bob.create(), bob) == 202
    assert door.host.drops == ["unwanted"]
    assert bob.id not in door.host.http.asked
    answer = bob.create(2, inReplyTo=f"{BASE}/objects/nostr/abc")
    mention = bob.create(3, tag={"type": "Mention", "href": GHOST.ref.id, "name": "@x@bridge.test"})
    like = bob.activity("Like", f"{BASE}/objects/nostr/abc", 4)
    follow = bob.activity("Follow", GHOST.ref.id, 5)
    unfollow = bob.activity("Undo", follow, 6)
    for wanted in (answer, mention, like, follow, unfollow):
        assert await door.send(wanted, bob) == 202
    assert len(door.host.received) == 5
    assert door.decoded()[3] == Follow(GHOST.ref)


async def test_of_those_with_ghosts_only_changes_are_taken(door: Door):
    bob = Peer(door.host, "bob", "other.test")
    door.host.listening = Heard(known=frozenset({bob.id}))
    assert await door.send(bob.create(1), bob) == 202
    assert door.host.received == []
    assert await door.send(bob.activity("Update", bob.note(1, content="new"), 2), bob) == 202
    assert await door.send(bob.activity("Delete", bob.note(1)["id"], 3), bob) == 202
    assert len(door.host.received) == 2


async def test_activity_without_id_gets_one(door: Door):
    activity = door.alice.activity("Like", f"{BASE}/objects/nostr/abc")
    del activity["id"]
    assert [await door.send(activity), await door.send(activity)] == [202, 202]
    (envelope,) = door.host.received
    assert envelope.id.startswith(f"{door.alice.id}#")
    assert len(door.decoded()) == 1


async def test_too_much_is_refused(door: Door):
    body = b"x" * (10 << 20)
    assert await door.post(body, door.alice.signed(body)) == 413

    async def chunks():
        for _ in range(2000):
            yield b" " * 1024

    headers = door.alice.signed(b"")
    assert await door.post(chunks(), headers) == 413
    await door.still_good()


async def test_compressed_body_is_refused(door: Door):
    body = gzip.compress(b" " * (50 << 20))
    headers = {**door.alice.signed(body), "Content-Encoding": "gzip"}
    assert await door.post(body, headers) == 415
    await door.still_good()


@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/ld+json"])
async def test_other_content_types_are_refused(door: Door, kind: str):
    body = json.dumps(door.alice.create()).encode()
    assert await door.post(body, {**door.alice.signed(body), "Content-Type": kind}) == 415


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"type":"Like","actor":NaN}',
        b'{"type":"Like","n":' + b"9" * 5000 + b"}",
        rb'{"type":"Like","a":"\ud800"}',
        b'{"type":"Like","type":"Follow"}',
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"",
        b'{"type":"Like"}',
        b'{"type":"Like","actor":"nobody"}',
        b'{"type":"Note","actor":"https://peer.test/users/alice"}',
        b'{"type":"Like","actor":"https://peer.test/users/alice"}',
        b'{"type":"Create","actor":"https://peer.test/users/alice","object":{"type":"Note"}}',
    ],
)
async def test_malformed_body_is_refused(door: Door, body: bytes):
    assert await door.send(body) == 400
    assert door.host.received == []
    await door.still_good()


async def test_slow_bodies_are_cut(door: Door, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.activitypub.inbox.READ_WITHIN", 0.05)
    end = asyncio.Event()

    async def drip():
        yield b"{"
        await end.wait()

    try:
        assert await door.post(drip(), door.alice.signed(b"")) == 408
    finally:
        end.set()


async def test_many_from_one_unknown_actor_at_once_cost_one_fetch(door: Door):
    door.host.listening = Heard(full=frozenset({door.alice.id}))
    answers = await asyncio.gather(*(door.send(door.alice.create(n)) for n in range(5)))
    assert answers == [202] * 5
    assert len(door.host.received) == 5
    assert door.host.http.asked.count(door.alice.id) == 1
