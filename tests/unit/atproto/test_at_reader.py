"""What others said, read at their homes: what is not what it says it is, is not taken."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from adapters.atproto import cbor, ids
from adapters.atproto.cid import Cid
from adapters.atproto.decode import decode
from adapters.atproto.identity import Resolver
from adapters.atproto.people import Accounts
from adapters.atproto.reader import Reader
from bridged.api import Follow, PinList, Post, Profile, Ref, Response, Unreachable
from bridged.testing.fakehost import FakeHost
from bridged.testing.world import ScriptedHttp

DID, OTHER = f"did:plc:{'a' * 24}", f"did:plc:{'b' * 24}"
PLC, PDS, APPVIEW = "https://plc.test", "https://pds.test", "https://appview.test"
KEYS = ("3jzfcijpj2z2a", "3jzfcijpj2z2b")


def record(text: str, **more: Any) -> dict[str, Any]:
    return {"$type": ids.POST, "text": text, "createdAt": "2026-09-21T10:00:00.000Z", **more}


def shown(value: dict[str, Any], rkey: str = KEYS[0], did: str = DID, collection: str = ids.POST) -> dict[str, Any]:
    cid = str(Cid.of(cbor.encode(cbor.from_json(value))))
    return {"uri": f"at://{did}/{collection}/{rkey}", "cid": cid, "value": value}


def uri(rkey: str = KEYS[0], did: str = DID) -> Ref:
    return Ref("atproto", f"at://{did}/{ids.POST}/{rkey}")


class Outside:
    def __init__(self, http: ScriptedHttp | None = None) -> None:
        self.host = FakeHost()
        self.http = http or ScriptedHttp()
        self.host.http = self.http

        async def ours(_: str) -> str | None:
            return None

        resolver = Resolver(self.host, PLC, APPVIEW, ours)
        self.reader = Reader(self.host, resolver, Accounts(self.host, resolver), APPVIEW)
        self.lives(DID, "alex.test")

    def lives(self, did: str, handle: str, pds: str = PDS) -> None:
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds}
        self.serve(f"{PLC}/{did}", {"id": did, "alsoKnownAs": [f"at://{handle}"], "service": [service]})
        self.http.serve(f"https://{handle}/.well-known/atproto-did", did.encode(), type="text/plain")

    def serve(self, url: str, said: Any, status: int = 200) -> None:
        self.http.pages[url] = Response(status, url, {}, json.dumps(said).encode())

    def has(self, said: Any, rkey: str = KEYS[0], did: str = DID, status: int = 200) -> None:
        query = f"repo={quote(did, safe='')}&collection={ids.POST}&rkey={rkey}"
        self.serve(f"{PDS}/xrpc/com.atproto.repo.getRecord?{query}", said, status)

    def has_profile(self, value: dict[str, Any]) -> None:
        query = f"collection={ids.PROFILE}&rkey=self&repo={quote(DID)}"
        said = shown(value, "self", collection=ids.PROFILE)
        self.serve(f"{PDS}/xrpc/com.atproto.repo.getRecord?{query}", said)

    def lists(self, *records: dict[str, Any]) -> None:
        query = f"repo={quote(DID, safe='')}&collection={ids.POST}&limit=20"
        self.serve(f"{PDS}/xrpc/com.atproto.repo.listRecords?{query}", {"records": list(records)})


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.mark.parametrize("name", ["alex.test", "@Alex.test", DID])
async def test_find_leads_to_who_claims_the_handle(outside: Outside, name: str) -> None:
    assert await outside.reader.find(name) == ids.account_ref(DID)


async def test_find_knows_pages_of_the_viewer(outside: Outside) -> None:
    page = "https://bsky.app/profile/Alex.test"
    assert await outside.reader.find(page) == ids.account_ref(DID)
    assert await outside.reader.find(f"{page}/post/{KEYS[0]}") == uri()
    assert await outside.reader.find(f"https://bsky.app/profile/{DID}/post/{KEYS[0]}") == uri()
    assert await outside.reader.find(f"{page}/lists/x") is None
    assert await outside.reader.find("https://bsky.app/profile/nobody.test") is None


async def test_find_believes_no_handle_that_its_account_does_not_claim(outside: Outside) -> None:
    outside.http.serve("https://thief.test/.well-known/atproto-did", DID.encode())
    assert await outside.reader.find("thief.test") is None
    assert await outside.reader.find("nobody.test") is None
    assert await outside.reader.find("no handle at all") is None


async def test_account_is_as_its_profile_says(outside: Outside) -> None:
    outside.has_profile({"$type": ids.PROFILE, "displayName": "Alex"})
    account = await outside.reader.account(DID)
    assert account is not None
    assert (account.handle, account.name, account.ref.id) == ("alex.test", "Alex", DID)
    assert await outside.reader.account(OTHER) is None


async def test_account_with_a_profile_that_is_none_is_an_account(outside: Outside) -> None:
    outside.has_profile({"$type": ids.PROFILE, "description": "x" * 5000})
    account = await outside.reader.account(DID)
    assert account is not None
    assert account.name == ""


async def test_post_is_the_one_its_cid_names(outside: Outside) -> None:
    outside.has(shown(record("hello")))
    envelope = await outside.reader.post(uri())
    assert envelope is not None
    (activity,) = decode(envelope)
    assert isinstance(activity.act, Post)
    assert (activity.ref, activity.act.body.text.plain) == (uri(), "hello")


@pytest.mark.parametrize(
    "said",
    [
        {**shown(record("hello")), "value": record("something else")},
        shown(record("hello"), did=OTHER),
        {**shown(record("hello")), "cid": 7},
        {**shown(record("hello")), "value": {**record("x"), "n": 1.5}},
        [],
    ],
)
async def test_post_that_is_not_what_it_says_is_refused_and_counted(outside: Outside, said: Any) -> None:
    outside.has(said)
    try:
        assert await outside.reader.post(uri()) is None
        assert len(outside.host.refusals) == 1
    except Unreachable:
        assert said == []


async def test_post_that_is_gone_is_none_and_silence_says_nothing(outside: Outside) -> None:
    outside.has({"error": "RecordNotFound"}, status=400)
    assert await outside.reader.post(uri()) is None
    outside.has({}, status=502)
    with pytest.raises(Unreachable):
        await outside.reader.post(uri())
    assert await outside.reader.post(Ref("atproto", f"at://{DID}/{ids.LIKE}/{KEYS[0]}")) is None


async def test_recent_is_oldest_first_with_the_profile_and_what_is_pinned_last(outside: Outside) -> None:
    top = shown(record("at the top"), "3jzfcijpj2zza")
    outside.has(top, "3jzfcijpj2zza")
    outside.has_profile(
        {"$type": ids.PROFILE, "displayName": "A", "pinnedPost": {"uri": top["uri"], "cid": top["cid"]}}
    )
    outside.lists(shown(record("new"), KEYS[1]), shown(record("old"), KEYS[0]), {"uri": "at://x"})
    acts = [activity.act for envelope in await outside.reader.recent(DID) for activity in decode(envelope)]
    assert [act.body.text.plain if isinstance(act, Post) else type(act) for act in acts] == [
        "at the top",
        "old",
        "new",
        Profile,
        PinList,
    ]
    assert not any(isinstance(act, Follow) for act in acts)


async def test_answers_are_read_at_their_homes(outside: Outside) -> None:
    outside.lives(OTHER, "betty.test")
    strong = {"uri": uri().id, "cid": shown(record("hello"))["cid"]}
    outside.has(shown(record("so it is", reply={"root": strong, "parent": strong}), did=OTHER), did=OTHER)
    replies = [{"post": {"uri": uri(did=OTHER).id}}, {"post": {"uri": f"at://{DID}/{ids.LIKE}/x"}}, 7, {"post": {}}]
    thread = {"thread": {"replies": replies}}
    outside.serve(f"{APPVIEW}/xrpc/app.bsky.feed.getPostThread?uri={quote(uri().id)}&depth=1&parentHeight=0", thread)
    (envelope,) = await outside.reader.answers(uri())
    assert envelope.signer == ids.account_ref(OTHER)


@pytest.mark.parametrize("said", [{}, {"thread": 1}, {"thread": {"replies": {}}}])
async def test_answers_of_a_thread_that_is_none_are_none(outside: Outside, said: Any) -> None:
    outside.serve(f"{APPVIEW}/xrpc/app.bsky.feed.getPostThread?uri={quote(uri().id)}&depth=1&parentHeight=0", said)
    assert await outside.reader.answers(uri()) == []
