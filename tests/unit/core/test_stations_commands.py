"""What people write to the bot, and what it answers, through the three stations, on both databases."""

from typing import Any

import pytest
from sqlalchemy import text

from bridged.adapter import Rejected
from bridged.commands import command
from bridged.consent import ENDED, leave
from bridged.model import Ref, Span, Text
from bridged.store import acts, identity
from bridged.testing import FakeNetwork, Harness
from bridged.testing.network import ACTS


@pytest.fixture
def red() -> FakeNetwork:
    red = FakeNetwork("red", follows="request", hearing="push", hub=False)
    red.join("alice", "rita")
    return red


@pytest.fixture
def blue() -> FakeNetwork:
    blue = FakeNetwork("blue")
    blue.join("bob", "ben")
    return blue


async def _bridge(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, **settings: Any) -> Harness:
    return await bridge_of(red, blue, **{"consent": {"red": "opt-in", "blue": "open"}, **settings})


async def _write(bridge: Harness, network: FakeNetwork, who: str, text: str, **values: Any) -> str:
    """The answer to one message; "" for none."""
    before = len(network.messages(who))
    bot = (await bridge.bot(network.name)).ref.id
    await bridge.hear(network.say("Message", who, text=text, **{"mentions": (bot,), **values}))
    return "\n".join(network.messages(who)[before:])


async def _standing(bridge: Harness, ref: Ref) -> tuple[str | None, str | None]:
    return await bridge.read(lambda tx: (identity.standing(tx, ref), identity.decided_by(tx, ref)))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("start", "start"),
        ("  /Start!", "start"),
        ("@bridge@bridge.test STOP please", "stop"),
        ("«status»?", "status"),
        ("", "help"),
        ("@bridge", "help"),
        ("...", "help"),
        ("x" * 500, "x" * 30),
    ],
)
def test_command_is_the_first_word(text: str, word: str) -> None:
    assert command(Text(text)) == word


def test_mention_is_no_command() -> None:
    assert command(Text("the bridge stop", (Span(0, 10, "mention", Ref("red", "bot")),))) == "stop"


async def test_start_makes_a_member_and_stop_deletes_all(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    said = await _write(bridge, red, "alice", "start")
    assert "bridged from now on" in said
    assert "blue" in said
    await bridge.hear(red.post("alice", "hello"))
    assert blue.texts() == ["hello"]
    assert "already" in await _write(bridge, red, "alice", "start")
    assert "no longer" in await _write(bridge, red, "alice", "stop")
    assert blue.texts() == []
    assert await _standing(bridge, red.ref("alice")) == ("out", "person")
    assert await bridge.read(lambda tx: identity.ghosts_of(tx, red.ref("alice"))) == []
    assert "bridged from now on" in await _write(bridge, red, "alice", "start")
    await bridge.hear(red.post("alice", "back"))
    assert blue.texts() == ["back"]


async def test_stranger_may_say_stop_beforehand(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    assert "no longer" in await _write(bridge, blue, "bob", "stop")
    assert await bridge.bridge.ghosts.lookup("bob", "red") is None


async def test_answer_goes_to_the_sender_alone_and_nothing_is_kept_of_the_message(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    bot = (await bridge.bot("red")).ref.id
    message = red.say("Message", "alice", text="help, I have a secret", mentions=(bot, "rita"))
    await bridge.hear(message)
    assert len(red.messages("alice")) == 1
    assert red.messages("rita") == []
    assert {where for where, t in red.sent if t.kind == "Message"} == {"inbox:alice"}
    assert blue.received("Message") == []
    known = await bridge.read(lambda tx: acts.find(tx, red.ref(message.id)))
    assert known is not None
    assert "secret" not in str(known)


async def test_same_message_is_answered_once(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    message = red.say("Message", "alice", text="help", mentions=((await bridge.bot("red")).ref.id,))
    await bridge.hear(message)
    await bridge.hear(message)
    assert len(red.messages("alice")) == 1


async def test_message_to_others_is_dropped(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    ghost = await bridge.ghost(blue.ref("bob"), "red")
    message = red.say("Message", "alice", text="psst", mentions=(ghost.ref.id,))
    await bridge.hear(message)
    assert blue.received("Message") == []
    assert red.received("Message") == []
    assert await bridge.read(lambda tx: acts.find(tx, red.ref(message.id))) is None
    assert 'reason="not-public"' in bridge.core.metrics.render().decode()


async def test_unknown_word_gets_help(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    said = await _write(bridge, red, "alice", "make me a sandwich")
    assert "“make”" in said
    assert all(word in said for word in ("start", "stop", "status", "help", "#nobridge"))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("refuses", "#nobridge"),
        ("listed", "not on the list"),
        ("removed", "the operator of bridge.test has removed"),
        ("ended", "cannot be any more: the operator of bridge.test has ended"),
    ],
)
async def test_start_is_refused_with_the_reason(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, case: str, said: str
) -> None:
    bridge = await _bridge(bridge_of, red, blue, consent={"red": "listed" if case == "listed" else "opt-in"})
    if case == "refuses":
        red.change("alice", refuses="#nobridge")
    if case in ("removed", "ended"):
        by = "operator" if case == "removed" else ENDED
        await bridge.write(lambda tx: leave(bridge.core, tx, red.ref("alice"), by))
    assert said in await _write(bridge, red, "alice", "start")
    assert (await _standing(bridge, red.ref("alice")))[0] != "in"


@pytest.mark.parametrize("by", ["operator", ENDED])
async def test_stop_does_not_undo_what_the_operator_decided(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, by: str
) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    await bridge.write(lambda tx: leave(bridge.core, tx, red.ref("alice"), by))
    await _write(bridge, red, "alice", "stop")
    assert "operator" in await _write(bridge, red, "alice", "start")
    assert await _standing(bridge, red.ref("alice")) == ("out", by)


@pytest.mark.parametrize("before", ["bridged", "left"])
async def test_who_is_ended_for_good_says_so_on_every_network_once(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, before: str
) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    await _write(bridge, red, "alice", "start")
    if before == "left":
        await _write(bridge, red, "alice", "stop")
    ghost = await bridge.read(lambda tx: identity.last_ghost(tx, red.ref("alice"), "blue"))
    assert ghost is not None
    told = len(blue.received("Delete"))
    await bridge.write(lambda tx: leave(bridge.core, tx, red.ref("alice"), ENDED))
    await bridge.settle()
    said = [(t.target, t.text) for t in blue.received("Delete")[told:]]
    assert said == [(ghost.ref.id, "")] * (before == "bridged") + [(ghost.ref.id, "for good")]
    assert await bridge.read(lambda tx: identity.ghost_at(tx, ghost.ref)) == (ghost, "gone")


async def test_status_tells_of_ghosts_followers_and_deliveries(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    assert "not bridged" in await _write(bridge, red, "alice", "status")
    await _write(bridge, red, "alice", "start")
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    for who in ("bob", "ben"):
        await bridge.hear(blue.say("Follow", who, target=ghost.ref.id))
    for asked in red.received("Follow", "inbox:alice"):
        await bridge.hear(red.say("Accept", "alice", target=asked.id))
    blue.broken["hub"] = Rejected("the hub is full")
    await bridge.hear(red.post("alice", "lost"))
    said = await _write(bridge, red, "alice", "status")
    assert "You are bridged since 2026-" in said
    assert f"{ghost.handle}@bridge.test" in said
    assert "followed by 2" in said
    assert "failed in the last week: 1, most often because: the hub is full" in said


async def test_status_of_somebody_bridged_unasked_says_so(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    await bridge.ghost(blue.ref("bob"), "red")
    said = await _write(bridge, blue, "bob", "status")
    assert "the rule here for everybody" in said
    assert "On red you are" in said


async def test_answers_are_limited_but_what_is_asked_is_done(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    for _ in range(13):
        await _write(bridge, red, "alice", "help")
    assert len(red.messages("alice")) == 10
    await _write(bridge, red, "alice", "start")
    assert len(red.messages("alice")) == 10
    assert await _standing(bridge, red.ref("alice")) == ("in", "person")
    assert await _write(bridge, red, "rita", "help")
    bridge.clock.move(3600)
    assert await _write(bridge, red, "alice", "help")
    assert 'reason="too-many-messages"' in bridge.core.metrics.render().decode()


async def test_bots_get_no_answer(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    red.change("rita", bot=True)
    bridge = await _bridge(bridge_of, red, blue)
    assert await _write(bridge, red, "rita", "start") == ""
    assert await _standing(bridge, red.ref("rita")) == (None, None)


async def test_network_without_messages_gets_none(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    red.acts = ACTS - {"Message"}
    bridge = await _bridge(bridge_of, red, blue)
    assert await _write(bridge, red, "alice", "start") == ""
    assert await _standing(bridge, red.ref("alice")) == ("in", "person")


async def test_digest_comes_as_a_message_where_there_are_any(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _bridge(
        bridge_of, red, blue, consent={"red": "opt-in", "blue": "opt-in"}, answers={"blue": "digest"}
    )
    await _write(bridge, red, "alice", "start")
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.post("ben", "a question", mentions=(ghost.ref.id,)))
    before = len(red.messages("alice"))
    await bridge.wait(3600)
    (told,) = red.messages("alice")[before:]
    assert "once" in told
    assert red.texts() == []


async def test_words_to_the_bot_are_kept_nowhere_once_answered(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _bridge(bridge_of, red, blue)
    await _write(bridge, red, "alice", "status my secret diagnosis")

    def kept(tx: Any) -> list[bytes]:
        return [bytes(r.body) for table in ("inbox", "acts") for r in tx.execute(text(f"SELECT body FROM {table}"))]

    assert not any(b"diagnosis" in body for body in await bridge.read(kept))
