"""CAR files and commits: fixtures, repositories as others exported them, and files that lie."""

import json
from base64 import b64decode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import cbor, crypto
from adapters.atproto.cid import RAW, Cid
from adapters.atproto.crypto import SigningKey
from adapters.atproto.repo import car, commit, mst
from adapters.atproto.repo.commit import Commit
from adapters.atproto.repo.mst import Nodes
from bridged.api import Malformed
from tests.vectors import vectors

LIMIT = 1 << 20
KEY = SigningKey(bytes(31) + b"\x01")
DID = "did:plc:7iza6de2dwap2sbkpav7c6c6"
REV = "3jzfcijpj2z2a"
ROOT = Cid.of(b"\xa0")


def at(*path: str) -> bytes:
    return (vectors() / "atproto").joinpath(*path).read_bytes()


def raw(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))


def test_car_fixtures_are_written_and_read_as_published():
    cases = json.loads(at("repo-fixtures", "car-file-fixtures.json"))
    for case in cases:
        blocks = {Cid.parse(block["cid"]): raw(block["bytes"]) for block in case["blocks"]}
        data = raw(case["car"])
        assert car.write(Cid.parse(case["root"]), blocks.items()) == data
        assert car.read(data, LIMIT) == (Cid.parse(case["root"]), blocks)
    assert cases


@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from([0x71, RAW]))
def test_car_reads_back(items: list[bytes], codec: int):
    blocks = {Cid.of(item, codec): item for item in items}
    assert car.read(car.write(ROOT, blocks.items()), LIMIT) == (ROOT, blocks)


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data: bytes):
    for start in (b"", car.header(ROOT)):
        with suppress(Malformed):
            car.read(start + data, LIMIT)


WRONG = car.section(ROOT, b"not this")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "car"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "car"),
        (b"\x80\x00", "car"),
        (b"\x01\xf6", "car"),
        (car.header(ROOT)[:-1], "cbor"),
        (car.header(ROOT) + WRONG, "cid"),
        (car.header(ROOT) + b"\x01", "car"),
        (car.header(ROOT) + b"\x26" + bytes(38), "cid"),
        (car.header(ROOT) + car.section(ROOT, b"\xa0")[:-1], "car"),
        (car.header(ROOT) + b"\xff\xff\xff\xff\x01" + bytes(100), "car"),
        (car.header(ROOT) + b"\xa5\x80\x00", "car"),
    ],
)
def test_file_that_lies_is_refused(data: bytes, reason: str):
    with pytest.raises(Malformed, match=reason):
        car.read(data, LIMIT)


@pytest.mark.parametrize(
    "head",
    [{"version": 2, "roots": [ROOT]}, {"version": 1, "roots": []}, {"version": 1}, [], {"version": 1, "roots": [1]}],
)
def test_header_of_another_kind_is_refused(head: Any):
    spelled = cbor.encode(head)
    with pytest.raises(Malformed, match="car"):
        car.read(bytes([len(spelled)]) + spelled, LIMIT)


def test_file_is_bounded():
    data = car.write(ROOT, [(Cid.of(bytes([n])), bytes([n])) for n in range(5)])
    with pytest.raises(Malformed, match="size"):
        car.read(data, len(data) - 1)
    with pytest.raises(Malformed, match="car"):
        car.read(data, LIMIT, max_blocks=4)


def test_exported_repository_is_read_whole_and_its_signature_holds():
    root, blocks = car.read(at("repo-cars", "greenground.repo.car"), LIMIT)
    found = commit.read(blocks[root])
    assert found.did == "did:plc:kzcqyc3unb33eh5sxzsfs25z"
    assert found.block() == blocks[root]
    method = json.loads(at("repo-cars", "greenground.didDoc.json"))["verificationMethod"][0]
    assert found.signed_by(crypto.parse_legacy_key(method["type"], method["publicKeyMultibase"]))
    nodes = Nodes(blocks.get)
    records = dict(mst.walk(nodes, nodes.node(found.data, None)))
    assert list(records) == ["app.bsky.graph.follow/3k5rgfiifs42u", "app.bsky.graph.follow/3k5vze25v5a26"]
    assert nodes.write(mst.build(nodes, records), {}) == found.data


@pytest.mark.parametrize("name", ["divy.repo", "repo_slice.car"])
def test_repositories_of_version_2_are_refused(name: str):
    root, blocks = car.read(at("repo-cars", name), LIMIT)
    with pytest.raises(Malformed, match="commit"):
        commit.read(blocks[root])


@pytest.mark.parametrize("name", ["feedpost_record.cbor", "post_richtext_link.cbor"])
def test_records_of_others_are_spelled_as_ours(name: str):
    data = at("repo-cars", name)
    assert cbor.encode(cbor.decode(data)) == data


def test_commit_is_signed_and_read_back():
    made = commit.sign(KEY, DID, REV, ROOT)
    assert commit.read(made.block()) == made
    assert made.signed_by(KEY.public)
    assert made == commit.sign(KEY, DID, REV, ROOT)
    assert not made.signed_by(SigningKey(bytes(31) + b"\x02").public)
    assert not Commit(DID, REV, Cid.of(b"other"), made.sig).signed_by(KEY.public)
    fields = cbor.decode(made.block())
    assert fields["prev"] is None
    assert "prev" in fields
    assert fields["version"] == 3


def test_commit_whose_signature_looks_like_a_link_is_read_back():
    sig = b"\x01\x71\x12\x20" + bytes(range(60))
    made = Commit(DID, REV, ROOT, sig)
    assert commit.read(made.block()) == made


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"did": "did:x"},
        {"did": None},
        {"rev": "now"},
        {"data": "text"},
        {"data": Cid.of(b"x", RAW)},
        {"sig": bytes(63)},
        {"sig": Cid.of(b"x")},
        {"prev": 1},
        {"more": 1},
    ],
)
def test_commit_of_another_kind_is_refused(change: dict[str, Any]):
    fields = cbor.decode(commit.sign(KEY, DID, REV, ROOT).block())
    with pytest.raises(Malformed, match="commit"):
        commit.read(cbor.encode({**fields, **change}))


@pytest.mark.parametrize("gone", ["did", "rev", "data", "sig", "prev", "version"])
def test_commit_without_a_field_is_refused(gone: str):
    fields = cbor.decode(commit.sign(KEY, DID, REV, ROOT).block())
    del fields[gone]
    with pytest.raises(Malformed, match="commit"):
        commit.read(cbor.encode(fields))
    assert crypto.SIGNATURE_SIZE == 64
