"""Who others are: DID documents, handles, and what is remembered of them."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import documents, memory
from adapters.atproto.crypto import PublicKey, SigningKey
from adapters.atproto.documents import Document
from adapters.atproto.identity import INVALID, Resolver, can_be
from adapters.atproto.memory import Memory
from bridged.api import EgressFailed, EgressRefused, Malformed, Response, Unreachable
from bridged.testing.fakehost import FakeHost
from bridged.testing.world import ScriptedHttp
from tests.vectors import vectors

PLC, APPVIEW = "https://plc.test", "https://appview.test"
DID, OTHER = "did:plc:" + "a" * 24, "did:plc:" + "b" * 24
KEY, NEW = (SigningKey(bytes([n]) * 32).public for n in (1, 2))
WELL_KNOWN = "https://alice.test/.well-known/atproto-did"
ASKED = f"{APPVIEW}/xrpc/com.atproto.identity.resolveHandle?handle=alice.test"


def method(**changes: Any) -> dict[str, Any]:
    made = {"id": "#atproto", "type": "Multikey", "controller": DID, "publicKeyMultibase": KEY.multikey()}
    return {"verificationMethod": [made | changes]}


def service(**changes: Any) -> dict[str, Any]:
    made = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.test"}
    return {"service": [5, made | changes]}


def document(**changes: Any) -> bytes:
    return json.dumps({"id": DID, "alsoKnownAs": ["at://alice.test"], **method(), **service(), **changes}).encode()


def http_of(host: FakeHost) -> ScriptedHttp:
    assert isinstance(host.http, ScriptedHttp)
    return host.http


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    http_of(host).serve(f"{PLC}/{DID}", document())
    http_of(host).serve(WELL_KNOWN, f"{DID}\n".encode())
    return host


async def ours(handle: str) -> str | None:
    return OTHER if handle == "bob.bridge.test" else None


def resolver(host: FakeHost, appview: str = APPVIEW) -> Resolver:
    return Resolver(host, PLC, appview, ours)


@pytest.mark.parametrize("name", ["did_plc_doc", "did_plc_doc_legacy"])
def test_read_takes_the_document_vectors_of_did_plc(name: str) -> None:
    body = (vectors() / "atproto" / "identity" / f"{name}.json").read_bytes()
    found = documents.read("did:plc:ewvi7nxzyoun6zhxrhs64oiz", body)
    assert (found.handle, found.pds) == ("atproto.com", "https://bsky.social")
    assert found.key is not None


def test_read_finds_the_same_key_in_both_spellings() -> None:
    folder = vectors() / "atproto" / "identity"
    did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
    new, old = (documents.read(did, (folder / f"did_plc_doc{name}.json").read_bytes()) for name in ("", "_legacy"))
    assert new.key is not None
    assert new.key.multikey() == "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"
    assert old.key is not None
    assert old.key.curve == "k256"


def test_read_takes_the_document_vector_of_did_web() -> None:
    body = (vectors() / "atproto" / "identity" / "did_web_doc.json").read_bytes()
    assert documents.read("did:web:discover.bsky.social", body) == Document("did:web:discover.bsky.social")


@pytest.mark.parametrize(
    ("changes", "handle", "key", "pds"),
    [
        ({"alsoKnownAs": None}, "", KEY, "https://pds.test"),
        ({"alsoKnownAs": ["https://a.test", 5, "at://none", "at://B.test"]}, "b.test", KEY, "https://pds.test"),
        ({"verificationMethod": {}}, "alice.test", None, "https://pds.test"),
        (method(controller=OTHER), "alice.test", None, "https://pds.test"),
        (method(publicKeyMultibase="z111"), "alice.test", None, "https://pds.test"),
        (method(publicKeyMultibase=5), "alice.test", None, "https://pds.test"),
        (method(type="Ed25519"), "alice.test", None, "https://pds.test"),
        (method(id="#other"), "alice.test", None, "https://pds.test"),
        (service(type="Other"), "alice.test", KEY, ""),
        (service(id=f"{DID}#atproto_pds", serviceEndpoint="https://PDS.test/"), "alice.test", KEY, "https://pds.test"),
        (service(serviceEndpoint="http://127.0.0.1:2583"), "alice.test", KEY, "http://127.0.0.1:2583"),
        (service(serviceEndpoint="ftp://pds.test"), "alice.test", KEY, ""),
        (service(serviceEndpoint="https://pds.test/x"), "alice.test", KEY, ""),
        (service(serviceEndpoint="https://user@pds.test"), "alice.test", KEY, ""),
        (service(serviceEndpoint="https://pds.test?x"), "alice.test", KEY, ""),
        (service(serviceEndpoint="https://pds.test\n"), "alice.test", KEY, ""),
        (service(serviceEndpoint=["https://pds.test"]), "alice.test", KEY, ""),
        (service(serviceEndpoint="https://" + "a" * 600), "alice.test", KEY, ""),
    ],
)
def test_read_takes_nothing_odd(changes: dict[str, Any], handle: str, key: PublicKey | None, pds: str) -> None:
    assert documents.read(DID, document(**changes)) == Document(DID, handle, key, pds)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (document(id=OTHER), "did"),
        (b"[]", "did"),
        (b"{", "json"),
        (b"[" * 60_000, "json"),
        (b"\xff", "json"),
        (document(more="x" * 70_000), "size"),
    ],
)
def test_read_refuses_what_is_no_document(body: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        documents.read(DID, body)


@given(st.binary(max_size=200))
def test_read_raises_only_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        documents.read(DID, body)


@pytest.mark.parametrize(
    "did",
    [
        "did:web:alice.test:8080",
        "did:web:alice.test%3A8080",
        "did:web:127.0.0.1",
        "did:web:[::1]",
        "did:web:alice.test:user",
        "did:web:localhost",
        "did:web:metadata.internal",
        "did:web:Alice.test",
        "did:web:",
        "did:plc:" + "a" * 23,
        "did:plc:" + "1" * 24,
        "did:key:zQ3sh",
        "did:web:" + "a." * 600 + "test",
        "alice.test",
    ],
)
async def test_document_connects_to_nobody_for_a_did_that_is_none(host: FakeHost, did: str) -> None:
    assert not can_be(did)
    assert await resolver(host).document(did) is None
    assert await resolver(host).key_again(did) is None
    assert http_of(host).asked == []


async def test_document_of_a_web_did_is_read_at_its_host(host: FakeHost) -> None:
    did = "did:web:alice.test"
    http_of(host).serve("https://alice.test/.well-known/did.json", document(id=did))
    found = await resolver(host).document(did)
    assert found is not None
    assert (found.did, found.pds) == (did, "https://pds.test")


@pytest.mark.parametrize(
    "answer", [EgressRefused("redirects"), Response(404, "", {}, b""), Response(200, "", {}, b"{}")]
)
async def test_document_of_a_web_did_is_none_where_there_is_none(host: FakeHost, answer: Any) -> None:
    http_of(host).pages["https://alice.test/.well-known/did.json"] = answer
    assert await resolver(host).document("did:web:alice.test") is None


async def test_resolve_believes_a_handle_that_leads_back(host: FakeHost) -> None:
    assert await resolver(host).resolve(DID) == Document(DID, "alice.test", KEY, "https://pds.test")
    assert APPVIEW not in "".join(http_of(host).asked)


@pytest.mark.parametrize(
    "answer",
    [OTHER.encode(), b"<html>", b"", b"\xff", f"{DID} x".encode(), EgressFailed("connect"), EgressRefused("address")],
)
async def test_resolve_believes_no_handle_that_does_not(host: FakeHost, answer: Any) -> None:
    http_of(host).pages[WELL_KNOWN] = Response(200, "", {}, answer) if isinstance(answer, bytes) else answer
    for appview in ("", APPVIEW):
        found = await resolver(host, appview).resolve(DID)
        assert found is not None
        assert found.handle == INVALID


async def test_resolve_asks_the_appview_where_the_handle_is_silent(host: FakeHost) -> None:
    for answer in (EgressFailed("connect"), Response(404, "", {}, b""), Response(200, "", {}, b"<html>")):
        http_of(host).pages[WELL_KNOWN] = answer
        http_of(host).serve(ASKED, json.dumps({"did": DID}).encode())
        found = await resolver(host).resolve(DID)
        assert found is not None
        assert found.handle == "alice.test"


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"did":5}', b'{"did":"did:web:127.0.0.1"}', b"{"])
async def test_did_of_takes_nothing_odd_from_the_appview(host: FakeHost, body: bytes) -> None:
    http_of(host).pages.pop(WELL_KNOWN)
    http_of(host).serve(ASKED, body)
    assert await resolver(host).did_of("alice.test") is None


async def test_did_of_tells_no_from_no_answer(host: FakeHost) -> None:
    http_of(host).pages[WELL_KNOWN] = EgressFailed("timeout")
    with pytest.raises(Unreachable):
        await resolver(host, "").did_of("alice.test")
    http_of(host).serve(ASKED, status=400)
    assert await resolver(host).did_of("alice.test") is None
    http_of(host).serve(ASKED, status=502)
    with pytest.raises(Unreachable):
        await resolver(host).did_of("alice.test")
    http_of(host).pages[ASKED] = EgressRefused("address")
    with pytest.raises(Unreachable):
        await resolver(host).did_of("alice.test")


@pytest.mark.parametrize(
    "handle", ["localhost", "a.local", "a.internal", "127.0.0.1", "a b.test", "a.onion", "x/y.test"]
)
async def test_did_of_connects_to_nobody_for_a_handle_that_is_none(host: FakeHost, handle: str) -> None:
    assert await resolver(host).did_of(handle) is None
    assert http_of(host).asked == []


async def test_did_of_asks_ourselves_without_a_request(host: FakeHost) -> None:
    assert await resolver(host).did_of("Bob.bridge.test") == OTHER
    assert await resolver(host).did_of("nobody.bridge.test") is None
    assert http_of(host).asked == []


async def test_resolver_remembers_and_forgets(host: FakeHost) -> None:
    known = resolver(host)
    for _ in range(3):
        await known.resolve(DID)
    assert len(http_of(host).asked) == 2
    known.forget(DID, "alice.test")
    await known.resolve(DID)
    assert len(http_of(host).asked) == 4
    host.at += 7 * 3600
    await known.resolve(DID)
    assert len(http_of(host).asked) == 6


async def test_resolver_does_not_remember_for_long_that_there_was_nothing(host: FakeHost) -> None:
    known = resolver(host)
    assert await known.document(OTHER) is None
    http_of(host).serve(f"{PLC}/{OTHER}", document(id=OTHER))
    assert await known.document(OTHER) is None
    host.at += 301
    assert await known.document(OTHER) is not None


async def test_resolver_uses_what_it_knew_where_there_is_no_answer(host: FakeHost) -> None:
    known = resolver(host)
    before = await known.resolve(DID)
    http_of(host).pages[f"{PLC}/{DID}"] = http_of(host).pages[WELL_KNOWN] = EgressFailed("connect")
    http_of(host).serve(ASKED, status=503)
    host.at += 24 * 3600
    assert await known.resolve(DID) == before
    host.at += 7 * 24 * 3600
    with pytest.raises(Unreachable):
        await known.resolve(DID)


async def test_key_again_looks_once_a_minute(host: FakeHost) -> None:
    known = resolver(host)
    await known.document(DID)
    http_of(host).serve(f"{PLC}/{DID}", document(**method(publicKeyMultibase=NEW.multikey())))
    assert await known.key_again(DID) is None
    host.at += 61
    assert await known.key_again(DID) == NEW
    assert await known.key_again(DID) is None
    found = await known.document(DID)
    assert found is not None
    assert found.key == NEW
    host.at += 61
    http_of(host).pages[f"{PLC}/{DID}"] = EgressFailed("connect")
    with pytest.raises(Unreachable):
        await known.key_again(DID)


async def test_memory_asks_once_for_all_who_wait() -> None:
    asked: list[str] = []
    gate = asyncio.Event()

    async def look(key: str) -> str | None:
        asked.append(key)
        await gate.wait()
        return key

    found = Memory[str](lambda: 0.0, found=10, missing=1)
    waiting = [asyncio.create_task(found.get("a", look)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    gate.set()
    assert await asyncio.gather(*waiting[1:]) == ["a"] * 4
    assert asked == ["a"]


async def test_memory_keeps_no_answer_that_was_forgotten_while_it_came() -> None:
    gate = asyncio.Event()
    answers = iter(["old", "new"])

    async def look(_: str) -> str | None:
        answer = next(answers)
        await gate.wait()
        return answer

    found = Memory[str](lambda: 0.0, found=10, missing=1)
    before = asyncio.create_task(found.get("a", look))
    await asyncio.sleep(0)
    found.forget("a")
    gate.set()
    assert await before == "old"
    assert await found.get("a", look) == "new"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ENTRIES", 2)
    monkeypatch.setattr(memory, "MAX_WAITING", 3)
    asked: list[str] = []

    async def look(key: str) -> str | None:
        asked.append(key)
        return key

    found = Memory[str](lambda: 0.0, found=10, missing=1)
    for key in "abcaba":
        await found.get(key, look)
    assert asked == list("abcab")
    results = await asyncio.gather(*(found.get(key, look) for key in "vwxyz"), return_exceptions=True)
    assert [isinstance(result, Unreachable) for result in results] == [False, False, False, True, True]
