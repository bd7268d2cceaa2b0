"""Requests that say nothing anybody could trust: bodies of other kinds, keys of nobody, bytes that are two requests."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.activitypub.fake import rsa_key

from .kit.fediverse import AS2
from .kit.scene import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("requests")) as made:
        yield made


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        ("Content-Type", "text/html", "content_type"),
        ("Content-Type", "application/json", "content_type"),
        ("Content-Encoding", "gzip", "encoded_body"),
        ("Content-Encoding", "identity, deflate", "encoded_body"),
    ],
)
async def test_body_of_another_kind_is_refused(here: Scene, header: str, value: str, reason: str) -> None:
    body = json.dumps(here.alice.create("another kind")).encode()
    async with here.refuses(reason):
        assert await here.post(body, {**here.alice.signed(here.inbox, body), header: value}) == 415


KEYS_OF_ANOTHER = {
    "owned_by_another": lambda who, alice: who.show(
        publicKey={"id": who.key_id, "owner": alice.id, "publicKeyPem": who.key.public_pem}
    ),
    "actor_calls_itself_another": lambda who, alice: who.show(id=alice.id),
    "no_key": lambda who, alice: who.show(publicKey=None),
    "rsa_of_512_bits": lambda who, alice: who.show(
        publicKey={"id": who.key_id, "owner": who.id, "publicKeyPem": SHORT_KEY}
    ),
    "pem_of_a_megabyte": lambda who, alice: who.show(
        publicKey={"id": who.key_id, "owner": who.id, "publicKeyPem": who.key.public_pem + "A" * 900_000}
    ),
}
SHORT_KEY = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf
9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize("how", KEYS_OF_ANOTHER)
async def test_key_that_is_not_its_owners_is_none(here: Scene, how: str) -> None:
    who = here.other.actor(f"forger_{how}", rsa_key("mallory"))
    KEYS_OF_ANOTHER[how](who, here.alice)
    async with here.refuses("unknown_key", "signature_key_unsupported"):
        assert await who.send(who.follow(here.nora), here.inbox) == 401
    looks = [got for got in here.other.got if got.path == who.id.removeprefix(here.other.base)]
    async with here.refuses("unknown_key", "signature_key_unsupported"):
        assert await who.send(who.follow(here.nora), here.inbox) == 401
    assert len(looks) == 1, "a look counts for a minute"


SMUGGLED = {
    "length_and_chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked_twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked_by_another_name": b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
    "two_lengths": b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "length_with_a_sign": b"Content-Length: +2\r\n\r\n{}",
    "length_below_zero": b"Content-Length: -1\r\n\r\n{}",
    "folded_header": b"Content-Length: 2\r\nX-A: b\r\n c\r\n\r\n{}",
    "blank_before_colon": b"Content-Length : 2\r\n\r\n{}",
    "nul_in_header": b"Content-Length: 2\r\nX-A: \0\r\n\r\n{}",
    "header_of_64_kib": b"Content-Length: 2\r\nSignature: " + b"a" * (1 << 16) + b"\r\n\r\n{}",
    "packed_by_what_we_lack": b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
    "chunk_size_garbage": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("how", SMUGGLED)
async def test_request_that_can_be_read_two_ways_is_not_read(here: Scene, how: str) -> None:
    """The web server itself says no; nothing that follows in the same bytes is taken for a request."""
    start = f"POST /inbox HTTP/1.1\r\nHost: {here.daemon.domain}\r\nContent-Type: {AS2}\r\n".encode()
    hidden = f"GET /smuggled HTTP/1.1\r\nHost: {here.daemon.domain}\r\nConnection: close\r\n\r\n".encode()
    await here.settled()
    before = await here.counts(), await here.daemon.metric("bridged_refused_total", network="web", reason="bad_http")
    answered = await here.raw(start + SMUGGLED[how] + hidden, wait=1.0)
    assert answered.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answered[:200]
    assert answered.count(b"HTTP/1.") == 1, answered
    assert await here.counts() == before[0]
    assert await here.daemon.metric("bridged_refused_total", network="web", reason="bad_http") == before[1] + 1
    await here.good()
