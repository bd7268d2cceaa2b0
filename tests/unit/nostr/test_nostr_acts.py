"""Polls and votes, lists, reports, messages and zaps: each read and written."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.nostr import ids, messages, nip17, nip19, zaps
from adapters.nostr.decode import decode
from adapters.nostr.encode import ACTS, Draft, Drafts, Letter, encode
from adapters.nostr.event import Event, parse_event, sign, to_json, verify
from adapters.nostr.home import Home
from bridged.api import (
    HOME,
    Account,
    Activity,
    Block,
    BlockList,
    Copy,
    Delete,
    Edit,
    Ghost,
    Malformed,
    Message,
    Move,
    Option,
    Pin,
    PinList,
    Poll,
    Post,
    PostBody,
    Ref,
    Rejected,
    Report,
    Tally,
    Text,
    There,
    View,
    Vote,
    Zap,
)

NOW = 1_700_000_000
SECRET = hashlib.sha256(b"acts").digest()
OTHER = hashlib.sha256(b"other").digest()
KEY, OTHER_KEY = sign(SECRET, 1, 1, [], "").pubkey, sign(OTHER, 1, 1, [], "").pubkey
BOB, CAROL, EVENT = "b0" * 32, "ca" * 32, "11" * 32
PLACE = Home("bridge.test", "wss://bridge.test/relay", ("wss://relay.test",))
ALICE = Ref("activitypub", "https://social.test/alice")
ACCOUNT = Account(ALICE, "alice@social.test", name="Alice", url="https://social.test/@alice")
GHOST = Ghost(ALICE, ids.account_ref(KEY), "alice_at_social.test")
NOTE = Ref("activitypub", "https://social.test/notes/1")
BODY = PostBody(NOTE, ALICE, Text("Tea or coffee?"), NOW, url="https://social.test/@alice/1")
POLL = Poll((Option("Tea", "Tea", 3), Option("Coffee", "Coffee", 1)), ends=NOW + 3600.5)
ACT = Ref("activitypub", "https://social.test/acts/1")
PROXY = ("proxy", ACT.id, "activitypub")


def made(kind: int, *tags: tuple[str, ...], content: str = "", at: int = NOW, secret: bytes = SECRET) -> Event:
    return sign(secret, kind, at, tags, content)


def read(event: Event) -> Any:
    (activity,) = decode(event, channel="wss://relay.test", received_at=NOW + 5)
    return activity.act


def written(act: Any, home: Home = PLACE, actor: Ref = ALICE, **more: Any) -> Drafts:
    activity = Activity(NOTE if isinstance(act, Post) else ACT, actor, NOW, act)
    view = View(**{"at": NOW + 5.0, "actor": GHOST, "account": ACCOUNT, **more})
    found = encode(activity, view, home)
    assert found == encode(activity, view, home)
    return found


def one(act: Any, **more: Any) -> Draft:
    (draft,) = written(act, **more).parts
    assert isinstance(draft, Draft)
    return draft


def there(kind: str, copies: tuple[Copy, ...] = (), **detail: str) -> There:
    return There(NOTE, Ref("nostr", EVENT), ids.account_ref(BOB), detail={"kind": kind, **detail}, parts=copies)


def poll_event(*more: tuple[str, ...], content: str = "Which?") -> Event:
    return made(
        1068, ("option", "a", "One"), ("option", "b", " Two "), ("option", "a", "Twice"), *more, content=content
    )


def test_a_poll_is_a_post_with_options() -> None:
    event = poll_event(("polltype", "multiplechoice"), ("endsAt", str(NOW + 60)), ("relay", "wss://polls.test"))
    body = read(event).body
    assert body.text.plain == "Which?"
    assert body.poll == Poll((Option("a", "One"), Option("b", "Two")), multiple=True, ends=float(NOW + 60))
    assert body.detail["poll_relays"] == "wss://polls.test"


def test_a_poll_is_closed_once_its_end_has_come() -> None:
    assert read(poll_event(("endsAt", str(NOW + 5)))).body.poll.closed
    assert not read(poll_event(("endsAt", "soon"))).body.poll.closed


def test_a_poll_without_options_is_malformed() -> None:
    with pytest.raises(Malformed, match="poll"):
        read(made(1068, ("option", "a"), ("option", "", "x")))


def test_a_vote_names_options_by_id() -> None:
    event = made(1018, ("e", EVENT), ("response", "b"), ("response", "b"), ("response", "a"))
    assert read(event) == Vote(Ref("nostr", EVENT), ("b", "a"))
    for tags in ((("e", EVENT),), (("response", "b"),)):
        with pytest.raises(Malformed):
            read(made(1018, *tags))


def test_a_post_with_a_poll_is_a_poll_whose_options_are_called_by_their_place() -> None:
    draft = one(Post(replace(BODY, poll=POLL)))
    assert (draft.kind, draft.content) == (1068, "Tea or coffee?")
    assert draft.tags[:-2] == (
        ("option", "0", "Tea"),
        ("option", "1", "Coffee"),
        ("relay", "wss://bridge.test/relay"),
        ("relay", "wss://relay.test"),
        ("polltype", "singlechoice"),
        ("endsAt", str(NOW + 3600)),
        ("alt", "Poll: Tea or coffee?\n1. Tea\n2. Coffee"),
    )


def test_a_poll_that_answers_has_its_thread() -> None:
    parent = there("1")
    draft = one(Post(replace(BODY, poll=POLL, reply_to=NOTE)), there={NOTE: parent})
    assert draft.kind == 1068
    assert draft.tags[0] == ("e", EVENT, "wss://relay.test", "root", BOB)


def test_a_closed_poll_is_a_note_with_its_result() -> None:
    draft = one(Post(replace(BODY, poll=replace(POLL, closed=True))))
    assert draft.kind == 1
    assert draft.content == "Tea or coffee?\n\nThis poll has ended:\nTea: 3 (75 %)\nCoffee: 1 (25 %)"


def test_a_poll_keeps_its_votes_over_an_edit() -> None:
    said = one(Post(replace(BODY, poll=POLL)))
    event = sign(SECRET, said.kind, said.at, said.tags, said.content)
    old = Copy(NOTE, "nostr", 0, ids.post_ref(event), to_json(event), detail=said.detail)
    changed = replace(BODY, poll=POLL, text=Text("Tea or cocoa?"))
    found = written(Edit(changed), previous=(old,))
    (draft,) = found.parts
    assert isinstance(draft, Draft)
    assert (draft.of, draft.number, draft.kind) == (NOTE, 1, 1111)
    assert "Tea or cocoa?" in draft.content
    assert ("E", event.id, "wss://bridge.test/relay", KEY) in draft.tags
    assert found.losses


def subject() -> Activity:
    return Activity(NOTE, ALICE, NOW, Post(replace(BODY, poll=Poll((Option("x7", "One"), Option("x8", "Two"))))))


@pytest.mark.parametrize("choice", ["x8", "Two"])
def test_a_vote_is_a_response(choice: str) -> None:
    draft = one(Vote(NOTE, (choice,)), there={NOTE: there("1068", poll_relays="wss://polls.test")}, subject=subject())
    assert (draft.kind, draft.content, draft.secret) == (1018, "", False)
    assert draft.tags == (("e", EVENT, "wss://relay.test"), ("response", "x8"), PROXY)
    assert draft.more == ("wss://polls.test",)


def test_a_vote_in_our_copy_of_a_poll_goes_by_place() -> None:
    copies = (Copy(NOTE, "nostr", 0, Ref("nostr", EVENT), b"{}"),)
    draft = one(Vote(NOTE, ("x8",)), there={NOTE: there("1068", copies)}, subject=subject())
    assert ("response", "1") in draft.tags


def test_a_secret_ballot_says_nothing_of_the_voter() -> None:
    bot = Ref(HOME, "bot")
    found = written(Vote(NOTE, ("x7",)), actor=bot, there={NOTE: there("1068")}, subject=subject())
    (draft,) = found.parts
    assert isinstance(draft, Draft)
    assert draft.secret
    assert draft.tags == (("e", EVENT, "wss://relay.test"), ("response", "x7"))


def test_a_vote_in_what_is_no_poll_here_is_rejected() -> None:
    with pytest.raises(Rejected):
        written(Vote(NOTE, ("x7",)), there={NOTE: there("1")}, subject=subject())


def test_the_result_of_a_closed_poll_is_a_comment() -> None:
    copies = (Copy(NOTE, "nostr", 0, Ref("nostr", EVENT), b"{}"),)
    draft = one(Tally(NOTE, replace(POLL, closed=True)), there={NOTE: there("1068", copies)})
    assert (draft.of, draft.kind) == (ACT, 1111)
    assert draft.content == "The poll has ended:\nTea: 3 (75 %)\nCoffee: 1 (25 %)"
    assert draft.tags[0] == ("E", EVENT, "wss://bridge.test/relay", BOB)
    assert written(Tally(NOTE, POLL), there={NOTE: there("1068", copies)}) == Drafts()
    assert written(Tally(NOTE, replace(POLL, closed=True)), there={NOTE: None}).losses


def test_mutes_and_pins_are_lists() -> None:
    mutes = made(10000, ("p", BOB), ("t", "noise"), ("p", KEY), ("p", "zz"), ("p", CAROL), content="encrypted")
    assert read(mutes) == BlockList((ids.account_ref(BOB), ids.account_ref(CAROL)))
    pins = made(10001, ("e", EVENT), ("e", "x"), ("a", f"30023:{KEY}:d"))
    assert read(pins) == PinList((Ref("nostr", f"30023:{KEY}:d"), Ref("nostr", EVENT)))


def test_a_block_is_said_as_the_whole_list_of_mutes() -> None:
    blocks = (ids.account_ref(BOB), ids.account_ref(CAROL))
    own = (Copy(ALICE, "nostr", 3, Ref("nostr", EVENT), b"", detail={"created_at": str(NOW + 100)}),)
    draft = one(Block(blocks[1]), blocks=blocks, own=own)
    assert (draft.of, draft.number, draft.kind, draft.at) == (ALICE, 3, 10000, NOW + 101)
    assert draft.tags == (("p", BOB), ("p", CAROL), ("proxy", ALICE.id, "activitypub"))
    blocked = Activity(ACT, ALICE, NOW, Block(blocks[1]))
    lifted = one(Delete(ACT), blocks=blocks[:1], subject=blocked)
    assert (lifted.kind, lifted.tags[:-1]) == (10000, (("p", BOB),))


def test_pins_are_said_oldest_first() -> None:
    pins = (Ref("nostr", EVENT), Ref("nostr", f"30023:{KEY}:d"))
    draft = one(Pin(NOTE), pins=pins)
    assert (draft.of, draft.number, draft.kind) == (ALICE, 4, 10001)
    assert draft.tags[:-1] == (("a", f"30023:{KEY}:d"), ("e", EVENT))


def test_a_report_is_read_with_its_reason() -> None:
    event = made(1984, ("e", EVENT, "Spam"), ("p", BOB), content=" look ")
    assert read(event) == Report(ids.account_ref(BOB), (Ref("nostr", EVENT),), "spam", "look")
    assert read(made(1984, ("p", BOB, "boring"))).reason == "other"
    with pytest.raises(Malformed, match="target"):
        read(made(1984, ("e", EVENT, "spam")))


def test_a_report_is_written_without_words_where_the_bot_passes_it_on() -> None:
    act = Report(ids.account_ref(BOB), (NOTE,), "spam", "look")
    draft = one(act, there={NOTE: there("1")})
    assert (draft.kind, draft.content) == (1984, "look")
    assert draft.tags == (("e", EVENT, "spam"), ("p", BOB, "spam"), PROXY)
    quiet = one(act, actor=Ref(HOME, "bot"), there={NOTE: there("1")})
    assert (quiet.content, quiet.tags) == ("", draft.tags[:2])


def test_a_request_to_vanish_takes_the_account_away() -> None:
    assert read(made(62, ("relay", "wss://some.test"))) == Delete(ids.account_ref(KEY))


def test_a_move_shows_in_the_profile() -> None:
    new = Ref("activitypub", "https://new.test/alice")
    draft = written(Move(new), ghosts={new: Ghost(new, ids.account_ref(BOB), "alice_at_new.test")}).parts[0]
    assert isinstance(draft, Draft)
    about = json.loads(draft.content)["about"]
    first = about.partition("\n")[0]
    assert nip19.decode_uri(first.removeprefix("moved to ")) == nip19.Nprofile(BOB, ("wss://bridge.test/relay",))


def test_a_message_is_a_letter_for_each_person_on_their_relays() -> None:
    bob = Account(ids.account_ref(BOB), "npub", detail={"dm": "wss://a.test wss://b.test"})
    act = Message((bob.ref, ids.account_ref(CAROL)), Text("Hello"), Ref("nostr", EVENT))
    first, second = written(act, accounts={bob.ref: bob}).parts
    assert first == Letter(ACT, BOB, "Hello", NOW, EVENT, 0, ("wss://a.test", "wss://b.test"))
    assert second == Letter(ACT, CAROL, "Hello", NOW, EVENT, 1)


def test_a_letter_can_be_read_by_its_addressee_alone() -> None:
    letter = Letter(ACT, OTHER_KEY, "Hello #you", NOW)
    part = messages.sealed(letter, SECRET, b"s" * 32, ("local",))
    assert part == messages.sealed(letter, SECRET, b"s" * 32, ("local",))
    assert b"Hello" not in part.body
    wrap = parse_event(part.body)
    verify(wrap)
    assert part.endpoints == ("local",)
    assert messages.is_for(wrap, OTHER_KEY)
    activity = messages.message_of(wrap, OTHER, OTHER_KEY)
    assert activity.actor == ids.account_ref(KEY)
    assert activity.act == Message((ids.account_ref(OTHER_KEY),), activity.act.text)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r".*"):
        messages.message_of(wrap, SECRET, KEY)


def receipt(*more: tuple[str, ...], invoice: str = "lnbc10u1qqq", **request: Any) -> Event:
    members: dict[str, Any] = {"tags": [("p", BOB), ("e", EVENT), ("amount", "1000000")], "content": "Zap!", **request}
    asked = sign(OTHER, request.get("kind", 9734), NOW, members["tags"], members["content"])
    tags = [("p", BOB), ("e", EVENT), ("bolt11", invoice), ("description", to_json(asked).decode()), *more]
    return made(9735, *tags)


def test_a_zap_is_the_payers() -> None:
    (activity,) = decode(receipt(("P", OTHER_KEY)), channel="", received_at=NOW)
    assert activity.actor == ids.account_ref(OTHER_KEY)
    assert activity.act == Zap(Ref("nostr", EVENT), 1_000_000, "Zap!")


def test_a_zap_of_a_person_is_nothing() -> None:
    request = sign(OTHER, 9734, NOW, [("p", BOB)], "")
    event = made(9735, ("p", BOB), ("bolt11", "lnbc1m1qq"), ("description", to_json(request).decode()))
    assert decode(event, channel="", received_at=NOW) == ()
    assert zaps.receipt_of(event).msats == 10**8


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (receipt(("P", BOB)), "zap_mismatch"),
        (receipt(tags=[("p", CAROL), ("e", EVENT)]), "zap_mismatch"),
        (receipt(tags=[("p", BOB)]), "zap_mismatch"),
        (receipt(tags=[("p", BOB), ("p", CAROL), ("e", EVENT)]), "zap_request"),
        (receipt(kind=1), "zap_request"),
        (receipt(invoice="lnbc20u1qqq"), "zap_amount"),
        (receipt(invoice="lnbc1qqq"), "zap_amount"),
        (made(9735, ("p", BOB)), "zap_request"),
    ],
)
def test_a_receipt_that_contradicts_itself_is_malformed(event: Event, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(event, channel="", received_at=NOW)


def test_a_forged_request_is_malformed() -> None:
    event = receipt()
    tags = [(t[0], t[1].replace("Zap!", "More")) if t[0] == "description" else t for t in event.tags]
    with pytest.raises(Malformed, match="zap_request"):
        decode(made(9735, *tags), channel="", received_at=NOW)


@pytest.mark.parametrize(
    ("invoice", "msats"),
    [
        ("lnbc1qqq", None),
        ("lnbc21qqq", 2 * 10**11),
        ("lnbc1m1qqq", 10**8),
        ("LNBC25U1QQQ", 2_500_000),
        ("lnbc1n1qqq", 100),
        ("lnbc10p1qqq", 1),
        ("lnbc1p1qqq", None),
        ("lnbcrt10u1qqq", 1_000_000),
        ("lnbc01u1qqq", None),
        ("nonsense", None),
        ("lnbc" + "9" * 30 + "1q", None),
    ],
)
def test_an_invoice_says_how_much(invoice: str, msats: int | None) -> None:
    assert zaps.amount(invoice) == msats


def test_a_wallet_is_found_by_its_address_or_its_code() -> None:
    assert zaps.wallet_of({"lud16": "Bob@pay.test"}) == "https://pay.test/.well-known/lnurlp/bob"
    code = nip19._bech32_encode("lnurl", b"https://pay.test/x")  # pyright: ignore[reportPrivateUsage]
    assert zaps.wallet_of({"lud06": code}) == "https://pay.test/x"
    for wrong in ({}, {"lud16": "a@b/c"}, {"lud06": "lnurl1x"}, {"lud16": "a@b@c"}):
        assert zaps.wallet_of(wrong) == ""


def test_a_wallet_says_who_signs() -> None:
    assert zaps.signer_of(json.dumps({"allowsNostr": True, "nostrPubkey": BOB}).encode()) == BOB
    for wrong in (b"", b"[]", b'{"nostrPubkey":"x","allowsNostr":true}', json.dumps({"nostrPubkey": BOB}).encode()):
        assert zaps.signer_of(wrong) == ""


def test_what_is_never_said_here_is_no_act() -> None:
    assert not ACTS & {"Zap", "Accept", "Reject", "Approve", "QuoteRequest", "BlockList", "PinList", "FollowList"}


def test_old_direct_messages_and_drafts_are_nothing() -> None:
    for kind in (4, 30024, 14, 13, nip17.GIFT_WRAP, 10011):
        assert decode(made(kind, ("p", BOB), content="x"), channel="", received_at=NOW) == ()
