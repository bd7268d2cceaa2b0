"""Nobody makes us knock on doors inside, with the AT Protocol on: its own ways in, and files, which are fetched for it.

As in test_ssrf.py: the guard as operators have it, canaries everywhere, and an honest host that each way has to ask.
The ways in are the callers of `host.http` in adapters/atproto, and bridged/media.py: documents of did:web and handles
(identity.py), the host that a document names (people.py, reader.py, repos.py), what redirects lead to, names looked up
for whoever asks (naming.py), files and pages of posts and profiles. Directory, AppView, relays, the moderation service
and the stream are the operator's to name, and nobody else's. A Jetstream is scripted, since none installs.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pytest
import pytest_asyncio

from adapters.atproto import handles
from tests.unit.atproto.scripted_streams import commit1, identity1

from .kit import eventually
from .kit.abroad import RELAY, World, abroad, numbers
from .kit.fediverse import Answer, Got
from .kit.internet import EVIL, refused_of
from .kit.nostr import npub, said
from .kit.sky import FOLLOW, POST, Hose, Person, as_json, did_of, failed, spelled
from .test_ssrf import ANSWERS, HOSTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = {
    "private.test": ["10.0.0.1"],
    "mixed.test": [EVIL, "127.0.0.1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "meta.test": ["169.254.169.254"],
    "six.test": ["2001:500:2::c", "fd00::1"],
    "carrier.test": ["100.64.0.1"],
    "own.test": ["127.0.0.1", "::1"],
}
"""Handles and did:web are names alone, and none of those that are nowhere (.example, .local …)."""
ALL = [*HOSTS, *NAMES]
Hosts = Sequence[str]


@dataclass
class Abroad:
    """nora of Nostr is open to all; alice of the fediverse is a member. `documents` are the directory's."""

    world: World
    stream: Hose
    documents: dict[str, Any]
    redirects: dict[str, str]
    pages: dict[str, str]
    bot: str = ""

    async def said(self, frame: dict[str, Any]) -> None:
        await self.stream.write(json.dumps(frame))

    async def follows(self, did: str) -> None:
        """This account follows the bot, so that all there is to know of it is looked at."""
        record = {"$type": FOLLOW, "subject": self.bot, "createdAt": spelled(time.time())}
        await self.said(commit1(did, int(time.time() * 1e6), record, rkey=f"f{next(numbers)}"))

    async def crosses(self, did: str, text: str, timeout: float, before: Sequence[str] = ()) -> bool:
        """A post of this account, and that it came over, or one of those `before` it did."""
        record = {"$type": POST, "text": text, "createdAt": spelled(time.time())}
        await self.said(commit1(did, int(time.time() * 1e6), record, rkey=f"s{next(numbers)}"))
        seen, any_of = self.world.relay, {text, *before}
        await eventually(lambda: [e for e in seen.events(kinds=[1]) if e["content"] in any_of], timeout=timeout)
        return True

    async def joins(self, did: str) -> None:
        """This account, at an honest host, is a member: what it says is heard, and news of it are looked into."""
        self.documents[did] = Person("x", did=did, handle="x.test", pds="https://good.example").document("")
        await self.follows(did)
        said: list[str] = []

        async def heard() -> bool:
            said.append(f"first words {next(numbers)}.")
            return await self.crosses(did, said[-1], 2, said)

        await eventually(heard)

    async def settled(self) -> None:
        await self.world.settled()

    def script(self, got: Got) -> Answer | None:
        path = unquote(got.path.partition("?")[0])
        if path in self.redirects:
            return Answer(302, {"Location": self.redirects[path]})
        if path in self.pages:
            return Answer(200, {"Content-Type": "text/html"}, self.pages[path].encode())
        if path.startswith("/plc/"):
            found = self.documents.get(path.removeprefix("/plc/"))
            return as_json(found) if found else Answer(200 if got.method == "POST" else 404)
        return failed("RecordNotFound") if path.startswith("/xrpc/") else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(net: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Abroad]:
    stream = Hose()
    atproto = {
        "plc": "https://good.example/plc",
        "appview": "https://good.example",
        "ingest": {"jetstream": f"ws://{RELAY}:8082/subscribe"},
        "crawlers": [],
        "moderation": None,
    }
    config = {
        "handle_domain": "bridge.test",
        "consent": {"activitypub": "opt-in", "nostr": "open", "atproto": "opt-in"},
        "egress": {"allow": [], "ports": [80, 443, 8080, 8082]},
        "adapters": {"nostr": {"relays": [f"ws://{RELAY}:8080"]}, "atproto": atproto},
    }
    made = Abroad(None, stream, {}, {}, {})  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("ssrf_at")
    async with stream.open(RELAY, 8082), abroad(folder, ANSWERS | NAMES, config, made.script) as world:
        made.world = world
        await eventually(lambda: stream.sockets)
        resolve = "/xrpc/com.atproto.identity.resolveHandle?handle=bridge.bridge.test"
        made.bot = json.loads((await world.daemon.get(resolve))[2])["did"]
        yield made


# --- the ways in ----------------------------------------------------------------------------------------------


async def hosts_of_accounts(here: Abroad, hosts: Hosts) -> None:
    """The host that a document names: profiles are read there."""
    for host in hosts:
        did = did_of(f"host{next(numbers)}")
        for scheme in ("https", "http"):
            person = Person("x", did=did, handle="x.test", pds=f"{scheme}://{host}")
            here.documents[did] = person.document("")
        await here.follows(did)


async def handles_of_accounts(here: Abroad, hosts: Hosts) -> None:
    """The handle that a document claims, which has to lead back."""
    for host in hosts:
        did = did_of(f"handle{next(numbers)}")
        here.documents[did] = Person("x", did=did, pds="https://good.example").document("")
        here.documents[did]["alsoKnownAs"] = [f"at://{host}"]
        await here.follows(did)


async def web_dids(here: Abroad, hosts: Hosts) -> None:
    for host in hosts:
        if host in NAMES or host == "far.test" or next(numbers) % 3 == 0:  # who says many that are none is hung up on
            await here.follows(f"did:web:{host}")


async def news_of_identities(here: Abroad, hosts: Hosts) -> None:
    """Somebody who is a member has another host from now on."""
    did = did_of("mover")
    await here.joins(did)
    for host in hosts:
        here.documents[did] = Person("x", did=did, handle="x.test", pds=f"https://{host}").document("")
        before = len(here.world.good.got)

        async def told(before: int = before) -> bool:
            await here.said(identity1(did, int(time.time() * 1e6)))
            return any(did in unquote(got.path) for got in here.world.good.got[before:])

        await eventually(told, every=0.2)


async def redirects(here: Abroad, hosts: Hosts) -> None:
    """Where an honest directory or host sends us on to."""
    for host in hosts:
        path = f"/plc/{did_of(f'redirected{next(numbers)}')}"
        here.redirects[path] = f"https://{host}/redirected"
        await here.follows(path.removeprefix("/plc/"))


async def answered_posts(here: Abroad, hosts: Hosts) -> None:
    """A member answers posts of people whose host is said to be there."""
    member = did_of("answers")
    await here.joins(member)
    for host in hosts:
        did = did_of(f"answered{next(numbers)}")
        here.documents[did] = Person("x", did=did, handle="x.test", pds=f"https://{host}").document("")
        strong = {
            "uri": f"at://{did}/{POST}/3kznmn7xqxl22",
            "cid": "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq",
        }
        record = {"$type": POST, "text": "so it is", "createdAt": spelled(time.time())}
        reply = {"reply": {"root": strong, "parent": strong}}
        await here.said(commit1(member, int(time.time() * 1e6), record | reply, rkey=f"a{next(numbers)}"))


async def names_asked_for(here: Abroad, hosts: Hosts) -> None:
    """Whoever asks for a name makes us look for it: names of other networks below our domain, and handles."""

    async def one(host: str) -> None:
        label = handles.label(f"x{next(numbers)}@{host}".lower())
        if label is not None:
            await here.world.daemon.get(f"/xrpc/com.atproto.identity.resolveHandle?handle={quote(label)}.bridge.test")
        name = quote(host, safe="")
        await here.world.daemon.get(f"/.well-known/webfinger?resource=acct:{name}@{here.world.daemon.domain}")

    await here.world.each(hosts, one)


async def pictures(here: Abroad, hosts: Hosts) -> None:
    """Pictures and films of posts."""
    for host in hosts:
        base = f"http://{host}/files{next(numbers)}"
        files = [
            {"type": "Image", "mediaType": "image/png", "url": f"{base}/picture.png"},
            {"type": "Document", "mediaType": "video/mp4", "url": f"{base}/film.mp4"},
        ]
        await here.world.send(here.world.alice.create(f"look at these {next(numbers)}", attachment=files))


async def redirected_pictures(here: Abroad, hosts: Hosts) -> None:
    for host in hosts:
        path = f"/picture/{next(numbers)}"
        here.redirects[path] = f"https://{host}/redirected-picture"
        files = [{"type": "Image", "mediaType": "image/png", "url": f"https://good.example{path}"}]
        await here.world.send(here.world.alice.create(f"look at that {next(numbers)}", attachment=files))


async def avatars(here: Abroad, hosts: Hosts) -> None:
    """Pictures of people: of the fediverse, and of Nostr."""

    async def one(host: str) -> None:
        who = f"face{next(numbers)}"
        shown = {"name": who, "picture": f"http://{host}/avatar.png", "banner": f"http://{host}/banner.png"}
        await here.world.relay.publish(said(who, 0, json.dumps(shown)))
        await here.world.daemon.get(f"/xrpc/com.atproto.identity.resolveHandle?handle={npub(who)}.bridge.test")

    await here.world.each(hosts, one)


async def linked_pages(here: Abroad, hosts: Hosts) -> None:
    """The page that a post leads to, for a card."""
    for host in hosts:
        url = f"http://{host}/page{next(numbers)}"
        link = f'<a href="{url.replace(chr(34), "")}">here</a>'
        await here.world.send(here.world.alice.create(f"read this {next(numbers)} {link}"))


async def pictures_of_cards(here: Abroad, hosts: Hosts) -> None:
    """The picture that an honest page names."""
    for host in hosts:
        path = f"/carded/{next(numbers)}"
        here.pages[path] = f'<title>A page</title><meta property="og:image" content="http://{host}/thumb.png">'
        link = f'<a href="https://good.example{path}">here</a>'
        await here.world.send(here.world.alice.create(f"and this {next(numbers)} {link}"))


@dataclass(frozen=True)
class Way:
    go: Callable[[Abroad, Hosts], Awaitable[None]]
    asks: tuple[str, ...]
    """Parts of paths at which the honest host is asked."""
    every: int = 1
    """Only each second, third … spelling, where each costs much."""
    good: str = "far.test"
    guarded: float = 0.4
    """The part of them that come as far as the guard: others are no addresses of the way's to begin with."""


WAYS = [
    Way(hosts_of_accounts, ("getRecord",)),
    Way(handles_of_accounts, ("/.well-known/atproto-did",), guarded=0.05),
    Way(web_dids, ("/.well-known/did.json",), guarded=0.05),
    Way(news_of_identities, ("getRecord",), every=5, guarded=0.2),
    Way(redirects, ("/redirected",)),
    Way(answered_posts, ("getRecord",), every=4, guarded=0.2),
    Way(names_asked_for, ("/.well-known/webfinger", "/.well-known/atproto-did"), every=3, good="afar.test"),
    Way(pictures, ("/picture.png", "/film.mp4")),
    Way(redirected_pictures, ("/redirected-picture",), every=3),
    Way(avatars, ("/avatar.png", "/banner.png"), every=4),
    Way(linked_pages, ("/page",), every=2),
    Way(pictures_of_cards, ("/thumb.png",), every=3),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.go.__name__)
async def test_no_address_inside_is_reached(here: Abroad, way: Way) -> None:
    world = here.world
    before, hosts = refused_of(await world.daemon.metrics()), ALL[:: way.every]
    await way.go(here, hosts)
    await here.settled()

    async def guarded() -> bool:
        seen = refused_of(await world.daemon.metrics()) - before
        assert seen >= len(hosts) * way.guarded, seen
        return True

    await eventually(guarded)
    assert world.bird.hits == []
    world.far.got.clear()
    await way.go(here, [way.good, "far.example"])
    for part in way.asks:
        await eventually(lambda p=part: [got for got in world.far.got if p in got.path])
    await world.still_good()


async def test_stream_and_directory_are_the_operators_to_name_alone(here: Abroad) -> None:
    """All connections to streams there were are to the one of the settings."""
    log = here.world.daemon.log
    assert f"ws://{RELAY}:8082/subscribe" in log
    assert log.count("atproto_stream_connected") == len(here.stream.cursors) == 1


async def test_hosts_that_hang_hold_up_nobody_else(here: Abroad) -> None:
    """News of a member whose handle, and then of one whose host, never answers, again and again."""
    world, steady, slow = here.world, did_of("steady"), did_of("sluggish")
    for did in (steady, slow):
        await here.joins(did)
    world.evil.script = lambda got: Answer(how="hang")

    hung = len(world.evil.got)
    for number in range(6):
        named = {"handle": "slow.test"} if number < 3 else {"handle": "x.test", "pds": "https://slow.test"}
        here.documents[slow] = Person("x", did=slow, **({"pds": "https://good.example"} | named)).document("")
        await here.said(identity1(slow, int(time.time() * 1e6)))
        began = time.monotonic()
        await here.crosses(steady, f"steady all the same {number}", 60)
        assert time.monotonic() - began < 19, "one host's time, 10 s, at most"
    assert len(world.evil.got) >= hung + 3
    began = time.monotonic()
    await here.said(identity1(slow, int(time.time() * 1e6)))
    await here.crosses(steady, "and by now nobody waits for it any more", 60)
    assert time.monotonic() - began < 9
    world.evil.script = lambda got: None
