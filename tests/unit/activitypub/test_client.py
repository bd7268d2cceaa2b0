"""Looking up others, delivering to them, and what is remembered of them."""

import json
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from adapters.activitypub import tables
from adapters.activitypub.adapter import ActivityPub, Config
from adapters.activitypub.signatures import parse_signature, public_key, verify
from bridged.api import (
    HOME as BRIDGE,
)
from bridged.api import (
    Account,
    Delivery,
    EgressFailed,
    EgressRefused,
    Ref,
    Rejected,
    Response,
    Retry,
    Sent,
    Unreachable,
)
from tests.unit.activitypub.fake import AS2, BASE, GHOST, HOME, NOW, FakeHost, Peer, rsa_key

INBOX = "https://peer.test/inbox"


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
async def adapter(host: FakeHost) -> ActivityPub:
    made = ActivityPub(Config(), host)
    await made.start()
    return made


def ref(url: str) -> Ref:
    return Ref("activitypub", url)


def jrd(host: FakeHost, acct: str, actor: str, subject: str = "") -> None:
    user, _, server = acct.partition("@")
    document = {
        "subject": f"acct:{subject or acct}",
        "links": [{"rel": "self", "type": AS2, "href": actor}, {"rel": "other", "href": 3}, None],
    }
    url = f"https://{server}/.well-known/webfinger?resource=acct%3A{user}%40{server}"
    host.http.serve(url, document, kind="application/jrd+json")


def item(endpoint: str = INBOX) -> Delivery:
    return Delivery("k", endpoint, b'{"type":"Create"}', GHOST, None, 1)


def answers(*statuses: int, **headers: str) -> Any:
    rest = [*statuses]
    return lambda _: Response(rest.pop(0) if rest else statuses[-1], INBOX, headers, b"")


async def test_delivery_is_a_signed_post(host: FakeHost, adapter: ActivityPub):
    host.http.pages[INBOX] = answers(202)
    assert isinstance(await adapter.deliver(item()), Sent)
    ((url, body, headers),) = host.http.posted
    assert (url, body, headers["Content-Type"]) == (INBOX, item().body, AS2)
    assert f'keyId="{GHOST.ref.id}#main-key",algorithm="rsa-sha256"' in headers["Signature"]
    assert 'headers="(request-target) host date digest"' in headers["Signature"]
    claim = parse_signature("POST", "https://peer.test", "/inbox", [*headers.items()])
    verify(claim, public_key(rsa_key("bridge").public_pem), body, NOW)


async def test_host_that_wants_rfc9421_gets_it_and_is_remembered(host: FakeHost, adapter: ActivityPub):
    host.http.pages[INBOX] = lambda sent: Response(202 if "Signature-Input" in sent else 401, INBOX, {}, b"")
    await adapter.deliver(item())
    await adapter.deliver(item())
    assert ["Signature-Input" in headers for _, _, headers in host.http.posted] == [False, True, True]
    again = ActivityPub(Config(), host)
    await again.start()
    await again.deliver(item())
    assert "Signature-Input" in host.http.posted[-1][2]


async def test_401_to_both_schemes_is_tried_again_later(host: FakeHost, adapter: ActivityPub):
    """Some say so when they could not fetch our key just then."""
    host.http.pages[INBOX] = answers(401)
    with pytest.raises(Retry):
        await adapter.deliver(item())
    assert len(host.http.posted) == 2


@pytest.mark.parametrize(
    ("status", "gone"), [(400, False), (403, False), (404, True), (410, True), (413, False), (301, False)]
)
async def test_refusals_are_final(host: FakeHost, adapter: ActivityPub, status: int, gone: bool):
    host.http.pages[INBOX] = answers(status)
    with pytest.raises(Rejected) as refused:
        await adapter.deliver(item())
    assert refused.value.gone == gone
    assert len(host.http.posted) == 1


@pytest.mark.parametrize(
    ("status", "value", "after"),
    [
        (500, "", None),
        (503, "120", 120.0),
        (429, "9999999", 86400.0),
        (429, formatdate(NOW + 90, usegmt=True), 90.0),
        (429, formatdate(NOW - 90, usegmt=True), 0.0),
        (408, "soon", None),
        (425, "-1", None),
        (502, "9" * 400, 86400.0),
    ],
)
async def test_troubles_are_retried(host: FakeHost, adapter: ActivityPub, status: int, value: str, after: float | None):
    host.http.pages[INBOX] = answers(status, **{"retry-after": value})
    with pytest.raises(Retry) as later:
        await adapter.deliver(item())
    assert later.value.after == after


async def test_what_the_guard_says_about_an_endpoint_stands(host: FakeHost, adapter: ActivityPub):
    host.http.pages[INBOX] = EgressRefused("address")
    with pytest.raises(Rejected):
        await adapter.deliver(item())
    host.http.pages[INBOX] = EgressFailed("timeout")
    with pytest.raises(Retry):
        await adapter.deliver(item())
    with pytest.raises(Rejected):
        await adapter.deliver(item("not a url"))


async def test_account_is_read_with_a_signed_get(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    page = host.http.pages[alice.id]
    host.http.pages[alice.id] = lambda sent: page if "Signature" in sent else Response(401, alice.id, {}, b"")
    jrd(host, "alice@peer.test", alice.id)
    account = await adapter.account(ref(alice.id))
    assert account is not None
    assert (account.handle, account.endpoint, account.alias) == ("alice@peer.test", f"{alice.id}/inbox", "")


async def test_account_in_an_upload_on_the_same_host_is_not_believed(host: FakeHost, adapter: ActivityPub):
    """A document counts only where its own id leads: anybody can put a file on a host that takes uploads."""
    alice = Peer(host)
    upload = "https://peer.test/media/evil.json"
    true = host.http.pages[alice.id]
    forged = json.loads(true.body) | {"inbox": "https://evil.test/inbox", "publicKey": {
        "id": f"{alice.id}#main-key", "owner": alice.id, "publicKeyPem": rsa_key("mallory").public_pem}}  # fmt: skip
    host.http.pages[upload] = Response(200, upload, {"content-type": AS2}, json.dumps(forged).encode())
    account = await adapter.account(ref(upload))
    assert account is None or account.endpoint == f"{alice.id}/inbox"
    keys = await host.read(tables.keys_of(alice.id))
    assert keys is None or rsa_key("mallory").public_pem not in keys.values()


async def test_get_falls_back_to_rfc9421(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    page = host.http.pages[alice.id]
    host.http.pages[alice.id] = lambda sent: page if "Signature-Input" in sent else Response(401, alice.id, {}, b"")
    assert await adapter.account(ref(alice.id)) is not None


async def test_find_follows_webfinger(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    jrd(host, "alice@peer.test", alice.id)
    assert await adapter.find("@alice@peer.test") == ref(alice.id)
    assert await adapter.find("alice@PEER.test") == ref(alice.id)
    assert await adapter.find("nobody@peer.test") is None
    assert await adapter.find("alice") is None
    assert await adapter.find(f"{HOME.handle}@bridge.test") is None


async def test_split_domains_count_when_both_sides_confirm(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host, "alice", "social.peer.test")
    jrd(host, "alice@peer.test", alice.id)
    jrd(host, "alice@social.peer.test", alice.id, subject="alice@peer.test")
    assert await adapter.find("alice@peer.test") == ref(alice.id)
    account = await adapter.account(ref(alice.id))
    assert account is not None
    assert account.handle == "alice@peer.test"


async def test_one_sided_claims_to_a_handle_are_not_believed(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host, "alice", "social.peer.test")
    # Somebody's domain says that alice is theirs; her own server knows nothing of it.
    jrd(host, "ceo@bank.test", alice.id)
    jrd(host, "alice@social.peer.test", alice.id)
    assert await adapter.find("ceo@bank.test") is None
    # Her server claims a handle on a domain that leads elsewhere.
    jrd(host, "alice@social.peer.test", alice.id, subject="ceo@bank.test")
    jrd(host, "ceo@bank.test", "https://bank.test/ceo")
    account = await adapter.account(ref(alice.id))
    assert account is not None
    assert account.handle == "alice@social.peer.test"


@pytest.mark.parametrize("trouble", [EgressFailed("timeout"), 500, 429, 503])
async def test_trouble_concludes_nothing(host: FakeHost, adapter: ActivityPub, trouble: Any):
    url = "https://peer.test/users/alice"
    host.http.pages[url] = Response(trouble, url, {}, b"") if isinstance(trouble, int) else trouble
    with pytest.raises(Unreachable):
        await adapter.account(ref(url))
    with pytest.raises(Unreachable):
        await adapter.fetch(ref(url))


async def test_unusable_answers_are_nobody(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    for change in (
        {"kind": "text/html"},
        {"kind": "application/json"},
        {"status": 410},
        {"status": 404},
        {"at": "https://other.test/users/alice"},
    ):
        host.http.serve(alice.id, alice.actor(), **change)
        assert await adapter.account(ref(alice.id)) is None, change
    for document in (b"[" * 99_999, {}, {**alice.actor(), "id": "https://other.test/u"}, alice.note()):
        host.http.serve(alice.id, document)
        assert await adapter.account(ref(alice.id)) is None
    host.http.pages[alice.id] = EgressRefused("address")
    assert await adapter.account(ref(alice.id)) is None
    assert await adapter.account(GHOST.ref) is None
    assert GHOST.ref.id not in host.http.asked


async def test_fetched_post_is_its_owners(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    note = alice.note()
    host.http.serve(note["id"], note)
    (envelope,) = await adapter.fetch(ref(note["id"]))
    assert (envelope.id, envelope.channel, envelope.signer) == (note["id"], "fetch", ref(alice.id))
    assert json.loads(envelope.body) == note
    (activity,) = adapter.decode(envelope)
    assert activity.ref == ref(note["id"])


async def test_page_address_leads_to_the_post(host: FakeHost, adapter: ActivityPub):
    note = Peer(host).note()
    host.http.serve("https://peer.test/@alice/1", note)
    host.http.serve(note["id"], note)
    (envelope,) = await adapter.fetch(ref("https://peer.test/@alice/1"))
    assert envelope.id == note["id"]
    # Another site that shows the note is asked nothing more than where it lives.
    host.http.serve("https://mirror.test/1", {**note, "content": "forged"})
    (envelope,) = await adapter.fetch(ref("https://mirror.test/1"))
    assert b"forged" not in envelope.body


async def test_posts_not_for_all_or_not_of_their_host_are_not_fetched(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    url = alice.note()["id"]
    for document in (
        alice.note(to=[f"{alice.id}/followers"], cc=[]),
        alice.note(attributedTo="https://other.test/u"),
        alice.note(attributedTo=None),
        alice.actor(id=url),
        alice.create(),
    ):
        host.http.serve(url, document)
        assert await adapter.fetch(ref(url)) == []
    host.http.serve(url, alice.note(), at="https://other.test/notes/1")
    assert await adapter.fetch(ref(url)) == []


async def test_ghosts_are_named_and_kept_apart(host: FakeHost, adapter: ActivityPub):
    account = Account(Ref("nostr", "ab" * 32), HOME.handle, alias="nora@nostr.example")
    given: set[str] = set()

    async def taken(handle: str) -> bool:
        return handle in given

    for _ in range(2):
        ghost = await adapter.mint(account, taken)
        assert (ghost.handle, ghost.ref) == ("nora_at_nostr.example", GHOST.ref)
    given.add("nora_at_nostr.example")
    assert (await adapter.mint(account, taken)).handle == HOME.handle
    given.add(HOME.handle)
    last = (await adapter.mint(account, taken)).handle
    assert last.startswith(HOME.handle + "_")
    bot = await adapter.mint(Account(Ref(BRIDGE, "bot"), "bridge"), taken)
    assert (bot.handle, bot.ref.id) == ("bridge", f"{BASE}/users/bridge/bot")
    # The instance actor's own name is never given away.
    own = await adapter.mint(Account(Ref("atproto", "did:plc:x"), "bridge.test"), taken)
    assert own.handle != "bridge.test"


async def test_check_follows_our_own_loop(host: FakeHost, adapter: ActivityPub):
    findings = await adapter.check()
    assert not any(finding.ok for finding in findings)
    assert all(finding.mend for finding in findings)
    bot = f"{BASE}/users/bridge/bot"
    jrd(host, "bridge@bridge.test", bot)
    host.http.serve(bot, {"id": bot})
    host.http.serve(f"{BASE}/.well-known/nodeinfo", {"links": []}, kind="application/json")
    host.http.serve(f"{BASE}/.well-known/host-meta.json", {"links": []}, kind="application/json")
    assert all(finding.ok for finding in await adapter.check())
    jrd(host, "bridge@bridge.test", "https://other.test/bot")
    assert [finding.ok for finding in await adapter.check()] == [False, True, True, True]


async def test_tables_keep_within_their_bounds(host: FakeHost, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "MAX_ACTORS", 3)
    for number in range(5):
        await host.write(tables.keep_keys(f"https://a.test/{number}", {"k": "p"}, NOW + number))
    await host.write(tables.prune)
    kept = [await host.read(tables.keys_of(f"https://a.test/{number}")) for number in range(5)]
    assert kept == [None, None, {"k": "p"}, {"k": "p"}, {"k": "p"}]


async def test_fetches_waiting_are_bounded(host: FakeHost, adapter: ActivityPub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.activitypub.client.MAX_WAITING", 0)
    with pytest.raises(Unreachable):
        await adapter.account(ref("https://peer.test/users/alice"))
    assert host.http.asked == []


def test_migration_makes_the_tables_that_the_code_names():
    scope: dict[str, Any] = {}
    folder = ActivityPub.migrations
    assert folder is not None
    script = Path(folder) / "versions" / "0001_start.py"
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            exec(compile(script.read_text(), str(script), "exec"), scope)
            scope["upgrade"]()
        seen = sa.inspect(connection)
        for table in (tables.actors, tables.hosts):
            columns = {column["name"]: column["nullable"] for column in seen.get_columns(table.name)}
            assert columns == {column.name: column.nullable for column in table.columns}
            assert {i["name"] for i in seen.get_indexes(table.name)} == {i.name for i in table.indexes}
            assert seen.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key
            ]


@pytest.mark.parametrize("how", ["deliver", "fetch"])
async def test_scheme_is_changed_on_evidence_alone_and_back_again(host: FakeHost, adapter: ActivityPub, how: str):
    """A host's answer to one scheme says which it took; a refusal of both says nothing."""
    takes = "Signature-Input"
    note = Peer(host).note()
    host.http.serve(note["id"], note)
    page = host.http.pages[note["id"]]
    schemes: list[str] = []

    def answer(sent: Any) -> Response:
        scheme = "Signature-Input" if "Signature-Input" in sent else "Signature"
        schemes.append(scheme)
        if scheme != takes:
            return Response(401, note["id"], {}, b"")
        return page if how == "fetch" else Response(202, INBOX, {}, b"")

    host.http.pages[note["id"]] = host.http.pages[INBOX] = answer

    async def once() -> list[str]:
        schemes.clear()
        if how == "fetch":
            await adapter.fetch(ref(note["id"]))
        elif takes:
            await adapter.deliver(item())
        else:
            with pytest.raises(Retry):
                await adapter.deliver(item())
        return [*schemes]

    assert await once() == ["Signature", "Signature-Input"]
    assert await once() == ["Signature-Input"]
    takes = ""
    assert await once() == ["Signature-Input", "Signature"]
    takes = "Signature"
    assert await once() == ["Signature-Input", "Signature"]
    assert await once() == ["Signature"]
    assert await host.read(tables.scheme_of("peer.test")) == "cavage"


async def test_hosts_keep_within_their_bounds(host: FakeHost, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "MAX_HOSTS", 2)
    for number in range(4):
        await host.write(tables.keep_scheme(f"{number}.test", "rfc9421", NOW + number))
    await host.write(tables.prune)
    kept = [await host.read(tables.scheme_of(f"{number}.test")) for number in range(4)]
    assert kept == [None, None, "rfc9421", "rfc9421"]
