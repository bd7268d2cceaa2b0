"""What a Nostr user does with a fediverse user's answer, as the fediverse server and its user see it."""

from collections import Counter

from .conftest import Talk
from .peers import NostrUser, Pubby, ident, is_public, many
from .world import World, eventually


def test_reply_arrives_in_reply_to_the_answer(talk: Talk, alice: NostrUser, alice_ap: str) -> None:
    text = f"alice replies to {talk.peer.host}"
    alice.reply(talk.event, text)
    note = talk.peer.wait_note(text)
    assert note["inReplyTo"] == talk.answer
    assert ident(note["attributedTo"]) == alice_ap
    mentions = [t["href"] for t in many(note["tag"]) if t["type"] == "Mention"]
    assert talk.peer.actor in mentions
    if isinstance(talk.peer, Pubby):
        # others may have answered it as well
        assert [i["object_id"] for i in talk.peer.seen("reply", talk.answer)].count(note["id"]) == 1


def test_like_and_its_deletion_arrive_as_like_and_undo(talk: Talk, alice: NostrUser, alice_ap: str) -> None:
    like = alice.like(talk.event)
    got = eventually(lambda: talk.peer.received("Like", object=talk.answer, actor=alice_ap))[0]
    if isinstance(talk.peer, Pubby):
        assert len(talk.peer.seen("like", talk.answer)) == 1
    alice.delete(like)
    undo = eventually(lambda: talk.peer.received("Undo", actor=alice_ap, object=got["id"]))[0]
    assert undo["object"]["type"] == "Like"
    # Liked again: another like, with another id.
    alice.publish(7, "+", like["tags"], at=like["created_at"] + 1)
    again = eventually(lambda: talk.peer.received("Like", object=talk.answer, actor=alice_ap)[1:])
    assert again[0]["id"] != got["id"]


def test_repost_arrives_as_announce(talk: Talk, alice: NostrUser, alice_ap: str) -> None:
    alice.repost(talk.event)
    got = eventually(lambda: talk.peer.received("Announce", object=talk.answer, actor=alice_ap))
    assert is_public(got[0])
    assert got[0]["published"]
    if isinstance(talk.peer, Pubby):
        assert len(talk.peer.seen("boost", talk.answer)) == 1


def test_delete_arrives_and_the_note_is_gone(talk: Talk, alice: NostrUser, world: World) -> None:
    text = f"to be deleted for {talk.peer.host}"
    event = alice.note(text)
    note = talk.peer.wait_note(text)["id"]
    alice.delete(event)
    eventually(lambda: talk.peer.received("Delete", object=note))
    assert eventually(lambda: world.get(note, "application/activity+json")[0] in (404, 410))


def test_everything_arrived_once(talk: Talk, alice: NostrUser, alice_ap: str) -> None:
    """After all the above: no act twice in the peer's own log, no delivery twice on the wire."""
    alice.note(f"the last word to {talk.peer.host}")
    talk.peer.wait_note(f"the last word to {talk.peer.host}")

    def settled() -> Counter[str]:
        taken = Counter(
            x.json["id"] for x in talk.peer.deliveries() if x.status < 300 and ident(x.json.get("actor")) == alice_ap
        )
        assert taken.keys() == {a["id"] for a in talk.peer.received(actor=alice_ap)}
        return taken

    taken = eventually(settled)
    assert {a: n for a, n in taken.items() if n > 1} == {}
    log = talk.peer.received(actor=alice_ap)
    once = Counter(
        (a["type"], ident(a["object"])) for a in log if a["type"] in ("Create", "Announce", "Delete", "Accept")
    )
    assert {what: n for what, n in once.items() if n > 1} == {}
    assert len(log) == len({a["id"] for a in log})
