"""Threadgates and postgates of people there: what they mean, and which of them are listened for."""

from typing import Any

import pytest

from adapters.atproto import ids
from adapters.atproto.decode import decode
from adapters.atproto.envelopes import Change, record_envelope
from adapters.atproto.gates import MAX_DETACHED, read_gate
from adapters.atproto.wanted import Wanted
from bridged.api import Approve, Circle, Gate, Heard, Malformed

ANNA = f"did:plc:{'a' * 24}"
POST = ids.record_ref(ANNA, ids.POST, "3lpost2222222")
CID = "bafyreia2cqqulowdwhwul23ptnanfxwpu3w24pfsgh27rq7f7uk3jnmhp4"
QUOTING = f"at://did:plc:{'b' * 24}/{ids.POST}/3lquote222222"


@pytest.mark.parametrize(
    ("record", "circles"),
    [
        (None, None),
        ({}, None),
        ({"allow": None}, None),
        ({"allow": "all"}, None),
        ({"allow": []}, ()),
        ({"allow": [{"$type": f"{ids.THREADGATE}#followingRule"}]}, ("followed",)),
        ({"allow": [{"$type": f"{ids.THREADGATE}#mentionRule"}] * 2}, ("mentioned",)),
        ({"allow": [{"$type": f"{ids.THREADGATE}#listRule", "list": "at://x"}]}, ()),
        ({"allow": [7, None, {"$type": ["x"]}, {"$type": f"{ids.THREADGATE}#followerRule"}]}, ("followers",)),
    ],
)
def test_threadgate_says_who_may_answer(record: dict[str, Any] | None, circles: tuple[Circle, ...] | None) -> None:
    assert read_gate(ids.THREADGATE, POST, record) == (Gate(POST, "answers", circles), ())


@pytest.mark.parametrize(
    ("record", "circles"),
    [
        (None, None),
        ({"embeddingRules": []}, None),
        ({"embeddingRules": "none"}, None),
        ({"embeddingRules": [{"$type": f"{ids.POSTGATE}#someLaterRule"}, 1]}, None),
        ({"embeddingRules": [{"$type": f"{ids.POSTGATE}#disableRule"}]}, ()),
    ],
)
def test_postgate_says_whether_others_may_quote(
    record: dict[str, Any] | None, circles: tuple[Circle, ...] | None
) -> None:
    assert read_gate(ids.POSTGATE, POST, record) == (Gate(POST, "quotes", circles), ())


def test_postgate_takes_the_post_out_of_quotes_once_each() -> None:
    many = [QUOTING, QUOTING, 7, "https://elsewhere.example", f"at://{ANNA}/{ids.LIKE}/3lquote222222"]
    assert read_gate(ids.POSTGATE, POST, {"detachedEmbeddingUris": many})[1] == (QUOTING,)
    uris = [f"{QUOTING[:-2]}{n:02}" for n in range(MAX_DETACHED + 1)]
    assert len(read_gate(ids.POSTGATE, POST, {"detachedEmbeddingUris": uris})[1]) == MAX_DETACHED


def change(operation: Any = "create", **record: Any) -> Change:
    said = {"$type": ids.POSTGATE, "post": POST.id, **record}
    gone = operation == "delete"
    return Change(
        ANNA, ids.POSTGATE, "3lpost2222222", operation, "" if gone else CID, "3lrev22222222", None if gone else said
    )


def test_gate_and_what_it_detaches_are_acts_of_their_own() -> None:
    gate, ended = decode(record_envelope(change(detachedEmbeddingUris=[QUOTING]), 9.0))
    assert gate.act == Gate(POST, "quotes", None)
    assert ended.act == Approve(ids.record_ref(f"did:plc:{'b' * 24}", ids.POST, "3lquote222222"), "")
    assert gate.at == ended.at
    assert gate.ref != ended.ref


def test_gate_that_is_deleted_lets_everybody() -> None:
    (gate,) = decode(record_envelope(change("delete"), 9.0))
    assert gate.act == Gate(POST, "quotes", None)


@pytest.mark.parametrize(
    "record", [{"post": f"{POST.id[:-1]}3"}, {"post": f"at://did:plc:{'b' * 24}/{ids.POST}/3lpost2222222"}, {"post": 7}]
)
def test_gate_of_another_post_than_its_key_names_is_malformed(record: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        decode(record_envelope(change(**record), 9.0))


@pytest.mark.parametrize("collection", [ids.THREADGATE, ids.POSTGATE])
@pytest.mark.parametrize(
    ("full", "known", "wanted"), [({ANNA}, set(), True), (set(), {ANNA}, True), (set(), set(), False)]
)
def test_gates_are_heard_of_those_whose_posts_are_elsewhere(
    collection: str, full: set[str], known: set[str], wanted: bool
) -> None:
    heard = Wanted(Heard(full=frozenset(full), known=frozenset(known), ghosts=frozenset({"did:plc:ghost"})))
    assert heard.wants(ANNA, collection, "create", {"post": POST.id}) is wanted
