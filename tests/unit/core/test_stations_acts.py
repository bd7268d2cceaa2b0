"""Polls, pins, lists, reports, moves, quotes, zaps, expiry and links, through the stations, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete

from bridged.adapter import Unreachable
from bridged.model import Activity, Edit, Text
from bridged.moves import NotProved
from bridged.store import acts, follows, identity, pins, schema
from bridged.testing import FakeNetwork, Harness


class Scene:
    """Alice on red and bob on blue follow each other; on blue, votes, reports and messages are private."""

    def __init__(self) -> None:
        self.red = FakeNetwork("red")
        self.blue = FakeNetwork("blue", discreet=frozenset({"Vote", "Report", "Message"}))
        self.red.join("alice", "rita")
        self.blue.join("bob", "ben")
        self.bridge: Harness

    async def start(self, bridge_of: Any, **settings: Any) -> "Scene":
        self.bridge = await bridge_of(self.red, self.blue, **settings)
        self.alice_there = (await self.bridge.ghost(self.red.ref("alice"), "blue")).ref.id
        self.bob_there = (await self.bridge.ghost(self.blue.ref("bob"), "red")).ref.id
        await self.bridge.hear(self.blue.say("Follow", "bob", target=self.alice_there))
        await self.bridge.hear(self.red.say("Follow", "alice", target=self.bob_there))
        return self

    async def reasons(self, ref: Any) -> list[tuple[str, str]]:
        return await self.bridge.ledger(ref)


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await Scene().start(bridge_of)


async def poll(scene: Scene, home: FakeNetwork, by: str, **more: Any) -> tuple[str, str]:
    """(the poll, its copy on the other network)."""
    values = {"options": ("tea", "coffee"), "ends": scene.bridge.clock() + 3600, **more}
    asked = home.post(by, "what?", **values)
    await scene.bridge.hear(asked)
    other = scene.blue if home is scene.red else scene.red
    return asked.id, other.received("Post")[-1].id


async def test_poll_crosses_with_its_options(scene: Scene) -> None:
    await poll(scene, scene.red, "alice")
    (told,) = scene.blue.received("Post")
    assert told.options == ("tea", "coffee")


async def test_vote_on_the_copy_is_cast_at_the_polls_home(scene: Scene) -> None:
    asked, copy = await poll(scene, scene.blue, "bob")
    await scene.bridge.hear(scene.red.say("Vote", "rita", target=copy, choices=("1",)))
    (vote,) = scene.blue.received("Vote")
    assert (vote.target, vote.choices) == (asked, ("b",)), "as the poll names it at home"
    assert vote.by == (await scene.bridge.ghost(scene.red.ref("rita"), "blue")).ref.id


async def test_private_vote_is_cast_by_the_bot_where_votes_are_public(scene: Scene) -> None:
    _asked, copy = await poll(scene, scene.red, "alice")
    await scene.bridge.hear(scene.blue.say("Vote", "ben", target=copy, choices=("coffee",), named=True))
    (vote,) = scene.red.received("Vote")
    assert vote.by == (await scene.bridge.bot("red")).ref.id
    assert await scene.bridge.read(lambda tx: identity.ghost_for(tx, scene.blue.ref("ben"), "red")) is None


async def test_votes_of_both_networks_are_counted_and_the_count_is_told(scene: Scene) -> None:
    asked, copy = await poll(scene, scene.red, "alice")
    await scene.bridge.hear(
        scene.red.say("Vote", "rita", target=asked, choices=("a",)),
        scene.blue.say("Vote", "ben", target=copy, choices=("coffee",), named=True),
        scene.blue.say("Vote", "bob", target=copy, choices=("coffee",), named=True),
    )
    assert scene.blue.received("Tally") == []
    await scene.bridge.wait(61)
    (told,) = scene.blue.received("Tally")
    assert (told.target, told.votes, told.closed) == (copy, (1, 2), False)


async def test_second_vote_replaces_the_first(scene: Scene) -> None:
    asked, _copy = await poll(scene, scene.red, "alice")
    await scene.bridge.hear(scene.red.say("Vote", "rita", target=asked, choices=("a",)))
    await scene.bridge.hear(scene.red.say("Vote", "rita", target=asked, choices=("b",)))
    await scene.bridge.wait(61)
    assert scene.blue.received("Tally")[-1].votes == (0, 1)


async def test_choices_that_come_one_by_one_add_up_in_a_poll_with_several(scene: Scene) -> None:
    _, copy = await poll(scene, scene.red, "alice", multiple=True)
    await scene.bridge.hear(scene.blue.say("Vote", "ben", target=copy, choices=("tea",), named=True))
    await scene.bridge.hear(scene.blue.say("Vote", "ben", target=copy, choices=("coffee",), named=True))
    await scene.bridge.wait(61)
    assert scene.blue.received("Tally")[-1].votes == (1, 1)


@pytest.mark.parametrize(("choices", "why"), [((), "no-such-choice"), (("z",), "no-such-choice")])
async def test_vote_for_nothing_offered_is_dropped(scene: Scene, choices: tuple[str, ...], why: str) -> None:
    asked, _ = await poll(scene, scene.red, "alice")
    vote = scene.red.say("Vote", "rita", target=asked, choices=choices)
    await scene.bridge.hear(vote)
    assert ("dropped", why) in await scene.reasons(scene.red.ref(vote.id))


async def test_vote_after_the_end_is_dropped(scene: Scene) -> None:
    _asked, copy = await poll(scene, scene.red, "alice")
    late = scene.blue.say("Vote", "ben", target=copy, choices=("tea",), named=True, at=scene.bridge.clock() + 3601)
    await scene.bridge.hear(late)
    assert ("dropped", "poll-closed") in await scene.reasons(scene.blue.ref(late.id))


async def test_poll_is_closed_once_it_has_ended(scene: Scene) -> None:
    asked, _copy = await poll(scene, scene.red, "alice")
    assert (await scene.bridge.read(lambda tx: _heard(scene, tx))).polls == {asked}
    await scene.bridge.hear(scene.red.say("Vote", "rita", target=asked, choices=("a",)))
    await scene.bridge.wait(3700)
    assert [(t.votes, t.closed) for t in scene.blue.received("Tally")][-1] == ((1, 0), True)
    assert (await scene.bridge.read(lambda tx: _heard(scene, tx))).polls == set()


def _heard(scene: Scene, tx: Any) -> Any:
    from bridged.core import _heard as read

    return read(tx, "red")


async def test_count_of_a_network_that_counts_itself_is_passed_on(scene: Scene) -> None:
    asked, _copy = await poll(scene, scene.blue, "bob")
    count = {"options": ("tea", "coffee"), "votes": (4, 5), "ends": scene.bridge.clock() + 3600}
    await scene.bridge.hear(scene.blue.say("Tally", "bob", target=asked, **count))
    assert [t.votes for t in scene.red.received("Tally")] == [(4, 5)]
    await scene.bridge.hear(scene.blue.say("Tally", "ben", target=asked, **{**count, "votes": (9, 9)}))
    assert len(scene.red.received("Tally")) == 1, "somebody else's count is none"


async def test_zap_is_carried_like_a_like(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "hello"))
    copy = scene.blue.received("Post")[0].id
    await scene.bridge.hear(scene.blue.say("Zap", "bob", target=copy, msats=21000))
    assert [(z.msats, z.by) for z in scene.red.received("Zap")] == [(21000, scene.bob_there)]


async def test_pinned_post_is_brought_and_shown_pinned(scene: Scene) -> None:
    old = scene.red.post("alice", "from before")
    await scene.bridge.hear(scene.red.say("Pin", "alice", target=old.id))
    post, pin = scene.blue.received("Post")[-1], scene.blue.received("Pin")[-1]
    assert (post.text, pin.targets) == ("from before", (post.id,))
    await scene.bridge.hear(scene.red.say("Pin", "alice", target=old.id, pinned=False))
    assert scene.blue.received("Pin")[-1].targets == ()


async def test_somebody_elses_post_is_not_pinned(scene: Scene) -> None:
    other = scene.red.post("rita", "mine")
    await scene.bridge.hear(scene.red.say("Pin", "alice", target=other.id))
    assert await scene.bridge.read(lambda tx: pins.of(tx, scene.red.ref("alice"))) == []


async def test_list_of_pins_is_told_as_what_changed(scene: Scene) -> None:
    one, two = scene.red.post("alice", "one"), scene.red.post("alice", "two")
    await scene.bridge.hear(one, two)
    first = scene.red.say("PinList", "alice", targets=(one.id, two.id))
    await scene.bridge.hear(first)
    assert len(scene.blue.received("Pin")[-1].targets) == 2
    await scene.bridge.hear(scene.red.say("PinList", "alice", targets=(two.id,), at=scene.red.now + 5))
    told = scene.blue.received("Pin")[-1]
    assert (told.pinned, len(told.targets)) == (False, 1)
    await scene.bridge.hear(replace(first, id="again"))
    assert scene.blue.received("Pin")[-1] == told, "an older list is ignored"


async def test_list_of_blocks_is_told_as_blocks_and_unblocks(scene: Scene) -> None:
    ben = (await scene.bridge.ghost(scene.blue.ref("ben"), "red")).ref.id
    await scene.bridge.hear(scene.red.say("BlockList", "alice", targets=(ben,)))
    (block,) = scene.blue.received("Block")
    assert (block.target, block.targets) == ("ben", ("ben",))
    assert await scene.bridge.read(lambda tx: follows.blocks_of(tx, scene.red.ref("alice")))
    await scene.bridge.hear(scene.red.say("BlockList", "alice", targets=(), at=scene.red.now + 5))
    assert [t.target for t in scene.blue.received("Delete")] == [block.id]
    assert not await scene.bridge.read(lambda tx: follows.blocks_of(tx, scene.red.ref("alice")))


async def test_block_that_left_no_copy_is_taken_back_all_the_same(scene: Scene) -> None:
    """Where whole lists are said, a copy of the list is all there is."""
    block = scene.blue.say("Block", "bob", target=scene.alice_there)
    await scene.bridge.hear(block)
    assert scene.red.received("Block")
    where = schema.copies.c.origin_id == block.id
    await scene.bridge.write(lambda tx: tx.execute(delete(schema.copies).where(where)))
    back = scene.blue.say("Delete", "bob", target=block.id)
    await scene.bridge.hear(back)
    assert ("carried", "copies") in await scene.reasons(scene.blue.ref(back.id))


async def test_list_of_blocks_that_lost_most_waits_before_it_is_believed(scene: Scene) -> None:
    scene.blue.join(*(f"troll{n}" for n in range(5)))
    trolls = [(await scene.bridge.ghost(scene.blue.ref(f"troll{n}"), "red")).ref.id for n in range(5)]
    await scene.bridge.hear(scene.red.say("BlockList", "alice", targets=tuple(trolls)))
    await scene.bridge.hear(scene.red.say("BlockList", "alice", targets=(), at=scene.red.now + 5))
    assert scene.blue.received("Delete") == []
    await scene.bridge.wait(601)
    assert len(scene.blue.received("Delete")) == 5


async def test_report_is_kept_and_passed_on_by_the_bot(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "buy now"))
    copy = scene.blue.received("Post")[0].id
    report = scene.blue.say("Report", "bob", target=scene.alice_there, targets=(copy,), text="my ex")
    await scene.bridge.hear(report)
    (told,) = scene.red.received("Report")
    assert told.by == (await scene.bridge.bot("red")).ref.id
    assert (told.target, told.text) == ("alice", ""), "what was said in confidence stays here"
    assert ("reported", "spam: my ex") in await scene.reasons(scene.blue.ref(report.id))


async def test_report_keeps_its_words_where_reports_are_private(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.say("Report", "alice", target=scene.bob_there, text="spam, see"))
    assert [t.text for t in scene.blue.received("Report")] == ["spam, see"]


async def test_reports_about_one_account_are_passed_on_once_a_day(scene: Scene) -> None:
    for by in ("alice", "rita", "alice"):
        await scene.bridge.hear(scene.red.say("Report", by, target=scene.bob_there))
    assert len(scene.blue.received("Report")) == 1
    await scene.bridge.wait(86400)
    await scene.bridge.hear(scene.red.say("Report", "alice", target=scene.bob_there))
    assert len(scene.blue.received("Report")) == 2


async def test_reports_stay_with_the_operator_by_setting(bridge_of: Any) -> None:
    scene = await Scene().start(bridge_of, reports="operator")
    report = scene.red.say("Report", "alice", target=scene.bob_there)
    await scene.bridge.hear(report)
    assert scene.blue.received("Report") == []
    assert ("reported", "spam:") in [(s, r.strip()) for s, r in await scene.reasons(scene.red.ref(report.id))]


async def test_quote_of_ours_is_allowed_on_request(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "quote me"))
    copy = scene.blue.received("Post")[0].id
    mine = scene.blue.post("ben", "as alice says")
    ask = scene.blue.say("QuoteRequest", "ben", target=copy, quote=mine.id)
    await scene.bridge.hear(ask)
    (accept,) = scene.blue.received("Accept")[-1:]
    assert accept.by == scene.alice_there


async def test_approval_of_our_quote_is_shown_with_it(scene: Scene) -> None:
    theirs = scene.blue.post("bob", "wise words")
    await scene.bridge.hear(theirs)
    seen = scene.red.received("Post")[-1].id
    await scene.bridge.hear(scene.red.post("alice", "look", quote=seen))
    copy = scene.blue.received("Post")[-1]
    assert copy.quote == theirs.id
    await scene.bridge.hear(scene.blue.say("Approve", "ben", target=copy.id, proof="forged"))
    await scene.bridge.hear(scene.blue.say("Approve", "bob", target=copy.id, proof="https://proof"))
    assert [(t.target, t.proof) for t in scene.blue.received("Approve")] == [(copy.id, "https://proof")]
    await scene.bridge.hear(scene.blue.say("Approve", "ben", target=copy.id, proof=""))
    await scene.bridge.hear(scene.blue.say("Approve", "bob", target=copy.id, proof=""))
    assert [t.proof for t in scene.blue.received("Approve")] == ["https://proof", ""]


@pytest.mark.parametrize("order", ["before", "after", "with"])
async def test_gate_is_on_the_copies_whenever_it_comes(scene: Scene, order: str) -> None:
    post = scene.red.post("alice", "answer me not")
    gates = [
        scene.red.say("Gate", "alice", target=post.id, circles=("followers",)),
        scene.red.say("Gate", "alice", target=post.id, what="quotes", circles=()),
    ]
    match order:
        case "before":
            await scene.bridge.hear(*gates)
            await scene.bridge.hear(post)
        case "after":
            await scene.bridge.hear(post)
            await scene.bridge.hear(*gates)
        case _:
            await scene.bridge.hear(gates[0], post, gates[1])
    told = [t for t in scene.blue.received() if t.kind in ("Post", "Gate")][-1]
    assert (told.answers, told.quotable) == (("followers",), False)
    assert len(scene.blue.received("Gate")) == {"before": 0, "after": 2, "with": 1}[order]


async def test_gate_that_is_lifted_lets_everybody_answer_again(scene: Scene) -> None:
    post = scene.red.post("alice", "answer me")
    shut = scene.red.say("Gate", "alice", target=post.id, circles=())
    await scene.bridge.hear(post, shut)
    scene.red.now += 10
    await scene.bridge.hear(scene.red.say("Gate", "alice", target=post.id))
    assert [t.answers for t in scene.blue.received("Gate")] == [(), None]
    await scene.bridge.hear(scene.red.say("Gate", "alice", target=post.id, circles=(), at=scene.red.now - 5))
    assert len(scene.blue.received("Gate")) == 2, "an older one that comes late counts no more"


async def test_gate_outlasts_an_edit_that_says_nothing_of_it(scene: Scene) -> None:
    post = scene.red.post("alice", "first")
    await scene.bridge.hear(post, scene.red.say("Gate", "alice", target=post.id, what="quotes", circles=()))
    scene.red.now += 10
    await scene.bridge.hear(scene.red.say("Edit", "alice", target=post.id, text="second"))
    (edited,) = scene.blue.received("Edit")
    assert (edited.text, edited.quotable) == ("second", False)


async def test_gate_of_somebody_elses_post_counts_for_nothing(scene: Scene) -> None:
    early, late = scene.red.post("alice", "early"), scene.red.post("alice", "late")
    await scene.bridge.hear(early)
    for post in (early, late):
        await scene.bridge.hear(scene.red.say("Gate", "amy", target=post.id, circles=()))
    await scene.bridge.hear(late)
    assert scene.blue.received("Gate") == []
    assert [t.answers for t in scene.blue.received("Post")] == [None, None]


async def test_gate_twice_is_told_once(scene: Scene) -> None:
    post = scene.red.post("alice", "once")
    await scene.bridge.hear(post)
    for _ in range(2):
        await scene.bridge.hear(scene.red.say("Gate", "alice", target=post.id, circles=()))
    assert len(scene.blue.received("Gate")) == 1


async def test_quote_of_ours_is_refused_where_its_author_wants_none(scene: Scene) -> None:
    post = scene.red.post("alice", "quote me not")
    await scene.bridge.hear(post, scene.red.say("Gate", "alice", target=post.id, what="quotes", circles=()))
    copy = scene.blue.received("Post")[0].id
    mine = scene.blue.post("ben", "as alice says")
    await scene.bridge.hear(scene.blue.say("QuoteRequest", "ben", target=copy, quote=mine.id))
    assert [t.by for t in scene.blue.received("Reject")] == [scene.alice_there]


async def test_leave_to_quote_ends_when_its_author_takes_the_quote_out(scene: Scene) -> None:
    post = scene.red.post("alice", "quote me")
    await scene.bridge.hear(post)
    copy = scene.blue.received("Post")[0].id
    mine = scene.blue.post("bob", "as alice says", quote=copy)
    await scene.bridge.hear(mine)
    await scene.bridge.hear(scene.blue.say("QuoteRequest", "bob", target=copy, quote=mine.id))
    accept = scene.blue.received("Accept")[-1]
    theirs = scene.red.received("Post")[-1]
    assert theirs.quote == post.id
    for _ in range(2):
        await scene.bridge.hear(scene.red.say("Approve", "alice", target=theirs.id, proof=""))
    (ended,) = scene.blue.received("Delete")
    assert (ended.by, ended.target) == (scene.alice_there, accept.id)


async def test_expired_post_is_deleted_where_it_was_copied(scene: Scene) -> None:
    post = scene.red.post("alice", "for an hour", expires=scene.bridge.clock() + 3600)
    await scene.bridge.hear(post)
    await scene.bridge.wait(3500)
    assert scene.blue.texts() == ["for an hour"]
    await scene.bridge.wait(200)
    assert scene.blue.texts() == []


async def test_link_to_a_bridged_post_leads_to_its_copy(scene: Scene) -> None:
    first = scene.red.post("alice", "first")
    await scene.bridge.hear(first)
    copy = scene.blue.received("Post")[0].id
    url = f"red://{first.id}"
    await scene.bridge.hear(scene.red.post("alice", f"see {url}", links=(url,)))
    (there,) = scene.blue.received("Post")[-1].links
    assert copy in there


async def test_move_takes_the_ghost_and_its_followers_along(scene: Scene) -> None:
    scene.red.join("alice2", same_as=("alice",))
    ghost = await scene.bridge.ghost(scene.red.ref("alice"), "blue")
    move = scene.red.say("Move", "alice", target="alice2")
    await scene.bridge.hear(move)
    moved = await scene.bridge.ghost(scene.red.ref("alice2"), "blue")
    assert (moved.ref, moved.keyed) == (ghost.ref, scene.red.ref("alice"))
    await scene.bridge.hear(scene.red.post("alice2", "here now"))
    assert scene.blue.texts() == ["here now"]
    assert scene.blue.received("Post")[-1].by == ghost.ref.id
    assert (
        await scene.bridge.read(lambda tx: follows.state_of(tx, scene.blue.ref("bob"), scene.red.ref("alice2")))
        == "live"
    )


async def test_move_to_an_account_that_knows_nothing_of_it_is_dropped(scene: Scene) -> None:
    scene.red.join("mallory")
    move = scene.red.say("Move", "alice", target="mallory")
    await scene.bridge.hear(move)
    assert ("dropped", "move-unproved") in await scene.reasons(scene.red.ref(move.id))
    assert (await scene.bridge.ghost(scene.red.ref("alice"), "blue")).owner == scene.red.ref("alice")


async def test_ghosts_followers_are_sent_on_only_to_who_names_the_ghost(scene: Scene) -> None:
    moves = scene.bridge.bridge.acting.moves
    scene.blue.join("alice_b")
    with pytest.raises(NotProved, match="alias"):
        await moves.out(scene.red.ref("alice"), scene.blue.ref("alice_b"))
    scene.blue.join("alice_b", same_as=(scene.alice_there,))
    await moves.out(scene.red.ref("alice"), scene.blue.ref("alice_b"))
    await scene.bridge.settle()
    assert [(t.by, t.target) for t in scene.blue.received("Move")] == [(scene.alice_there, "alice_b")]


async def test_thread_found_by_its_address_comes_with_its_answers(scene: Scene) -> None:
    first = scene.red.post("rita", "a question")
    answer = scene.red.post("alice", "an answer", target=first.id)
    found = await scene.bridge.hosts["blue"].bring(f"red://{first.id}")
    assert found is not None
    await scene.bridge.settle()
    assert await scene.bridge.copies(scene.red.ref(answer.id), "blue")
    assert (await scene.bridge.hosts["blue"].answers(found, 10))[0] == 1
    assert await scene.bridge.hosts["blue"].bring("red://nothing-here") is None


async def test_what_nobody_reads_is_nothing_however_busy_the_search(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    host: Any = scene.bridge.hosts["blue"]
    monkeypatch.setattr(host._threads, "_searches", asyncio.Semaphore(0))
    assert await host.bring("robots.txt") is None
    with pytest.raises(Unreachable):
        await host.bring("red://rita")


async def test_account_found_by_its_address_gets_its_ghost(scene: Scene) -> None:
    found = await scene.bridge.hosts["blue"].bring("red://rita")
    assert found == (await scene.bridge.ghost(scene.red.ref("rita"), "blue")).ref


async def test_find_reads_what_was_recorded_of_new_acts(scene: Scene) -> None:
    asked, _ = await poll(scene, scene.red, "alice")
    known = await scene.bridge.read(lambda tx: acts.find(tx, scene.red.ref(asked)))
    assert known is not None
    assert known.activity.act.body.poll.options[0].name == "tea"  # type: ignore[union-attr]


async def foreign_copy(scene: Scene) -> tuple[str, str]:
    """(post on red, its copy on blue by another bridge): known to us only by its marks."""
    original = scene.red.post("rita", "the original")
    scene.blue.join("rita_elsewhere", mark="red://rita")
    copy = scene.blue.post("rita_elsewhere", "the original", mark=f"red://{original.id}")
    return original.id, copy.id


async def test_answer_to_another_bridges_copy_is_an_answer_to_the_original(scene: Scene) -> None:
    original, copy = await foreign_copy(scene)
    await scene.bridge.hear(scene.blue.post("bob", "I agree", target=copy))
    assert [(t.text, t.target) for t in scene.red.received("Post")] == [("I agree", original)]


async def test_another_bridges_copy_is_believed_only_of_the_authors_ghost(scene: Scene) -> None:
    original = scene.red.post("rita", "the original")
    scene.blue.join("mallory", mark="red://alice")
    copy = scene.blue.post("mallory", "a forgery", mark=f"red://{original.id}")
    await scene.bridge.hear(scene.blue.post("bob", "I agree", target=copy.id))
    assert [(t.text, t.target) for t in scene.red.received("Post")] == [("I agree", "")]


async def test_copy_of_a_copy_is_never_made(scene: Scene) -> None:
    _, copy = await foreign_copy(scene)
    await scene.bridge.hear(scene.blue.said[copy])
    await scene.bridge.hear(scene.blue.say("Repost", "bob", target=copy))
    assert scene.red.received("Post") == []


async def test_mention_of_another_bridges_ghost_reaches_the_person(scene: Scene) -> None:
    await foreign_copy(scene)
    post = scene.blue.post("bob", "hello rita", mentions=("rita_elsewhere",))
    await scene.bridge.hear(post)
    known = await scene.bridge.read(lambda tx: acts.find(tx, scene.blue.ref(post.id)))
    assert known is not None
    assert known.activity.act.body.mentions == (scene.red.ref("rita"),)  # type: ignore[union-attr]


async def test_report_about_a_post_alone_means_its_author(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "buy now"))
    copy = scene.blue.received("Post")[0].id
    await scene.bridge.hear(scene.blue.say("Report", "bob", target=copy))
    assert [t.target for t in scene.red.received("Report")] == ["alice"]


async def test_second_repost_of_the_same_is_none(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "hello"))
    copy = scene.blue.received("Post")[0].id
    first = scene.blue.say("Repost", "bob", target=copy)
    await scene.bridge.hear(first, scene.blue.say("Repost", "bob", target=copy))
    assert len(scene.red.received("Repost")) == 1
    await scene.bridge.hear(scene.blue.say("Delete", "bob", target=first.id))
    await scene.bridge.hear(scene.blue.say("Repost", "bob", target=copy))
    assert len(scene.red.received("Repost")) == 2


async def test_edit_of_a_poll_that_brings_only_votes_is_no_edit(scene: Scene) -> None:
    asked, _ = await poll(scene, scene.red, "alice")
    known = await scene.bridge.read(lambda tx: acts.find(tx, scene.red.ref(asked)))
    assert known is not None
    body = known.activity.act.body  # type: ignore[union-attr]
    options = tuple(replace(o, votes=7) for o in body.poll.options)
    again = replace(body, poll=replace(body.poll, options=options))
    for number, said in enumerate((again, replace(again, text=Text("what now?")))):
        edit = Activity(scene.red.ref(f"edit{number}"), body.author, body.at + 5, Edit(said))
        units = await scene.bridge.bridge.acting.plan(edit, scene.bridge.clock(), "test", attempt=0)
        await scene.bridge.write(lambda tx, units=units: [unit(tx) for unit in units])
    await scene.bridge.settle()
    assert [t.text for t in scene.blue.received("Edit")] == ["what now?"]


async def test_what_an_account_said_lately_is_heard_once_somebody_follows(bridge_of: Any) -> None:
    red, blue = FakeNetwork("red", hearing="push"), FakeNetwork("blue")
    red.join("alice")
    blue.join("bob")
    red.post("alice", "yesterday", at=red.now - 86400)
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    assert blue.texts() == ["yesterday"]


async def test_what_is_said_before_the_bridge_listens_is_heard_all_the_same(bridge_of: Any) -> None:
    """Whom to listen for is read anew a moment after it has changed; what is pushed until then is dropped."""
    red, blue = FakeNetwork("red", hearing="push"), FakeNetwork("blue")
    red.join("alice")
    blue.join("bob")
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id), settle=False)
    await bridge.decide()
    red.post("alice", "in between")
    await bridge.wait(1)
    assert blue.texts() == ["in between"]


async def test_followers_do_not_hear_that_a_like_or_block_is_taken_back(bridge_of: Any) -> None:
    red, blue = FakeNetwork("red"), FakeNetwork("blue", hub=False)
    red.join("alice")
    blue.join("bob", "ben")
    bridge = await bridge_of(red, blue)
    alice = (await bridge.ghost(red.ref("alice"), "blue")).ref.id
    ben = (await bridge.ghost(blue.ref("ben"), "red")).ref.id
    await bridge.hear(blue.say("Follow", "bob", target=alice))
    await bridge.hear(blue.post("ben", "hello alice", mentions=(alice,)))
    like = red.say("React", "alice", target=red.received("Post")[-1].id)
    block = red.say("Block", "alice", target=ben)
    await bridge.hear(like, red.say("Delete", "alice", target=like.id))
    await bridge.hear(block, red.say("Delete", "alice", target=block.id))
    assert len(blue.received("Delete", "inbox:ben")) == 2
    assert blue.received("Delete", "inbox:bob") == []


async def test_what_stands_of_an_account_is_what_it_has_not_taken_back(scene: Scene) -> None:
    kept, gone = scene.blue.post("bob", "kept"), scene.blue.post("bob", "gone")
    await scene.bridge.hear(kept, gone)
    host = scene.bridge.hosts["blue"]
    bob = scene.blue.ref("bob")
    assert await host.standing(bob, ("Post",), 10) == {scene.blue.ref(kept.id), scene.blue.ref(gone.id)}
    assert await host.standing(bob, ("Post",), 1) == {scene.blue.ref(gone.id)}
    await scene.bridge.hear(scene.blue.say("Delete", "bob", target=gone.id))
    assert await host.standing(bob, ("Post",), 10) == {scene.blue.ref(kept.id)}
    assert scene.blue.ref(kept.id) not in await host.standing(bob, ("React", "Follow"), 10)
