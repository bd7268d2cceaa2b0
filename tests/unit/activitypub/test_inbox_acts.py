"""The inboxes, from outside: what is not public but for us, and what groups pass on."""

import pytest

from bridged.api import Approve, Message, QuoteRequest, Ref, Report, Repost, Vote
from tests.unit.activitypub.door import Door
from tests.unit.activitypub.fake import BASE, BOT, GHOST, PUBLIC, Peer


async def test_report_by_an_instance_actor_is_stored_with_what_is_ours(door: Door):
    instance = Peer(door.host, "actor", "reports.test")
    door.host.http.serve(instance.id, instance.actor(type="Application"))
    flag = instance.activity("Flag", ["https://reports.test/n/1", GHOST.ref.id], content="spam")
    assert await door.send(flag, by=instance) == 202
    (act,) = door.decoded()
    assert act == Report(GHOST.ref, text="spam")


async def test_vote_in_our_poll_is_stored(door: Door):
    ballot = {
        "id": f"{door.alice.id}/votes/1", "type": "Note", "name": "yes", "attributedTo": door.alice.id,
        "to": [GHOST.ref.id], "inReplyTo": f"{BASE}/objects/nostr/poll",
    }  # fmt: skip
    assert await door.send(door.alice.activity("Create", ballot, to=[GHOST.ref.id])) == 202
    (act,) = door.decoded()
    assert act == Vote(Ref("activitypub", f"{BASE}/objects/nostr/poll"), ("yes",), named=True)


async def test_request_to_quote_is_stored_without_the_quoting_words(door: Door):
    note = door.alice.note(content="for friends", to=[f"{door.alice.id}/followers"], cc=[])
    request = door.alice.activity("QuoteRequest", f"{BASE}/objects/nostr/x", instrument=note)
    assert await door.send(request) == 202
    (envelope,) = door.host.received
    assert b"friends" not in envelope.body
    (act,) = door.decoded()
    assert act == QuoteRequest(Ref("activitypub", f"{BASE}/objects/nostr/x"), Ref("activitypub", note["id"]))


async def test_stamp_taken_back_is_stored_if_it_was_for_ours(door: Door):
    stamp = {
        "id": f"{door.alice.id}/stamps/1", "type": "QuoteAuthorization", "attributedTo": door.alice.id,
        "interactingObject": f"{BASE}/objects/nostr/x", "interactionTarget": f"{door.alice.id}/1",
    }  # fmt: skip
    bob = Peer(door.host, "bob")
    door.host.http.serve(bob.id, bob.actor())
    assert await door.send(bob.activity("Delete", stamp), by=bob) == 403
    assert await door.send(door.alice.activity("Delete", stamp)) == 202
    (act,) = door.decoded()
    assert act == Approve(Ref("activitypub", f"{BASE}/objects/nostr/x"), "")


@pytest.mark.parametrize("kind", ["Add", "Delete", "Remove"])
async def test_private_words_of_what_is_pinned_or_deleted_are_not_stored(door: Door, kind: str):
    private = door.alice.note(content="for friends", to=[f"{door.alice.id}/followers"], cc=[])
    assert await door.send(door.alice.activity(kind, private, target=f"{door.alice.id}/featured")) == 202
    (envelope,) = door.host.received
    assert b"friends" not in envelope.body
    (act,) = door.decoded()
    assert act.target == Ref("activitypub", private["id"])


async def test_post_shown_by_a_group_is_read_at_its_origin(door: Door):
    page = {"id": "https://lemmy.test/post/1", "type": "Page", "name": "forged", "attributedTo": door.alice.id}
    made = {"id": "https://lemmy.test/a/1", "type": "Create", "actor": "https://lemmy.test/u/x", "object": page}
    assert await door.send(door.alice.activity("Announce", made, to=[PUBLIC])) == 202
    (envelope,) = door.host.received
    assert b"forged" not in envelope.body
    (act,) = door.decoded()
    assert act == Repost(Ref("activitypub", page["id"]))


async def test_direct_message_to_the_bot_passes(door: Door):
    assert await door.send(door.alice.create(to=[BOT.ref.id], cc=[])) == 202
    (act,) = door.decoded()
    assert isinstance(act, Message)
    assert (act.to, act.text.plain) == ((BOT.ref,), "hi")


@pytest.mark.parametrize(
    "told",
    [
        {"to": [BOT.ref.id, "https://peer.test/users/carol"], "cc": []},
        {"to": [BOT.ref.id], "cc": ["https://peer.test/users/alice/followers"]},
        {"to": [BOT.ref.id], "cc": [], "type": "Article"},
    ],
)
async def test_private_words_that_are_not_for_the_bot_alone_are_dropped(door: Door, told: dict[str, object]):
    assert await door.send(door.alice.create(**told)) == 202
    assert door.host.received == []
    assert door.host.drops == ["not_public"]
