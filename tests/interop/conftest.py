"""One world for all interop tests: real peers, a relay, the real daemon (world.py, peers.py, bridge.py)."""

import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from .atproto import WANDA, WIM, AtUser, Stack
from .bridge import Bridge
from .peers import Fedify, Nostr, NostrTools, NostrUser, Peer, Pubby, Relay
from .world import HERE, World, eventually, unready

NAMES = [
    "bridge.test", "open.test", "crash.test", "crash-pg.test",
    "fedify.test", "cavage.test", "pubby.test", "member.test",
    "relays.test", "group.test", "remy.test", "acts.test", "old.test", "new.test", "letters.test",
    "fedify.crash.test", "pubby.crash.test", "fedify.pg.test", "pubby.pg.test",
    "sky.test", "plc.test", "pds.test", "appview.test", "fred.test", "piazza.test", "isle.test", "pds.isle.test",
    "appview.isle.test", "web.test", "plc.web.test", "pds.web.test", "appview.web.test", "wim.test",
]  # fmt: skip
# Handles of people on a PDS, and of ghosts that are did:web: names of their own.
HANDLES = (
    {"bridge.sky.test": "sky.test"}
    | {f"{name}.pds.test": "pds.test" for name in ("remo", "stella", "tess", "ulla", "vera", "walt", "xena")}
    | {f"{name}.pds.test": "pds.test" for name in ("anton", "rolf", "ruth")}
    | {f"{name}.pds.isle.test": "pds.isle.test" for name in ("ivo", "ivor")}
    | {"wolf.pds.web.test": "pds.web.test", WANDA: "web.test", WIM: "web.test", "bridge.web.test": "web.test"}
)
# A PNG of one pixel, garbled within: for those who only pass its address on.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cf500f0003860180345d2d220000000049454e44ae426082"
)
PICTURE = "https://site.test/picture.jpg"


def picture(turned: int = 0) -> bytes:
    """A JPEG that is one, of 64 by 48; turned by other degrees it is another."""
    out = io.BytesIO()
    Image.linear_gradient("L").rotate(turned).resize((64, 48)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if why := unready():
        if os.environ.get("CI") or os.geteuid() == 0:
            pytest.fail(f"interop tests cannot run: {why}")
        pytest.skip(f"not run: {why}")
    world = World(tmp_path_factory.mktemp("interop"), NAMES, HANDLES)
    world.site.pages["site.test", "/pixel.png"] = ("image/png", PIXEL)
    world.site.pages["site.test", "/picture.jpg"] = ("image/jpeg", picture())
    try:
        yield world
    finally:
        world.close()


@pytest.fixture(scope="session")
def nostr(world: World) -> Nostr:
    return Nostr(world)


@pytest.fixture(scope="session")
def tools(world: World) -> NostrTools:
    return NostrTools(world)


@pytest.fixture(scope="session")
def relay(world: World) -> Relay:
    return Relay(world)


@pytest.fixture(scope="session")
def fedify(world: World) -> Fedify:
    """RFC 9421 first, as shipped. Its user fay is a stranger to the bridge: she never follows the bot."""
    return Fedify(world, "fedify.test", icon="https://site.test/pixel.png")


@pytest.fixture(scope="session")
def cavage(world: World) -> Fedify:
    return Fedify(world, "cavage.test", "cat", cavage=True)


@pytest.fixture(scope="session")
def pubby(world: World) -> Pubby:
    return Pubby(world, "pubby.test")


@pytest.fixture(scope="session")
def group(world: World) -> Fedify:
    """A community server's group: it tells on what `announce` hands it (FEP-1b12)."""
    return Fedify(world, "group.test", "birds", kind="Group")


@pytest.fixture(scope="session", params=["fedify", "cavage", "pubby"])
def peer(request: pytest.FixtureRequest) -> Peer:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def bridge(world: World, relay: Relay) -> Iterator[Bridge]:
    """The daemon, with the consent it ships with: Nostr open, the fediverse opt-in."""
    bridge = Bridge(world, "bridge.test", relay)
    bridge.start()
    yield bridge
    assert bridge.stop() == 0, f"not a clean end on SIGTERM:\n{bridge.tail()}"


@pytest.fixture(scope="session")
def open_relay(world: World) -> Relay:
    return Relay(world, "relay-open")


@pytest.fixture(scope="session")
def open_bridge(world: World, open_relay: Relay) -> Iterator[Bridge]:
    """A daemon that bridges everybody who is looked up, and tells them so."""
    bridge = Bridge(world, "open.test", open_relay, consent={"activitypub": "open"}, notice=True)
    bridge.start()
    yield bridge
    assert bridge.stop() == 0


@pytest.fixture(scope="session")
def alice(nostr: Nostr, relay: Relay, world: World) -> NostrUser:
    """A Nostr user with a profile, a NIP-05 name that checks out, and posts before she had a follower."""
    alice = NostrUser(nostr, "interop-alice", relay.url)
    names = f'{{"names": {{"alice": "{alice.public}"}}}}'.encode()
    world.site.pages["site.test", "/.well-known/nostr.json"] = ("application/json", names)
    alice.profile(name="alice", display_name="Alice of Nostr", about="writes tests <by hand>",
                  picture="https://site.test/pixel.png", nip05="alice@site.test")  # fmt: skip
    for n in range(3):
        alice.note(f"an older post {n}")
    return alice


@pytest.fixture(scope="session")
def bob(nostr: Nostr, relay: Relay) -> NostrUser:
    bob = NostrUser(nostr, "interop-bob", relay.url)
    bob.profile(name="bob", about="another one")
    return bob


@pytest.fixture(scope="session")
def alice_ap(alice: NostrUser, bridge: Bridge) -> str:
    """The id of alice's actor on the fediverse."""
    return bridge.actor_of(alice.npub)


@pytest.fixture(scope="session")
def follower(peer: Peer, alice_ap: str) -> Peer:
    """The peer, its user following alice, the follow accepted."""
    return following(peer, alice_ap)


def following(peer: Peer, actor: str) -> Peer:
    if actor not in peer.following():
        peer.follow(actor)
        eventually(lambda: actor in peer.following())
    return peer


@dataclass(frozen=True)
class Talk:
    """A post of alice's (event and note), and the peer's answer to it (note id and event)."""

    peer: Peer
    post: dict[str, Any]
    note: str
    answer: str
    event: dict[str, Any]


@pytest.fixture(scope="session")
def talk(follower: Peer, alice: NostrUser, alice_ap: str, relay: Relay) -> Talk:
    text = f"talk with {follower.host}"
    post = alice.note(text)
    note = follower.wait_note(text)["id"]
    answer = follower.reply(f"answer from {follower.host}", note, alice_ap)
    return Talk(follower, post, note, answer, relay.wait_post(f"answer from {follower.host}"))


@pytest.fixture(scope="session")
def mia(world: World) -> Fedify:
    return Fedify(world, "member.test", "mia", icon="https://site.test/pixel.png")


@pytest.fixture(scope="session")
def key_before(mia: Fedify, bridge: Bridge) -> str | None:
    """What NIP-05 said of mia before she asked to be bridged."""
    return bridge.nip05("mia_at_member.test")


@pytest.fixture(scope="session")
def member(mia: Fedify, bridge: Bridge, key_before: str | None) -> Fedify:
    """A fediverse user who asked to be bridged, by following the bot."""
    following(mia, bridge.bot)
    eventually(lambda: bridge.bot in mia.followers())
    return mia


@pytest.fixture(scope="session")
def ana(world: World, bridge: Bridge, alice_ap: str) -> Fedify:
    """A fediverse user who is bridged all along, and follows alice."""
    ana = following(Fedify(world, "acts.test", "ana"), bridge.bot)
    eventually(lambda: bridge.bot in ana.followers())
    return following(ana, alice_ap)


@pytest.fixture(scope="session")
def ana_key(ana: Fedify, bridge: Bridge) -> str:
    """The key of her ghost."""
    return bridge.key_of("ana_at_acts.test")


@pytest.fixture(scope="session")
def fay(fedify: Fedify, alice_ap: str) -> Fedify:
    """The stranger, who follows alice."""
    return following(fedify, alice_ap)


@dataclass(frozen=True)
class Cast:
    """A poll of alice's that was open for some seconds, in which a stranger and a member chose dogs and another
    stranger cats: event and Question."""

    event: dict[str, Any]
    question: dict[str, Any]
    until: int


@pytest.fixture(scope="session")
def cast(fay: Fedify, ana: Fedify, pubby: Pubby, alice: NostrUser, alice_ap: str, relay: Relay) -> Cast:
    options = [["option", "c1", "Cats"], ["option", "d2", "Dogs"], ["polltype", "singlechoice"]]
    until = int(time.time()) + 30
    event = alice.publish(1068, "cats or dogs?", [*options, ["relay", relay.url], ["endsAt", str(until)]])
    question = fay.wait_note("cats or dogs?")
    ana.wait_note("cats or dogs?")
    fay.vote(question["id"], alice_ap, "Dogs")
    ana.vote(question["id"], alice_ap, "Dogs")
    pubby.vote(question["id"], alice_ap, "Cats")
    fay.vote(question["id"], alice_ap, "Cats")  # too late: one choice is all there is
    return Cast(event, question, until)


@pytest.fixture(scope="session")
def stack_database(scratch_for_peers: str) -> str:
    """As PostgreSQL's own clients spell it."""
    return scratch_for_peers.replace("+asyncpg", "")


@pytest.fixture(scope="session")
def stack(world: World, stack_database: str) -> Iterator[Stack]:
    """PLC directory, PDS and AppView, which reads sky.test as well."""
    stack = Stack(world, "pds.test", "sky.test", "plc.test", stack_database)
    yield stack
    assert stack.refusals() == []
    stack.process.stop()


@pytest.fixture(scope="session")
def sky_relay(world: World) -> Relay:
    return Relay(world, "relay-sky")


@pytest.fixture(scope="session")
def sky(world: World, stack: Stack, sky_relay: Relay) -> Iterator[Bridge]:
    """A daemon that bridges to the stack as well: Nostr open, all others opt-in."""
    at = {"plc": stack.plc, "ingest": {"firehose": "wss://pds.test"}, "appview": "https://appview.test"}
    at["articles"] = True
    bridge = Bridge(world, "sky.test", sky_relay, more_adapters={"atproto": at})
    bridge.start()
    listening(bridge)
    yield bridge
    assert bridge.stop() == 0, f"not a clean end on SIGTERM:\n{bridge.tail()}"


@pytest.fixture(scope="session")
def nora(nostr: Nostr, sky_relay: Relay) -> NostrUser:
    nora = NostrUser(nostr, "interop-nora", sky_relay.url)
    nora.profile(name="nora", display_name="Nora of Nostr", about="nora's words", picture=PICTURE)
    return nora


@pytest.fixture(scope="session")
def fred(world: World, sky: Bridge) -> Fedify:
    """A fediverse user who asked to be bridged."""
    return member_of(sky, Fedify(world, "fred.test", "fred", icon=PICTURE))


@pytest.fixture(scope="session")
def pia(world: World, sky: Bridge) -> Pubby:
    return member_of(sky, Pubby(world, "piazza.test", "pia"))


@dataclass(frozen=True)
class Ghosts:
    """Who the people of other networks are to the AppView: DIDs."""

    nora: str
    fred: str
    pia: str


@pytest.fixture(scope="session")
def ghosts(stack: Stack, nora: NostrUser, fred: Fedify, pia: Pubby) -> Ghosts:
    """As whoever types their handles finds them."""
    ghosts = Ghosts(
        stack.find(f"{nora.npub}.sky.test"),
        stack.find("fred-at-fred-test.sky.test"),
        stack.find("pia-at-piazza-test.sky.test"),
    )
    for did in (ghosts.nora, ghosts.fred, ghosts.pia):
        stack.profile(did)
    return ghosts


@dataclass(frozen=True)
class Reader:
    """Somebody with an account on the PDS who follows all three, and their ghosts: actor and key."""

    user: AtUser
    ap: str
    key: str


Readers = Callable[[str], Reader]


@pytest.fixture(scope="session")
def readers(
    stack: Stack, sky: Bridge, ghosts: Ghosts, nora: NostrUser, fred: Fedify, pia: Pubby, sky_relay: Relay
) -> Readers:
    """Makes one; the three have heard of their follows, so that what they say is carried there from then on."""

    def make(name: str) -> Reader:
        user = AtUser(stack, name)
        user.profile(displayName=f"{name.title()} of the PDS", description="tries things out")
        for did in (ghosts.nora, ghosts.fred, ghosts.pia):
            user.follow(did)
        reader = Reader(user, sky.actor_of(user.handle), sky.key_of(user.handle))
        for peer in (fred, pia):
            eventually(lambda p=peer: reader.ap in p.followers())
        eventually(lambda: nora.public in str(nora.nostr.fetch(sky_relay.url, kinds=[3], authors=[reader.key])))
        return reader

    return make


@pytest.fixture(scope="session")
def stella(readers: Readers) -> Reader:
    """Who never asks to be bridged."""
    return readers("stella")


@pytest.fixture(scope="session")
def nora_ap(nora: NostrUser, sky: Bridge, fred: Fedify, pia: Pubby) -> str:
    """Nora's actor, whom the people of the fediverse follow."""
    actor = sky.actor_of(nora.npub)
    for peer in (fred, pia):
        following(peer, actor)
    return actor


def listening(bridge: Bridge) -> None:
    """Waits until its stream of a PDS is open: what is said there before is not heard."""
    name = "bridged_atproto_stream_connected"
    eventually(lambda: any(x.startswith(name) and x.endswith(" 1.0") for x in bridge.metrics().splitlines()))


def member_of(bridge: Bridge, peer: Peer) -> Any:
    following(peer, bridge.bot)
    eventually(lambda: bridge.bot in peer.followers())
    return peer


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Here the peers are tested first and crashes last; what else is collected stays where it is."""
    rank = {"test_peers.py": 0, "test_crash.py": 2}
    places = [n for n, item in enumerate(items) if item.path.parent == HERE]
    for n, item in zip(places, sorted((items[n] for n in places), key=lambda i: rank.get(i.path.name, 1)), strict=True):
        item.add_marker("interop")
        items[n] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Shows the end of each daemon's log where a test failed."""
    report = yield
    if report.failed:
        for bridge in Bridge.all:
            report.sections.append((f"{bridge.host} log", bridge.tail(80)))
    return report
