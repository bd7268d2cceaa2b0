"""Accounts as they are now: handle both ways, host, profile."""

import json

import pytest

from adapters.atproto.documents import Document
from adapters.atproto.envelopes import Person
from adapters.atproto.identity import INVALID
from adapters.atproto.people import RECORD_PATH, STATUS_PATH, Accounts
from bridged.api import EgressFailed, Unreachable
from bridged.testing.fakehost import FakeHost

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
PDS = "https://pds.test"
REPO = "repo=did%3Aplc%3Aaaaaaaaaaaaaaaaaaaaaaaaa"
PAGE = f"{PDS}{RECORD_PATH}?collection=app.bsky.actor.profile&rkey=self&{REPO}"
BLOG = f"{PDS}{RECORD_PATH}?collection=site.standard.publication&rkey=3lwafzkjqm25s&{REPO}"
PROFILE = {"$type": "app.bsky.actor.profile", "displayName": "Alice"}


class Names:
    """Stands in for the resolver."""

    def __init__(self, found: Document | None) -> None:
        self.found = found
        self.forgotten: list[str] = []

    async def resolve(self, did: str) -> Document | None:
        return self.found

    def forget(self, did: str) -> None:
        self.forgotten.append(did)


def accounts(found: Document | None) -> tuple[Accounts, FakeHost, Names]:
    host, names = FakeHost(), Names(found)
    return Accounts(host, names), host, names  # type: ignore[arg-type]


async def test_a_person_is_asked_for_anew_with_the_profile() -> None:
    people, host, names = accounts(Document(DID, "alice.test", None, PDS))
    host.http.serve(PAGE, json.dumps({"uri": "at://x", "value": PROFILE}).encode())
    assert await people.person(DID) == Person(DID, "alice.test", PDS, PROFILE)
    assert names.forgotten == [DID]


@pytest.mark.parametrize("status", [400, 404])
async def test_a_person_without_a_profile_is_one_all_the_same(status: int) -> None:
    people, host, _ = accounts(Document(DID, INVALID, None, PDS))
    host.http.serve(PAGE, b'{"error":"RecordNotFound"}', status=status)
    assert await people.person(DID) == Person(DID, "", PDS, None)


@pytest.mark.parametrize(
    ("answer", "status", "there"),
    [
        ({"did": DID, "active": False, "status": "deactivated"}, 200, False),
        ({"did": DID, "active": False}, 200, False),
        ({"error": "RepoNotFound"}, 400, False),
        ({"did": DID, "active": True, "rev": "3jzfcijpj2z2a"}, 200, True),
        ({"did": DID, "active": False, "status": "throttled"}, 200, True),
        ({"did": DID, "active": False, "status": ["takendown"]}, 200, False),
        ({"error": "MethodNotImplemented"}, 501, True),
        ([], 200, True),
    ],
)
async def test_who_has_no_profile_is_there_unless_their_host_says_otherwise(
    answer: object, status: int, there: bool
) -> None:
    people, host, _ = accounts(Document(DID, "alice.test", None, PDS))
    host.http.serve(PAGE, b'{"error":"InvalidRequest"}', status=400)
    host.http.serve(f"{PDS}{STATUS_PATH}?did={DID.replace(':', '%3A')}", json.dumps(answer).encode(), status=status)
    assert await people.person(DID) == (Person(DID, "alice.test", PDS, None) if there else None)


async def test_nobody_is_nobody() -> None:
    people, _, _ = accounts(None)
    assert await people.person(DID) is None
    assert await people.whereabouts(DID) == ("", "")


async def test_whereabouts_leave_out_a_handle_that_does_not_lead_back() -> None:
    people, _, names = accounts(Document(DID, INVALID, None, PDS))
    assert await people.whereabouts(DID) == ("", PDS)
    assert names.forgotten == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"value":' + b"[" * 5000])
async def test_an_answer_that_is_none_says_nothing(body: bytes) -> None:
    people, host, _ = accounts(Document(DID, "alice.test", None, PDS))
    host.http.serve(PAGE, body)
    with pytest.raises(Unreachable):
        await people.person(DID)


@pytest.mark.parametrize("status", [500, 429, 403])
async def test_a_host_that_does_not_answer_is_unreachable(status: int) -> None:
    people, host, _ = accounts(Document(DID, "alice.test", None, PDS))
    host.http.serve(PAGE, status=status)
    with pytest.raises(Unreachable):
        await people.person(DID)
    host.http.pages[PAGE] = EgressFailed("connect")
    with pytest.raises(Unreachable):
        await people.person(DID)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ({"url": "https://blog.example", "name": "Bees"}, "https://blog.example"),
        ({"url": "javascript:alert(1)"}, ""),
        ({"url": 7}, ""),
        ({}, ""),
    ],
)
async def test_publication_has_the_address_it_says_if_that_is_one(value: object, url: str) -> None:
    people, host, _ = accounts(Document(DID, "alice.test", None, PDS))
    host.http.serve(BLOG, json.dumps({"value": value}).encode())
    assert await people.site(DID, "3lwafzkjqm25s") == url


async def test_publication_of_nobody_or_that_is_not_there_has_no_address() -> None:
    people, host, _ = accounts(Document(DID, "alice.test", None, PDS))
    host.http.serve(BLOG, b'{"error":"RecordNotFound"}', status=400)
    assert await people.site(DID, "3lwafzkjqm25s") == ""
    nobody, _, _ = accounts(None)
    assert await nobody.site(DID, "3lwafzkjqm25s") == ""
