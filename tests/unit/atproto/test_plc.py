"""did:plc operations and logs."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import constraints, plc
from adapters.atproto.crypto import SigningKey
from adapters.atproto.plc import Entry, Operation, State
from bridged.api import Malformed
from tests.vectors import vectors

HOUR = 3_600_000
OPERATOR, OURS, SIGNING, OTHER = (SigningKey(bytes([n]) * 32) for n in range(1, 5))
VALID = [
    "bnewbold_robocracy",
    "bskyapp",
    "duplicate_rotation_keys",
    "empty_rotation_keys",
    "legacy_dholms",
    "nullification",
    "nullification_at_exactly_72h",
    "nullification_nontrivial",
    "nullified_tombstone",
    "tombstone",
]
INVALID = {
    "nullification_reused_key": "signature",
    "nullification_too_slow": "late",
    "sig_b64_newline": "signature",
    "sig_b64_padding_bits": "signature",
    "sig_b64_padding_chars": "signature",
    "sig_der": "signature",
    "sig_k256_high_s": "signature",
    "sig_p256_high_s": "signature",
    "update_nullified": "order",
    "update_tombstoned": "order",
}


def log_of(kind: str, name: str) -> list[dict[str, Any]]:
    prefix = "log_" if kind == "valid" else "log_invalid_"
    path: Path = vectors() / "atproto" / "did-plc" / "audit_log" / kind / f"{prefix}{name}.json"
    return json.loads(path.read_text())


def state(**changes: Any) -> State:
    keys = [OPERATOR.public.did_key(), OURS.public.did_key()]
    made = plc.new(
        signing_key=SIGNING.public.did_key(), rotation_keys=keys, handle="a.bridge.test", pds="https://bridge.test"
    )
    return made.changed(**changes)


def genesis() -> Operation:
    return plc.sign(state(), None, OURS)


def reason(call: Any, *arguments: Any) -> str:
    with pytest.raises(Malformed) as caught:
        call(*arguments)
    return caught.value.reason


@pytest.mark.parametrize("name", VALID)
def test_audit_takes_the_valid_log(name: str) -> None:
    log = log_of("valid", name)
    last = next(entry for entry in reversed(log) if not entry["nullified"])["operation"]
    found = plc.audit(log[0]["did"], log)
    assert found == plc.read(last).state
    assert (found is None) == (last["type"] == "plc_tombstone")


@pytest.mark.parametrize("name", INVALID)
def test_audit_refuses_the_invalid_log(name: str) -> None:
    log = log_of("invalid", name)
    assert reason(plc.audit, log[0]["did"], log) == INVALID[name]


def test_vectors_are_all_tried() -> None:
    folder = vectors() / "atproto" / "did-plc" / "audit_log"
    assert {p.stem for p in (folder / "valid").iterdir()} == {f"log_{name}" for name in VALID}
    assert {p.stem for p in (folder / "invalid").iterdir()} == {f"log_invalid_{name}" for name in INVALID}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda log: log[2].update(nullified=not log[2]["nullified"]), "nullified"),
        (lambda log: log[1].update(cid=log[0]["cid"]), "cid"),
        (lambda log: log[1].update(did="did:plc:" + "a" * 24), "log"),
        (lambda log: log[0]["operation"].update(handle="x.test"), "cid"),
        (lambda log: log[1].update(createdAt="yesterday"), "datetime"),
        (lambda log: log[1].pop("operation"), "operation"),
        (lambda log: log.pop(1), "order"),
        (lambda log: log.clear(), "log"),
        (lambda log: log.extend([log[0]] * plc.MAX_LOG), "log"),
    ],
)
def test_audit_refuses_a_log_that_was_changed(change: Any, why: str) -> None:
    log = log_of("valid", "legacy_dholms")
    did = log[0]["did"]
    change(log)
    assert reason(plc.audit, did, log) == why


def test_sign_makes_the_same_operation_each_time() -> None:
    first = genesis()
    assert genesis() == first
    assert plc.is_did(first.did)
    assert plc.follow(first.did, [], first, 0) == ()
    assert plc.read(json.loads(json.dumps(dict(first.fields)))) == first
    assert first.fields["prev"] is None


def test_follow_refuses_a_first_operation_of_another_did() -> None:
    assert reason(plc.follow, "did:plc:" + "a" * 24, [], genesis(), 0) == "genesis"


def test_follow_refuses_a_first_operation_signed_by_nobody_it_names() -> None:
    stray = plc.sign(state(), None, OTHER)
    assert reason(plc.follow, stray.did, [], stray, 0) == "signature"


def test_follow_takes_a_change_of_each_sort() -> None:
    first = genesis()
    log = [Entry(first, 0)]
    changes: list[dict[str, Any]] = [
        {"handle": "b.bridge.test"},
        {"pds": "https://elsewhere.test"},
        {"rotation_keys": [OTHER.public.did_key()]},
    ]
    for number, change in enumerate(changes, 1):
        last = log[-1].operation
        assert last.state is not None
        after = plc.sign(last.state.changed(**change), last.cid, OURS)
        assert plc.follow(first.did, log, after, number) == ()
        log.append(Entry(after, number))
    final = log[-1].operation.state
    assert final is not None
    assert final.handle == "b.bridge.test"
    assert final.services[plc.PDS].endpoint == "https://elsewhere.test"
    ended = plc.sign(None, log[-1].operation.cid, OTHER)
    assert reason(plc.follow, first.did, log, plc.sign(None, log[-1].operation.cid, OURS), 9) == "signature"
    assert plc.follow(first.did, log, ended, 9) == ()
    assert ended.state is None


def test_changed_handle_keeps_other_names() -> None:
    before = State((), {}, ("https://a.test", "at://old.test", "at://older.test"), {})
    assert before.changed(handle="new.test").also_known_as == ("https://a.test", "at://new.test", "at://older.test")
    assert State((), {}, ("https://a.test",), {}).changed(handle="n.test").also_known_as[0] == "at://n.test"


@pytest.mark.parametrize(("at", "why"), [(72 * HOUR + 1, ""), (72 * HOUR + 2, "late"), (1, "order")])
def test_follow_lets_a_stronger_key_undo_for_72_hours(at: int, why: str) -> None:
    first = genesis()
    stolen = plc.sign(state(handle="thief.test"), first.cid, OURS)
    rescue = plc.sign(state(handle="owner.test"), first.cid, OPERATOR)
    log = [Entry(first, 0), Entry(stolen, 1)]
    if why:
        assert reason(plc.follow, first.did, log, rescue, at) == why
    else:
        assert plc.follow(first.did, log, rescue, at) == (stolen.cid,)


def test_follow_lets_no_weaker_or_equal_key_undo() -> None:
    first = genesis()
    done = plc.sign(state(handle="b.test"), first.cid, OPERATOR)
    for key in (OURS, OPERATOR):
        other = plc.sign(state(handle="c.test"), first.cid, key)
        assert reason(plc.follow, first.did, [Entry(first, 0), Entry(done, 1)], other, 2) == "signature"


def test_follow_takes_nothing_after_what_it_does_not_know() -> None:
    first = genesis()
    stray = plc.sign(state(handle="b.test"), plc.sign(state(handle="c.test"), None, OURS).cid, OURS)
    assert reason(plc.follow, first.did, [Entry(first, 0)], stray, 1) == "order"
    assert reason(plc.follow, first.did, [Entry(first, 0)], first, 1) == "order"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["type", "prev", "sig", "rotationKeys", "verificationMethods", "services", "alsoKnownAs"]))
def test_read_raises_nothing_but_malformed(value: object, field: str) -> None:
    with suppress(Malformed):
        plc.read({**genesis().fields, field: value})
    assert reason(plc.read, value)
    assert reason(plc.read, {**genesis().fields, "more": value})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"alsoKnownAs": ["at://a.test", "at://a.test"]}, "twice"),
        ({"alsoKnownAs": [f"at://{n}.test" for n in range(11)]}, "too_many"),
        ({"alsoKnownAs": ["at://" + "a" * 254]}, "too_long"),
        ({"rotationKeys": ["did:key:zQ3sh"]}, "key"),
        ({"rotationKeys": [OURS.public.did_key()] * 11}, "too_many"),
        ({"verificationMethods": {"atproto": "did:web:a.test"}}, "key"),
        ({"verificationMethods": {"a" * 33: OURS.public.did_key()}}, "too_long"),
        ({"verificationMethods": {"a": "did:key:z" + "1" * 248}}, "key"),
        ({"services": {"x": {"type": "T", "endpoint": "e" * 513}}}, "too_long"),
        ({"services": {"x": {"type": "T" * 257, "endpoint": ""}}}, "too_long"),
        ({"alsoKnownAs": [f"{n}{'é' * 250}" for n in range(9)]}, "size"),
    ],
)
def test_constraints_refuse_what_is_too_much(changes: dict[str, Any], why: str) -> None:
    assert reason(constraints.refuse_unfit, plc.read({**genesis().fields, **changes})) == why


def test_constraints_take_what_we_make_and_unknown_kinds_of_keys() -> None:
    constraints.refuse_unfit(genesis())
    constraints.refuse_unfit(plc.sign(None, genesis().cid, OURS))
    odd = {**genesis().fields, "verificationMethods": {"x": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"}}
    constraints.refuse_unfit(plc.read(odd))


def test_constraints_refuse_the_old_first_operation() -> None:
    old = log_of("valid", "legacy_dholms")[0]["operation"]
    assert reason(constraints.refuse_unfit, plc.read(old)) == "operation"


def test_constraints_count_operations_by_hour_day_and_week() -> None:
    first = genesis()
    constraints.refuse_too_often([Entry(first, 0)] * 9, 1)
    constraints.refuse_too_often([Entry(first, 0)] * 10, HOUR)
    assert reason(constraints.refuse_too_often, [Entry(first, 0)] * 10, HOUR - 1) == "rate"
    assert reason(constraints.refuse_too_often, [Entry(first, 0)] * 30, 24 * HOUR - 1) == "rate"
    assert reason(constraints.refuse_too_often, [Entry(first, 0)] * 100, 7 * 24 * HOUR - 1) == "rate"
    constraints.refuse_too_often([Entry(first, 0)] * 100, 7 * 24 * HOUR)
