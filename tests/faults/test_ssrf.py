"""Nobody makes us knock on doors inside: every way in which a stranger names an address, with every spelling of one.

The daemon runs with the guard as operators have it. Canaries listen at every address there is; peers stand at public
ones. Each way in is also tried with an honest address, which must be asked: else refusing would prove nothing.

The ways in are all callers of `host.http` (grep for it): documents of actors, posts, collections and WebFinger
(activitypub/client.py), deliveries (activitypub/delivery.py), relays (nostr/pool.py), what they say of themselves
(nostr/nip11.py), NIP-05 names (nostr/nip05.py) and wallets (nostr/intake.py). Pictures and films are linked to, where
no network has to own them; where one has, and in all that the AT Protocol asks for: test_ssrf_at.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

import pytest
import pytest_asyncio

from adapters.nostr import nip19

from .kit import eventually
from .kit.abroad import World, abroad, numbers
from .kit.fediverse import AS2, Answer, Got
from .kit.internet import EVIL, refused_of
from .kit.nostr import as_object, key, npub, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPELLINGS = """
127.0.0.1 127.1 127.0.1 0x7f.1 0x7f000001 2130706433 0177.0.0.1 017700000001 127.0.0.1. 0.0.0.0 0 0x0 4294967297
10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 169.254.169.254 192.0.0.170 192.0.2.1 198.18.0.1 192.88.99.1 224.0.0.1
240.0.0.1 255.255.255.255 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.16689662
[::1] [::] [::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [::127.0.0.1] [64:ff9b::10.0.0.1] [64:ff9b:1::10.0.0.1]
[2002:a00:1::1] [2001:0:a00:1::1] [fd00:ec2::254] [fe80::1%25lo] [fec0::1] [ff02::1] [2001:db8::1] [100::1]
localhost LOCALHOST. １２７.0.0.1 127。0。0。1 ①②⑦.0.0.1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ 127.0.0.1%00.example.com
good.example@127.0.0.1 127.0.0.1#@good.example 127.0.0.1\\@good.example
private.example mixed.example mapped.example meta.example six.example private.example.
"""
HOSTS = SPELLINGS.split()
ANSWERS = {
    "localhost": ["127.0.0.1", "::1"],
    "private.example": ["10.0.0.1"],
    "mixed.example": [EVIL, "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "meta.example": ["169.254.169.254"],
    "six.example": ["2001:500:2::c", "fd00::1"],
}
Hosts = Sequence[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(net: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    accounts = [f"activitypub:@listed@{host}" for host in [*HOSTS, "far.example"]]
    async with abroad(tmp_path_factory.mktemp("ssrf"), ANSWERS, {"accounts": accounts}) as made:
        made.good.script = _script
        yield made


REDIRECTS: dict[str, str] = {}


def _script(got: Got) -> Answer | None:
    """Whatever a test put into REDIRECTS; WebFinger of `w7` leads wherever REDIRECTS["w7"] says."""
    path, _, query = got.path.partition("?")
    if path in REDIRECTS:
        return Answer(302, {"Location": REDIRECTS[path]})
    name = unquote(query).partition("acct:")[2].partition("@")[0]
    if path == "/.well-known/webfinger" and name in REDIRECTS:
        jrd = {
            "subject": f"acct:{name}@good.example",
            "links": [{"rel": "self", "type": AS2, "href": REDIRECTS[name]}],
        }
        return Answer(200, {"Content-Type": "application/jrd+json"}, json.dumps(jrd).encode())
    return None


# --- the ways in: each makes the daemon want something of every one of the hosts ---


async def actors(world: World, hosts: Hosts) -> None:
    """The actor of an activity, and so its key."""

    async def one(host: str) -> None:
        actor = f"http://{host}/actor{next(numbers)}"
        body = json.dumps({**world.alice.follow(await bot(world)), "actor": actor, "id": f"{actor}/1"}).encode()
        headers = world.alice.signed(world.inbox, body, key_id=f"{actor}#main-key".replace('"', ""))
        status, _, said = await world.good.post(world.inbox, body, headers)
        assert status in (400, 401), (host, status, said)

    await world.each(hosts, one)


async def bot(world: World) -> str:
    return f"{world.daemon.base}/users/bridge/bot"


async def notes(world: World, hosts: Hosts) -> None:
    """What a post answers, quotes, names and shows."""
    for host in hosts:
        base = f"http://{host}/note{next(numbers)}"
        tag = [{"type": "Mention", "href": f"{base}/who", "name": "@who@there.example"}]
        picture = [{"type": "Image", "mediaType": "image/png", "url": f"{base}/picture.png"}]
        more = {"inReplyTo": f"{base}/parent", "quoteUrl": f"{base}/quote", "tag": tag, "attachment": picture}
        await world.send(world.alice.create(f"look at this {base}/link", **more))


async def boosts(world: World, hosts: Hosts) -> None:
    for host in hosts:
        await world.send(world.alice.announce(f"http://{host}/boost{next(numbers)}"))


async def redirects(world: World, hosts: Hosts) -> None:
    """Where an honest host sends us on to."""
    for host in hosts:
        path = f"/to/{next(numbers)}"
        REDIRECTS[path] = f"https://{host}/redirect"
        await world.send(world.alice.create("look", inReplyTo=f"https://good.example{path}"))


async def inboxes(world: World, hosts: Hosts) -> None:
    """Where answers go: the inbox that an account names."""
    nora = await world.someone()

    async def one(host: str) -> None:
        dora = world.good.actor(f"dora{next(numbers)}", world.alice.key)
        where = f"http://{host}/inbox"
        dora.show(inbox=where) if next(numbers) % 2 else dora.show(endpoints={"sharedInbox": where})
        await world.send(dora.follow(nora), dora)

    await world.each(hosts, one)


async def moves(world: World, hosts: Hosts) -> None:
    for host in hosts:
        target = f"http://{host}/move{next(numbers)}"
        await world.send(world.alice.activity("Move", world.alice.id, target=target))


async def webfinger_links(world: World, hosts: Hosts) -> None:
    """The actor that WebFinger of an honest host leads to."""

    async def one(host: str) -> None:
        name = f"w{next(numbers)}"
        REDIRECTS[name] = f"http://{host}/linked"
        await world.daemon.get(f"/.well-known/nostr.json?name={name}_at_good.example")

    await world.each(hosts, one)


async def looked_up(world: World, hosts: Hosts) -> None:
    """Names whose host is asked: WebFinger for people of the fediverse, NIP-05 for those of Nostr."""

    async def one(host: str) -> None:
        name = quote(f"x{next(numbers)}_at_{host}")
        await world.daemon.get(f"/.well-known/nostr.json?name={name}")
        await world.daemon.get(f"/.well-known/webfinger?resource=acct:{name}@{world.daemon.domain}")

    await world.each(hosts, one)


async def profiles(world: World, hosts: Hosts) -> None:
    """What somebody on Nostr says of themselves: the name's host, accounts elsewhere, relays."""

    async def one(host: str) -> None:
        who = f"crowd{next(numbers)}"
        content = json.dumps({"name": who, "nip05": f"{who}@{host}"})
        await world.relay.publish(said(who, 0, content, ("i", f"web:http://{host}/claimed", "x")))
        lists = [("r", f"ws://{host}/relay", "write"), ("r", f"ws://{host}/relay2", "read")]
        await world.relay.publish(said(who, 10002, "", *lists))
        await world.send(world.alice.follow(await world.daemon.actor_of(npub(who))))

    await world.each(hosts, one)


async def wallets(world: World, hosts: Hosts) -> None:
    """Where the wallet of somebody who is zapped, here by themselves, is said to be (LUD-06): it has to vouch."""
    whom: list[str] = []

    async def one(host: str) -> None:
        who = f"paid{next(numbers)}"
        lnurl = nip19._bech32_encode("lnurl", f"https://{host}/wallet/{who}".encode())
        await world.relay.publish(said(who, 0, json.dumps({"name": who, "lud06": lnurl})))
        await world.send(world.alice.follow(await world.daemon.actor_of(npub(who))))
        whom.append(who)

    await world.each([host for host in hosts if host.isascii()], one)
    for who in whom:
        await eventually(lambda who=who: world.relay.asked("#P", key(who)))
    for who in whom:
        asked = said(who, 9734, "", ("p", key(who)), ("amount", "21000"), ("relays", world.relay.url))
        paid = [
            ("p", key(who)),
            ("P", key(who)),
            ("bolt11", "lnbc210n1pqqqq"),
            ("description", json.dumps(as_object(asked))),
        ]
        await world.relay.publish(said("wallet", 9735, "", *paid))


@dataclass(frozen=True)
class Way:
    go: Callable[[World, Hosts], Awaitable[None]]
    asks: tuple[str, ...]
    """Parts of paths at which the honest host is asked."""
    every: int = 1
    """Only each second, third … spelling, where each costs much."""
    guarded: float = 0.5
    """The part of the spellings that come as far as the guard: others are no addresses of the way's to begin with."""


WAYS = [
    Way(actors, ("/actor",)),
    Way(notes, ("/parent", "/quote", "/who")),
    Way(boosts, ("/boost",)),
    Way(redirects, ("/redirect",)),
    Way(inboxes, ("/inbox",), every=2),
    Way(moves, ("/move",)),
    Way(webfinger_links, ("/linked",)),
    Way(looked_up, ("/.well-known/webfinger", "/.well-known/nostr.json")),
    Way(profiles, ("/.well-known/nostr.json", "/claimed", "/relay"), every=3),
    Way(wallets, ("/wallet/",), every=2, guarded=0.1),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.go.__name__)
async def test_no_address_inside_is_reached(world: World, way: Way) -> None:
    before = refused_of(await world.daemon.metrics())
    hosts = HOSTS[:: way.every]
    await way.go(world, hosts)
    await world.settled()

    async def guarded() -> bool:
        return refused_of(await world.daemon.metrics()) - before >= len(hosts) * way.guarded

    await eventually(guarded)
    assert world.bird.hits == []

    world.far.got.clear()
    await way.go(world, ["far.example"])
    for part in way.asks:
        await eventually(lambda p=part: [got for got in world.far.got if p in got.path])
    assert not [got for got in world.far.got if "picture" in got.path], (
        "media are linked to, where no network has to own them"
    )
    await world.still_good()


async def test_accounts_of_the_settings_are_looked_up_outside_alone(world: World) -> None:
    await eventually(lambda: world.listed)
    assert world.bird.hits == []


async def test_name_that_changes_its_mind_is_judged_each_time(world: World) -> None:
    """DNS rebinding: a public address when asked first, one inside at the next hop or the next request."""
    world.names.answers["rebind.example"] = [[EVIL], ["127.0.0.1"]]
    world.evil.script = lambda got: Answer(302, {"Location": "http://rebind.example/again", "Connection": "close"})
    before = refused_of(await world.daemon.metrics())
    await world.send(world.alice.create("look", inReplyTo="http://rebind.example/first"))
    await world.settled()
    assert [got.path for got in world.evil.got] == ["/first"]
    assert refused_of(await world.daemon.metrics()) > before
    assert world.bird.hits == []
    await world.still_good()


async def test_ports_that_are_not_the_webs_are_not_knocked_at(world: World) -> None:
    before = refused_of(await world.daemon.metrics())
    for port in (22, 25, 6379, 5432, 9200, 0, 65535):
        await world.send(world.alice.create("look", inReplyTo=f"http://far.example:{port}/ported"))
    await world.settled()
    assert refused_of(await world.daemon.metrics()) >= before + 7
    assert not [got for got in world.far.got if "ported" in got.path]
    await world.still_good()


async def test_key_elsewhere_and_pasted_addresses_cause_no_request_at_all(world: World) -> None:
    world.far.got.clear()
    for host in [*HOSTS, "far.example"]:
        body = json.dumps(world.alice.create("hi")).encode()
        headers = world.alice.signed(world.inbox, body, key_id=f"http://{host}/users/alice#main-key")
        assert (await world.good.post(world.inbox, body, headers))[0] == 401
        for path in ("/", "/r/"):
            assert (await world.daemon.get(f"{path}{quote(f'http://{host}/x', safe='')}"))[0] in (400, 404)
        resource = quote(f"http://{host}/x", safe="")
        assert (await world.daemon.get(f"/.well-known/webfinger?resource={resource}"))[0] == 404
    assert [got.path for got in world.far.got if not got.path.startswith("/relay")] == []
    assert world.bird.hits == []
    await world.still_good()


async def test_canaries_hear_whoever_calls(world: World) -> None:
    """Last: without this none of the above would prove anything."""
    called = 0
    for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "::ffff:127.0.0.1"):
        for port in (80, 443):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            called += 1
    await eventually(lambda: len(world.bird.hits) == called)
    world.bird.hits.clear()
