"""The adapter as the core uses it, with scripted relays and no embedded one."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.nostr import ids
from adapters.nostr.adapter import Nostr
from adapters.nostr.config import NostrConfig
from adapters.nostr.event import Event, parse_event, sign, to_json, verify
from bridged.api import (
    LOCAL,
    Account,
    Activity,
    Delivery,
    Envelope,
    Ghost,
    Heard,
    Malformed,
    Post,
    PostBody,
    Ref,
    Rejected,
    Response,
    Sent,
    Text,
    Unreachable,
    View,
)
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, scripted

SECRET = hashlib.sha256(b"somebody").digest()
NOW = 1_700_000_000
OWNER = Account(Ref("activitypub", "https://social.test/alice"), "Alice@social.test")
NIP05 = "https://example.com/.well-known/nostr.json?name=al"


def said(kind: int, content: str, *tags: tuple[str, ...], at: int = NOW) -> Event:
    return sign(SECRET, kind, at, tags, content)


KEY = said(1, "").pubkey


async def free(_: str) -> bool:
    return False


async def taken(_: str) -> bool:
    return True


@asynccontextmanager
async def adapter_with(*events: Event) -> AsyncIterator[tuple[Nostr, FakeHost, str]]:
    """An adapter whose one relay holds these events, whatever it is asked for."""

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for event in events:
            await client.event(name, event)
        await client.say("EOSE", name)
        await client.hold()

    async with scripted(script) as relay:
        host = FakeHost()
        config = NostrConfig.model_validate({"relays": [relay.url], "relay": {"enabled": False}})
        yield Nostr(config, host), host, relay.url


def offline(**config: object) -> tuple[Nostr, FakeHost]:
    host = FakeHost()
    given = {"relays": ["ws://127.0.0.1:9"], "relay": {"enabled": False}, **config}
    return Nostr(NostrConfig.model_validate(given), host), host


def profile(**members: object) -> Event:
    return said(0, json.dumps({"name": "al", **members}))


async def test_account_shows_the_newest_profile_and_a_checked_name() -> None:
    old = said(0, '{"name":"old"}', at=NOW - 10)
    async with adapter_with(old, profile(nip05="al@example.com")) as (adapter, host, _):
        host.http.pages[NIP05] = Response(200, NIP05, {}, json.dumps({"names": {"al": KEY}}).encode())
        account = await adapter.account(ids.account_ref(KEY))
    assert account is not None
    assert (account.name, account.alias, account.handle) == ("al", "al@example.com", ids.npub(KEY))


async def test_account_keeps_no_name_that_points_elsewhere() -> None:
    async with adapter_with(profile(nip05="al@example.com")) as (adapter, host, _):
        host.http.pages[NIP05] = Response(200, NIP05, {}, json.dumps({"names": {"al": "0" * 64}}).encode())
        account = await adapter.account(ids.account_ref(KEY))
    assert account is not None
    assert account.alias == ""


async def test_account_without_a_readable_profile_is_still_an_account() -> None:
    for events in ((), (said(0, "garbage"),)):
        async with adapter_with(*events) as (adapter, _, _):
            account = await adapter.account(ids.account_ref(KEY))
        assert account is not None
        assert account.handle == ids.npub(KEY)


async def test_account_concludes_nothing_without_relays() -> None:
    with pytest.raises(Unreachable):
        await offline()[0].account(ids.account_ref(KEY))


async def test_fetch_brings_the_event_with_its_relay() -> None:
    event = said(1, "hello")
    async with adapter_with(event) as (adapter, _, url):
        (envelope,) = await adapter.fetch(Ref("nostr", event.id))
    assert (envelope.id, envelope.channel, envelope.body) == (event.id, url, to_json(event))
    assert isinstance(adapter.decode(envelope)[0].act, Post)


async def test_fetch_brings_the_newest_version_of_an_article() -> None:
    old, new = said(30023, "old", ("d", "x"), at=NOW - 5), said(30023, "new", ("d", "x"))
    async with adapter_with(new, old) as (adapter, _, _):
        (envelope,) = await adapter.fetch(Ref("nostr", f"30023:{KEY}:x"))
    assert envelope.id == new.id


async def test_fetch_brings_nothing_that_must_not_be_passed_on() -> None:
    event = said(1, "hello", ("-",))
    async with adapter_with(event) as (adapter, _, _):
        assert await adapter.fetch(Ref("nostr", event.id)) == ()


async def test_find_reads_keys_and_asks_for_names() -> None:
    adapter, host = offline()
    host.http.pages[NIP05] = Response(200, NIP05, {}, json.dumps({"names": {"al": KEY}}).encode())
    with pytest.raises(Unreachable):  # no relay says whether anybody has that key
        await adapter.find(ids.npub(KEY))
    await host.hear(Heard(known=frozenset({KEY})))
    assert await adapter.find(ids.npub(KEY)) == ids.account_ref(KEY)
    assert await adapter.find("al@example.com") == ids.account_ref(KEY)
    assert await adapter.find("alice.example") is None


def test_decode_raises_malformed_for_what_is_no_event() -> None:
    adapter, _ = offline()
    with pytest.raises(Malformed):
        adapter.decode(Envelope("nostr", "x", b"{}", "x", ids.account_ref(KEY), NOW))


async def test_mint_gives_the_same_ghost_every_time() -> None:
    adapter, _ = offline()
    ghost = await adapter.mint(OWNER, free)
    assert ghost == await adapter.mint(OWNER, free)
    assert (ghost.owner, ghost.handle, ghost.custody) == (OWNER.ref, "alice_at_social.test", "hosted")
    assert ids.is_hex(ghost.ref.id)
    other = await adapter.mint(OWNER, taken)
    assert (other.ref, other.handle.startswith("alice_at_social.test-")) == (ghost.ref, True)


async def test_encode_signs_as_the_ghost_and_always_the_same() -> None:
    adapter, _ = offline()
    ghost = await adapter.mint(OWNER, free)
    ref = Ref("activitypub", "https://social.test/1")
    activity = Activity(ref, OWNER.ref, NOW, Post(PostBody(ref, OWNER.ref, Text("hi"), NOW)))
    view = View(at=NOW, actor=ghost, account=OWNER)
    outgoing = adapter.encode(activity, view)
    assert outgoing == adapter.encode(activity, view)
    (part,) = outgoing.parts
    event = parse_event(part.body)
    verify(event)
    assert (event.pubkey, event.content) == (ghost.ref.id, "hi")
    assert (part.of, part.ref, part.served) == (ref, Ref("nostr", event.id), part.body)
    assert part.endpoints == ("ws://127.0.0.1:9",)


async def test_encode_signs_with_no_key_but_the_ghosts() -> None:
    adapter, _ = offline()
    ref = Ref("activitypub", "https://social.test/1")
    activity = Activity(ref, OWNER.ref, NOW, Post(PostBody(ref, OWNER.ref, Text("hi"), NOW)))
    for ghost in (
        Ghost(OWNER.ref, ids.account_ref(KEY), "x"),
        Ghost(OWNER.ref, ids.account_ref(KEY), "x", custody="linked"),
    ):
        with pytest.raises(Rejected):
            adapter.encode(activity, View(at=NOW, actor=ghost, account=OWNER))


async def test_deliver_publishes_the_bytes() -> None:
    event = said(1, "out")

    async def script(client: Client) -> None:
        assert (await client.expect("EVENT"))[1] == json.loads(to_json(event))
        await client.say("OK", event.id, True, "")
        await client.hold()

    async with scripted(script) as relay:
        adapter, _ = offline(relays=[relay.url])
        ghost = Ghost(OWNER.ref, ids.account_ref(KEY), "x")
        sent = await adapter.deliver(Delivery("k", relay.url, to_json(event), ghost, None, 1))
    assert sent == Sent()


def test_apply_without_embedded_relay_is_rejected_for_ever() -> None:
    adapter, _ = offline()
    item = Delivery("k", LOCAL, to_json(said(1, "x")), Ghost(OWNER.ref, ids.account_ref(KEY), "x"), None, 1)
    with pytest.raises(Rejected) as caught:
        adapter.apply(None, item)  # type: ignore[arg-type]
    assert caught.value.gone


async def test_check_reports_relays_name_and_clock() -> None:
    async with adapter_with() as (adapter, host, url):
        key = hashlib.sha256(b"x").hexdigest()
        name = "https://bridge.test/.well-known/nostr.json?name=_"
        host.http.pages[name] = Response(200, name, {}, json.dumps({"names": {"_": key}}).encode())
        host.http.pages["http" + url.removeprefix("ws")] = Response(
            426, "", {"date": "Tue, 14 Nov 2023 23:15:00 GMT"}, b""
        )
        found = {finding.what: finding for finding in await adapter.check()}
        assert found[f"relay {url}"].ok
        assert not found["NIP-05"].ok
        assert found["NIP-05"].mend
        assert not found[f"clock against {url}"].ok
        bot = await adapter.mint(Account(Ref("bridge", "bot"), "bridge"), free)
        assert bot.handle == "bridge"
        host.http.pages[name] = Response(200, name, {}, json.dumps({"names": {"_": bot.ref.id}}).encode())
        assert {f.what: f.ok for f in await adapter.check()}["NIP-05"]


async def test_check_says_that_a_relay_is_away() -> None:
    adapter, _ = offline()
    findings = {finding.what: finding for finding in await adapter.check()}
    assert not findings["relay ws://127.0.0.1:9"].ok
    assert findings["relay ws://127.0.0.1:9"].mend
