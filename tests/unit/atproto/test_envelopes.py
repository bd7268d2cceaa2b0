"""Envelopes: what goes in comes out, the same thing heard twice is one, and strange bytes are refused."""

from dataclasses import replace

import pytest

from adapters.atproto.envelopes import (
    MAX_BODY,
    Change,
    Person,
    Standing,
    account_envelope,
    identity_envelope,
    read_change,
    read_person,
    read_standing,
    record_envelope,
)
from bridged.api import Malformed

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
POST = Change(
    DID,
    "app.bsky.feed.post",
    "3l3qyaaaaaa2a",
    "create",
    cid="bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    rev="3l3qyaaaaab2a",
    record={"$type": "app.bsky.feed.post", "text": "é\0", "createdAt": "2026-09-21T14:00:00Z"},
    handle="alice.example",
    pds="https://pds.example",
)


def test_change_is_read_as_it_was_made() -> None:
    assert read_change(record_envelope(POST, 1.0)) == POST


def test_person_and_standing_are_read_as_they_were_made() -> None:
    person = Person(DID, "alice.example", "https://pds.example", {"displayName": "Alice"})
    standing = Standing(DID, active=False, status="deactivated")
    assert read_person(identity_envelope(person, 1.0)) == person
    assert read_standing(account_envelope(standing, 1.0)) == standing


def test_record_heard_and_fetched_is_one_envelope() -> None:
    fetched = Change(DID, POST.collection, POST.rkey, "create", cid=POST.cid, record=POST.record)
    assert record_envelope(fetched, 9.0).id == record_envelope(POST, 1.0).id


def test_record_put_back_as_it_was_is_another_envelope() -> None:
    first = Change(DID, POST.collection, POST.rkey, "update", cid=POST.cid, rev="3l3qyaaaaac2a", record={})
    again = Change(DID, POST.collection, POST.rkey, "update", cid=POST.cid, rev="3l3qyaaaaad2a", record={})
    gone = Change(DID, POST.collection, POST.rkey, "delete", rev="3l3qyaaaaae2a")
    ids = {record_envelope(each, 1.0).id for each in (POST, first, again, gone)}
    assert len(ids) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"did": 1}',
        b'{"did": "did:plc:a", "collection": "a.b.c", "rkey": "x", "operation": "burn"}',
        b"[" * 100_000,
        b" " * (MAX_BODY + 1),
    ],
)
def test_strange_bytes_are_malformed(body: bytes) -> None:
    envelope = replace(record_envelope(POST, 1.0), body=body)
    with pytest.raises(Malformed, match="envelope"):
        read_change(envelope)


def test_body_of_somebody_else_is_malformed() -> None:
    other = record_envelope(POST, 1.0).body.replace(DID.encode(), b"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    with pytest.raises(Malformed, match="signer"):
        read_change(replace(record_envelope(POST, 1.0), body=other))
