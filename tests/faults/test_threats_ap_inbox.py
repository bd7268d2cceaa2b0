"""Rightly signed, and hostile all the same: bodies nobody can read, and claims about what is somebody else's.

On PostgreSQL, which refuses letters that SQLite takes. Each case is followed by an honest post that is heard.
"""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.unit.activitypub.fake import PUBLIC, rsa_key

from .kit import eventually
from .kit.fediverse import Actor
from .kit.nostr import said
from .kit.scene import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")
Act = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("inbox"), "postgresql") as made:
        nina = made.peer.actor("nina")
        assert await nina.send(nina.follow(made.bot), made.inbox) == 202
        hers = made.alice.create("what alice wrote")
        assert await made.alice.send(hers, made.inbox) == 202
        HERS.append(hers["object"]["id"])
        assert await made.mallory.send(made.mallory.like(made.nora), made.inbox) == 202  # his key is known from here on
        await made.settled()
        yield made


def activity(here: Scene, **changes: Any) -> bytes:
    return json.dumps({**here.alice.create("unreadable"), **changes}).encode()


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


NUL = "a\0b"
BODIES: dict[str, tuple[Callable[[Scene], bytes], int, str]] = {
    "ten_mebibytes": (lambda here: activity(here, x="x" * (10 << 20)), 413, "too_big"),
    "lists_in_lists": (lambda here: b"[" * 100_000, 400, "too_deep not_json"),
    "objects_in_objects": (lambda here: deep(100_000), 400, "too_deep"),
    "context_of_forty_levels": (lambda here: activity(here, **{"@context": json.loads(deep(40))}), 400, "too_deep"),
    "nan": (lambda here: activity(here, x="?").replace(b'"?"', b"NaN"), 400, "number"),
    "infinity": (lambda here: activity(here, x="?").replace(b'"?"', b"-Infinity"), 400, "number"),
    "too_large_a_float": (lambda here: activity(here, x="?").replace(b'"?"', b"1e999"), 400, "number"),
    "five_thousand_digits": (lambda here: activity(here, x="?").replace(b'"?"', b"9" * 5000), 400, "number"),
    "lone_surrogate": (lambda here: activity(here, x="\ud800"), 400, "surrogate"),
    "lone_surrogate_in_a_key": (lambda here: activity(here, **{"\udfff": 1}), 400, "surrogate"),
    "key_twice": (lambda here: activity(here).replace(b'"type": "Create"', b'"type": "Like", "type": "Create"'), 400,
                  "duplicate_key"),
    "actor_twice": (lambda here: activity(here)[:-1] + f', "actor": "{here.mallory.id}"}}'.encode(), 400,
                    "duplicate_key"),
    "utf_16": (lambda here: activity(here).decode().encode("utf-16"), 400, "not_utf8"),
    "utf_16_without_mark": (lambda here: activity(here).decode().encode("utf-16-le"), 400, "not_json"),
    "byte_order_mark": (lambda here: b"\xef\xbb\xbf" + activity(here), 400, "not_json"),
    "overlong_utf_8": (lambda here: activity(here).replace(b"unreadable", b"\xc0\xaf"), 400, "not_utf8"),
    "bare_nul": (lambda here: activity(here).replace(b"unreadable", b"a\0b"), 400, "not_json"),
    "nul_in_the_text": (lambda here: json.dumps(here.alice.create(NUL)).encode(), 400, "nul"),
    "nul_after_a_backslash": (lambda here: json.dumps(here.alice.create("\\\0")).encode(), 400, "nul"),
    "nul_in_an_address": (lambda here: activity(here, inReplyTo=f"{here.peer.base}/{NUL}"), 400, "nul"),
    "nul_in_a_key": (lambda here: activity(here, **{NUL: 1}), 400, "nul"),
    "two_documents": (lambda here: activity(here) + activity(here), 400, "not_json"),
    "list": (lambda here: b"[" + activity(here) + b"]", 400, "not_an_object"),
    "nothing": (lambda here: b"", 400, "not_json"),
    "a_hundred_thousand_values": (lambda here: activity(here, x=[0] * 100_000), 400, "too_many_values"),
    "no_type": (lambda here: activity(here, type=None), 400, "no_type"),
    "type_that_is_a_number": (lambda here: activity(here, type=7), 400, "no_type"),
    "type_of_no_activity": (lambda here: activity(here, type="Note"), 400, "not_an_activity"),
    "actor_that_is_a_number": (lambda here: activity(here, actor=7), 400, "no_actor"),
    "actor_without_id": (lambda here: activity(here, actor={"type": "Person"}), 400, "no_actor"),
    "actor_of_three_thousand_letters": (
        lambda here: activity(here, actor=f"{here.alice.id}/{'x' * 3000}"), 400, "no_actor"),
    "actor_with_line_break": (lambda here: activity(here, actor=f"{here.alice.id}\r\nX: y"), 400, "no_actor"),
    "actor_with_nul": (lambda here: activity(here, actor=f"{here.alice.id}\0"), 400, "nul"),
    "no_object": (lambda here: activity(here, object=None), 400, "no_object"),
    "object_that_is_a_number": (lambda here: activity(here, object=7), 400, "no_object"),
    "note_whose_id_is_a_number": (lambda here: activity(here, object={**here.alice.note("x"), "id": 7}), 400,
                                  "no_object_id"),
    "note_of_a_very_long_id": (
        lambda here: activity(here, object={**here.alice.note("x"), "id": f"{here.alice.id}/{'x' * 5000}"}), 400,
        "no_object_id"),
}  # fmt: skip


@pytest.mark.parametrize("how", BODIES)
async def test_body_that_cannot_be_read_is_refused(here: Scene, how: str) -> None:
    make, status, reasons = BODIES[how]
    body = make(here)
    async with here.refuses(*reasons.split()):
        assert await here.post(body, here.alice.signed(here.inbox, body)) == status


async def test_body_without_end_is_cut(here: Scene) -> None:
    """Chunks for ever, none of them large; and a gzip bomb is not unpacked."""
    headers = here.alice.signed(here.inbox, b"")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"POST /inbox HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    before = here.daemon.rss()
    async with here.refuses("too_big"):
        answered = await here.raw(start, *[b"8000\r\n" + b" " * 0x8000 + b"\r\n"] * 256, wait=2.0)
        assert answered.startswith(b"HTTP/1.1 413"), answered[:100]
    assert here.daemon.rss() - before < 64 << 20


async def test_bomb_is_not_unpacked(here: Scene) -> None:
    bomb = await asyncio.to_thread(lambda: gzip.compress(b" " * (100 << 20)))
    headers = {**here.alice.signed(here.inbox, bomb), "Content-Encoding": "gzip"}
    before = here.daemon.rss()
    async with here.refuses("encoded_body"):
        assert await here.post(bomb, headers) == 415
    assert here.daemon.rss() - before < 64 << 20


# --- what mallory, of another host, says about what is alice's ---


def forged(note: Callable[[Scene], Act], type: str = "Create") -> Callable[[Scene], Act]:
    return lambda here: here.mallory.activity(type, note(here), to=[PUBLIC])


HERS: list[str] = []


def hers(here: Scene) -> str:
    """The id of a note that alice wrote, and that crossed."""
    return HERS[-1]


FORGED: dict[str, tuple[Callable[[Scene], Act], str]] = {
    "note_under_an_id_of_her_host": (forged(lambda h: h.mallory.note("lies", id=hers(h))), "foreign_object"),
    "note_in_her_name": (forged(lambda h: h.mallory.note("lies", attributedTo=h.alice.id)), "foreign_object"),
    "note_in_both_names": (
        forged(lambda h: h.mallory.note("lies", attributedTo=[h.mallory.id, h.alice.id])), "foreign_object"),
    "second_of_two_notes": (
        lambda h: h.mallory.activity("Create", [h.mallory.note("true"), h.mallory.note("lies", id=hers(h))]),
        "foreign_object"),
    "activity_id_of_her_host": (
        lambda h: {**h.mallory.create("lies"), "id": f"{h.alice.id}/activities/99"}, "foreign_id"),
    "activity_id_with_her_host_as_user": (
        lambda h: {**h.mallory.create("lies"), "id": f"http://{h.other.host}@{h.peer.host}/9"}, "foreign_id"),
    "note_by_reference_at_her_host": (
        lambda h: h.mallory.activity("Create", hers(h), to=[PUBLIC]), "foreign_object"),
    "update_of_her_note": (forged(lambda h: h.mallory.note("lies", id=hers(h)), "Update"), "foreign_object"),
    "update_that_changes_the_author": (
        forged(lambda h: {**h.alice.note("lies"), "attributedTo": h.mallory.id}, "Update"), "foreign_object"),
    "update_of_her_profile": (forged(lambda h: h.alice.show(), "Update"), "foreign_object"),
    "delete_of_her_note": (lambda h: h.mallory.activity("Delete", hers(h)), "foreign_object"),
    "delete_of_her_tombstone": (
        lambda h: h.mallory.activity("Delete", {"id": f"{h.mallory.id}/1", "type": "Tombstone",
                                                "attributedTo": h.alice.id}), "foreign_object"),
    "delete_of_herself": (lambda h: h.mallory.activity("Delete", h.alice.id), "foreign_object"),
    "undo_of_her_follow": (lambda h: h.mallory.undo(h.alice.follow(h.nora)), "foreign_object"),
    "undo_of_her_follow_by_id": (lambda h: h.mallory.activity("Undo", f"{h.alice.id}/activities/2"), "foreign_object"),
    "undo_of_her_follow_as_his": (
        lambda h: h.mallory.activity("Undo", {**h.alice.follow(h.nora), "actor": h.mallory.id}), "foreign_object"),
    "move_of_hers": (lambda h: h.mallory.activity("Move", h.alice.id, target=h.mallory.id), "foreign_object"),
    "quote_in_her_name": (
        lambda h: h.mallory.activity("QuoteRequest", h.nora, instrument=hers(h)), "foreign_object"),
    "word_of_our_own_ghost": (lambda h: {**h.mallory.create("lies"), "actor": h.nora}, "own_actor"),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
async def test_what_is_another_persons_cannot_be_touched_from_elsewhere(here: Scene, how: str) -> None:
    make, reason = FORGED[how]
    said = make(here)
    about_us = {**said, "cc": [here.nora]}
    async with here.refuses(reason):
        assert await here.mallory.send(about_us, here.inbox) == 403


@pytest.mark.parametrize("type", ["Block", "Flag", "Move", "Follow", "Like"])
async def test_act_in_her_name_is_refused(here: Scene, type: str) -> None:
    said = {**here.mallory.activity(type, here.nora), "actor": here.alice.id}
    async with here.refuses("key_of_another"):
        assert await here.mallory.send(said, here.inbox) == 401


NEIGHBOURLY: dict[str, tuple[Callable[[Scene, Actor], Act], str]] = {
    "delete": (lambda h, nina: nina.activity("Delete", hers(h)), "not-yours"),
    "undo_of_a_follow": (lambda h, nina: nina.activity("Undo", f"{h.alice.id}/activities/2"), "not-yours"),
    "update": (lambda h, nina: nina.activity("Update", nina.note("lies", id=hers(h)), to=[PUBLIC]), "not-yours"),
    "move_without_proof": (lambda h, nina: nina.activity("Move", nina.id, target=h.alice.id), "move-unproved"),
}


@pytest.mark.parametrize("how", NEIGHBOURLY)
async def test_what_is_a_neighbours_cannot_be_touched_either(here: Scene, how: str) -> None:
    """Of one host, so the address proves nothing: whose it is, is on record. The drop is in the ledger."""
    make, reason = NEIGHBOURLY[how]
    nina = here.peer.actors["nina"]
    said = make(here, nina)
    await here.settled()
    before = await here.daemon.metric("bridged_dropped_total", network="activitypub", reason=reason)
    rows = {name: n for name, n in (await here.counts()).items() if name in ("acts", "copies", "follows", "ghosts")}
    assert await nina.send(said, here.inbox) == 202
    await here.settled()
    assert await here.daemon.metric("bridged_dropped_total", network="activitypub", reason=reason) == before + 1
    ledger = await here.daemon.ledger(f"origin = '{said['id']}'")
    assert [(row["step"], row["reason"]) for row in ledger] == [("dropped", reason)]
    assert rows == {name: n for name, n in (await here.counts()).items() if name in rows}
    await here.good()


# --- what may be carried, but not as it is told ---


async def test_boost_of_a_forged_note_shows_what_its_origin_says(here: Scene) -> None:
    true = here.other.actor("truthful", rsa_key("mallory")).note("what was really said")
    forged = {**true, "content": "LIES"}
    assert await here.alice.send(here.alice.activity("Announce", forged, to=[PUBLIC]), here.inbox) == 202
    await here.settled()
    stored = await here.daemon.rows(
        "SELECT body FROM inbox UNION ALL SELECT body FROM acts UNION ALL SELECT served FROM copies"
    )
    assert not [row for row in stored if b"LIES" in bytes(row["body"])]
    assert not [event for event in here.relay.stored.values() if "LIES" in json.dumps(event)]
    await here.good()


NESTED: dict[str, Callable[[Scene], Act]] = {
    "announce_of_an_announce": lambda h: h.alice.announce(h.alice.announce(h.alice.announce(hers(h)))),
    "undo_of_an_undo": lambda h: h.alice.undo(h.alice.undo(h.alice.undo(h.alice.follow(h.nora)))),
    "create_of_a_create": lambda h: h.alice.activity("Create", h.alice.create("nested"), to=[PUBLIC]),
    "ten_creates": lambda h: _wrapped(h, 10),
    "accept_of_nothing": lambda h: h.alice.activity("Accept", h.alice.activity("Accept", h.alice.activity("Like", 7))),
    "note_in_a_note": lambda h: h.alice.create(
        "outer", inReplyTo=h.alice.note("inner"), attachment=h.alice.note("more")
    ),
    "object_of_itself": lambda h: _of_itself(h),
}


def _wrapped(here: Scene, times: int) -> Act:
    said = here.alice.create("wrapped")
    for _ in range(times):
        said = here.alice.activity("Announce", said, to=[PUBLIC])
    return said


def _of_itself(here: Scene) -> Act:
    said = here.alice.announce("")
    return {**said, "object": said["id"]}


@pytest.mark.parametrize("how", NESTED)
async def test_activities_in_activities_come_to_an_end(here: Scene, how: str) -> None:
    """Whatever the answer, it is one, and nothing is left behind that is tried for ever."""
    await here.settled()
    before = here.daemon.log.count("bridge_failed")
    assert await here.alice.send(NESTED[how](here), here.inbox) in (202, 400, 403)
    await here.settled()
    assert here.daemon.log.count("bridge_failed") == before
    assert await here.daemon.rows("SELECT id FROM inbox WHERE attempt > 1 AND network = 'activitypub'") == []
    await here.good()


LETTERS: dict[str, Callable[[Scene], Act]] = {
    "backslashes_before_what_looks_like_nul": lambda h: h.alice.create("\\u0000 and \\\\u0000"),
    "noncharacters": lambda h: h.alice.create("\ufffe\uffff\U0010ffff\ue000"),
    "half_of_every_pair": lambda h: h.alice.create("\u202e\u200d\ufeff\u2028\u2029\x7f\x1b[31m"),
}  # fmt: skip


@pytest.mark.parametrize("how", LETTERS)
async def test_letters_that_databases_refuse_do_no_harm(here: Scene, how: str) -> None:
    said = LETTERS[how](here)
    assert await here.alice.send(said, here.inbox) == 202
    await here.settled()
    assert "bridge_failed" not in here.daemon.log
    assert "request_failed" not in here.daemon.log
    await here.good()


async def test_letters_from_nostr_that_databases_refuse_do_no_harm(here: Scene) -> None:
    """Events may hold NUL: what cannot be kept is dropped, and what nora says next still crosses."""
    await here.relay.publish(said("nora", 1, f"nul {NUL}", ("t", NUL), ("subject", NUL), ("content-warning", NUL)))
    await here.relay.publish(said("nora", 30023, f"# article {NUL}", ("d", NUL), ("title", NUL), ("image", NUL)))
    await here.relay.publish(said("nora", 7, NUL, ("e", "0" * 64), ("p", NUL)))
    await here.relay.publish(
        said("nora", 0, json.dumps({"name": f"nora{NUL}", "about": NUL, "nip05": NUL, "website": NUL}))
    )
    await here.relay.publish(said("nora", 10002, "", ("r", f"wss://{NUL}.example")))
    await here.settled()
    await here.relay.publish(said("nora", 1, "after all that"))
    await eventually(lambda: [got for got in here.peer.posts("Create") if b"after all that" in got.body])
    assert "bridge_failed" not in here.daemon.log
    assert "bridge_waits_for_store" not in here.daemon.log
    await here.good()


async def test_account_with_nul_in_it_is_none(here: Scene) -> None:
    who = here.other.actor("letters", rsa_key("mallory"))
    who.show(summary=NUL)
    async with here.refuses("unknown_key"):
        assert await who.send(who.follow(here.nora), here.inbox) == 401


async def test_bombs_of_tags_and_mentions_are_cut(here: Scene) -> None:
    """Thousands of tags and people: a post is carried with some, and few strangers are looked up for it."""
    here.other.got.clear()
    mentions = [{"type": "Mention", "name": f"@u{n}", "href": f"{here.other.base}/users/u{n}"} for n in range(3000)]
    tags = [{"type": "Hashtag", "name": f"#tag{n}", "href": f"{here.peer.base}/t/{n}"} for n in range(3000)]
    body = json.dumps(here.alice.create("a bomb of tags", tag=[*mentions, *tags], to=[PUBLIC] * 500)).encode()
    assert await here.post(body, here.alice.signed(here.inbox, body)) == 202
    body = json.dumps(
        here.alice.activity("Create", [here.alice.note(f"n{n}") for n in range(1500)], to=[PUBLIC])
    ).encode()
    assert len(body) < 1 << 20
    assert await here.post(body, here.alice.signed(here.inbox, body)) == 202
    await here.settled()
    asked = {got.path for got in here.other.got}
    assert len(asked) <= 20, sorted(asked)
    await eventually(lambda: [e for e in here.relay.events(kinds=[1]) if "a bomb of tags" in e["content"]])
    (event,) = [e for e in here.relay.events(kinds=[1]) if "a bomb of tags" in e["content"]]
    assert len(event["tags"]) < 500
    assert len([e for e in here.relay.events(kinds=[1]) if e["content"].startswith("n")]) <= 1
    await here.good()


# --- what is private ---

PRIVATE: dict[str, Callable[[Scene], Act]] = {
    "followers_only": lambda h: h.alice.create("psst", to=[h.alice.followers], cc=[]),
    "direct": lambda h: h.alice.create("psst", to=[h.nora], cc=[]),
    "to_nobody": lambda h: h.alice.create("psst", to=[], cc=[]),
    "private_in_a_public_create": lambda h: h.alice.activity(
        "Create", h.alice.note("psst", to=[h.nora], cc=[]), to=[PUBLIC]),
    "public_in_small_letters": lambda h: h.alice.create("psst", to=[PUBLIC.lower()], cc=[]),
    "boost_for_followers": lambda h: {**h.alice.announce(hers(h)), "to": [h.alice.followers], "cc": []},
}  # fmt: skip


@pytest.mark.parametrize("how", PRIVATE)
async def test_what_is_private_is_not_even_stored(here: Scene, how: str) -> None:
    said = PRIVATE[how](here)
    async with here.refuses("not_public", kind="dropped"):
        assert await here.alice.send(said, here.inbox) == 202
    assert not [event for event in here.relay.stored.values() if "psst" in json.dumps(event)]
    assert "psst" not in here.daemon.log


async def test_post_made_private_later_is_taken_back(here: Scene) -> None:
    create = here.alice.create("too much said")
    assert await here.alice.send(create, here.inbox) == 202
    (event,) = await eventually(lambda: [e for e in here.relay.events(kinds=[1]) if e["content"] == "too much said"])
    secret = {**create["object"], "content": "now secret", "to": [here.alice.followers], "cc": []}
    assert await here.alice.send(here.alice.activity("Update", secret, to=[here.alice.followers]), here.inbox) == 202
    await eventually(lambda: here.relay.events(kinds=[5], e=[event["id"]]))
    assert not [event for event in here.relay.stored.values() if "now secret" in json.dumps(event)]
    await here.good()


async def test_create_that_comes_after_its_delete_stays_dead(here: Scene) -> None:
    create = here.alice.create("dead on arrival")
    assert await here.alice.send(here.alice.delete(create["object"]["id"]), here.inbox) == 202
    await here.settled()
    before = await here.daemon.metric("bridged_dropped_total", network="activitypub", reason="deleted-before")
    assert await here.alice.send(create, here.inbox) == 202
    await here.settled()
    assert (
        await here.daemon.metric("bridged_dropped_total", network="activitypub", reason="deleted-before") == before + 1
    )
    rows = await here.daemon.ledger(f"origin = '{create['object']['id']}'")
    assert [(row["step"], row["reason"]) for row in rows] == [("dropped", "deleted-before")]
    assert not [e for e in here.relay.events(kinds=[1]) if e["content"] == "dead on arrival"]
    await here.good()
