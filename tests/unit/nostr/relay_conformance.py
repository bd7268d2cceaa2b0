"""What the embedded relay must do, as a list that any client can be put through.

Run in process over raw frames and by nostr-sdk (test_relay_conformance.py), and by nostr-sdk against the real
daemon (tests/interop/test_relay_conformance.py), whose Python has nothing of ours: no imports from the project.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, Protocol

import nostr_sdk as sdk

Event = dict[str, Any]
Filter = Mapping[str, Any]
Tag = tuple[str, ...]


class Refused(Exception):
    """The relay does not answer a question."""


class Relay(Protocol):
    """A client of the relay. `by` names whom it authenticates as; "" for nobody."""

    ghost: str
    """The key of a ghost."""
    bridged: str
    """The name of a bridged account; names stand for keys, see `secret`."""

    def said(self, name: str, kind: int, content: str, tags: Iterable[Tag], at: int) -> Event: ...
    async def publish(self, event: Event, by: str = "") -> tuple[bool, str]: ...
    async def ask(self, *filters: Filter, by: str = "") -> list[Event]:
        """In the order sent. Raises Refused."""
        ...

    async def count(self, filter_: Filter) -> int: ...
    async def live(self, filter_: Filter, events: Sequence[Event], by: str = "") -> list[str]:
        """Ids that a subscription without stored events gets of these, published later, of which the last comes."""
        ...

    async def sync(self, filter_: Filter, mine: Sequence[Event]) -> tuple[set[str], set[str]]:
        """By negentropy: ids that the relay lacks, ids that it has more."""
        ...

    async def wait_until(self, moment: float) -> None: ...


Check = Callable[[Relay], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def check(run: Check) -> Check:
    CHECKS[run.__name__] = run
    return run


def secret(name: str) -> bytes:
    return sha256(name.encode()).digest()


def somebody() -> str:
    return f"conformance-{os.urandom(6).hex()}"


class Person:
    """Somebody new, whose notes name the ghost: so the relay takes them."""

    def __init__(self, relay: Relay, name: str = "") -> None:
        self.relay, self.name = relay, name or somebody()
        self.key: str = relay.said(self.name, 1, "", (), 0)["pubkey"]

    def says(self, kind: int, content: str = "", *tags: Tag, ago: int = 0) -> Event:
        return self.relay.said(self.name, kind, content, tags, int(time.time()) - ago)

    def answers(self, content: str, *tags: Tag, ago: int = 0, kind: int = 1) -> Event:
        return self.says(kind, content, ("p", self.relay.ghost), *tags, ago=ago)

    async def arrives(self) -> None:
        """The relay knows them from now on."""
        await accepted(self.relay, self.answers("hello", ago=5000))


async def accepted(relay: Relay, *events: Event, by: str = "") -> None:
    for event in events:
        taken, why = await relay.publish(event, by)
        assert taken, f"kind {event['kind']} refused: {why}"


async def refused(relay: Relay, event: Event, *prefixes: str, by: str = "") -> None:
    taken, why = await relay.publish(event, by)
    assert not taken
    assert why.partition(":")[0] in prefixes, why


async def ids(relay: Relay, *filters: Filter, by: str = "") -> list[str]:
    """Nothing where the relay refuses to answer."""
    try:
        return [event["id"] for event in await relay.ask(*filters, by=by)]
    except Refused:
        return []


def ids_of(*events: Event) -> list[str]:
    return [event["id"] for event in events]


@check
async def newest_of_a_replaceable_stays(relay: Relay) -> None:
    who = Person(relay)
    await who.arrives()
    for kind in (0, 10002, 10050):
        old, new = who.says(kind, "{}", ago=20), who.says(kind, "{}", ("x", "y"), ago=10)
        await accepted(relay, new)
        await relay.publish(old)  # either answer will do: it may count as a duplicate
        assert await ids(relay, {"authors": [who.key], "kinds": [kind]}) == [new["id"]]
        newest = who.says(kind, "{}", ago=5)
        await accepted(relay, newest)
        assert await ids(relay, {"authors": [who.key], "kinds": [kind]}) == [newest["id"]]


@check
async def lowest_id_of_equals_stays(relay: Relay) -> None:
    who = Person(relay)
    await who.arrives()
    for kind in (0, 30023):
        same = sorted((who.answers(str(n), ("d", "x"), ago=20, kind=kind) for n in range(4)), key=lambda e: e["id"])
        await accepted(relay, same[2], same[1])
        await relay.publish(same[3])
        await accepted(relay, same[0])
        assert await ids(relay, {"authors": [who.key], "kinds": [kind]}) == [same[0]["id"]]


@check
async def addressables_are_kept_by_their_d(relay: Relay) -> None:
    who = Person(relay)
    x1, x2, y = (who.answers("", ("d", d), ago=ago, kind=30023) for d, ago in (("x", 9), ("x", 8), ("y", 7)))
    await accepted(relay, x1, x2, y)
    assert await ids(relay, {"authors": [who.key], "kinds": [30023]}) == ids_of(y, x2)
    assert await ids(relay, {"authors": [who.key], "#d": ["x"]}) == ids_of(x2)


@check
async def deleting_an_address_reaches_to_its_time(relay: Relay) -> None:
    who = Person(relay)
    place = f"30023:{who.key}:x"
    old, middle = who.answers("1", ("d", "x"), ago=30, kind=30023), who.answers("2", ("d", "x"), ago=20, kind=30023)
    other = who.answers("3", ("d", "y"), ago=25, kind=30023)
    later = who.answers("4", ("d", "x"), ago=5, kind=30023)
    await accepted(relay, old, other, who.says(5, "", ("a", place), ("k", "30023"), ago=10))
    assert await ids(relay, {"authors": [who.key], "kinds": [30023]}) == ids_of(other)
    await refused(relay, old, "blocked")
    await refused(relay, middle, "blocked")
    await accepted(relay, later)
    assert set(await ids(relay, {"authors": [who.key], "kinds": [30023]})) == set(ids_of(later, other))


@check
async def deleted_is_gone_and_stays_gone(relay: Relay) -> None:
    who = Person(relay)
    note, kept = who.answers("to go", ago=20), who.answers("to stay", ago=20)
    await accepted(relay, note, kept)
    deletion = who.says(5, "", ("e", note["id"]), ("k", "1"))
    await accepted(relay, deletion)
    assert await ids(relay, {"ids": ids_of(note, kept)}) == ids_of(kept)
    await refused(relay, note, "blocked")
    assert await ids(relay, {"authors": [who.key]}) == ids_of(deletion, kept)


@check
async def deletion_by_another_key_has_no_effect(relay: Relay) -> None:
    who, thief = Person(relay), Person(relay)
    note, article = who.answers("mine", ago=20), who.answers("mine", ("d", "x"), ago=20, kind=30023)
    own = thief.answers("the thief's own", ago=20)
    await accepted(relay, note, article, own)
    place = f"30023:{who.key}:x"
    await accepted(relay, thief.says(5, "", ("e", note["id"]), ("a", place), ("e", own["id"])))
    assert set(await ids(relay, {"ids": ids_of(note, article, own)})) == set(ids_of(note, article))


@check
async def deletion_of_a_deletion_has_no_effect(relay: Relay) -> None:
    who = Person(relay)
    note = who.answers("x", ago=20)
    first = who.says(5, "", ("e", note["id"]), ago=10)
    second = who.says(5, "", ("e", first["id"]), ago=5)
    await accepted(relay, note, first, second)
    assert await ids(relay, {"authors": [who.key]}) == ids_of(second, first)
    await refused(relay, note, "blocked")


@check
async def duplicate_is_accepted_and_held_once(relay: Relay) -> None:
    note = Person(relay).answers("once")
    await accepted(relay, note)
    await accepted(relay, note)
    assert await ids(relay, {"ids": ids_of(note)}) == ids_of(note)


@check
async def ephemeral_is_live_and_not_stored(relay: Relay) -> None:
    who = Person(relay, relay.bridged)
    mark = os.urandom(4).hex()
    event = who.says(20001, "now", ("t", mark))
    assert await relay.live({"kinds": [20001], "#t": [mark]}, [event]) == ids_of(event)
    assert await ids(relay, {"kinds": [20001]}) == []


@check
async def expired_is_refused_and_hidden(relay: Relay) -> None:
    who = Person(relay)
    now = int(time.time())
    await refused(relay, who.answers("over", ("expiration", str(now - 5)), ago=60), "invalid", "blocked")
    soon = who.answers("soon over", ("expiration", str(now + 12)), ("t", who.name), ago=60)
    await accepted(relay, soon)
    asked: list[Filter] = [{"ids": ids_of(soon)}, {"authors": [who.key]}, {"#t": [who.name]}]
    assert [await ids(relay, filter_) for filter_ in asked] == [ids_of(soon)] * 3
    await relay.wait_until(now + 13)
    assert [await ids(relay, filter_) for filter_ in asked] == [[]] * 3
    assert await relay.count({"authors": [who.key]}) == 0


@check
async def future_is_refused(relay: Relay) -> None:
    who = Person(relay)
    await accepted(relay, who.answers("slow clock", ago=-800))
    await refused(relay, who.answers("far away", ago=-1000), "invalid")
    await accepted(relay, who.answers("long ago", ago=10 * 365 * 86400))


@check
async def count_is_exact(relay: Relay) -> None:
    who = Person(relay)
    await accepted(relay, *(who.answers(str(n), ("t", str(n % 2)), ago=n) for n in range(7)))
    assert await relay.count({"authors": [who.key]}) == 7
    assert await relay.count({"authors": [who.key], "#t": ["1"]}) == 3
    assert await relay.count({"authors": [who.key], "limit": 2}) == 7
    assert await relay.count({"authors": [who.key], "kinds": [7]}) == 0


@check
async def times_are_inclusive_and_limits_take_the_newest(relay: Relay) -> None:
    who = Person(relay)
    notes = [who.answers(str(n), ago=100 - n) for n in range(5)]
    await accepted(relay, *notes)
    at, mine = notes[0]["created_at"], {"authors": [who.key]}
    assert await ids(relay, mine | {"since": at + 1, "until": at + 2}) == ids_of(notes[2], notes[1])
    assert await ids(relay, mine | {"limit": 2}) == ids_of(notes[4], notes[3])
    assert await ids(relay, mine | {"limit": 2, "until": at + 1}) == ids_of(notes[1], notes[0])
    assert await ids(relay, mine | {"limit": 0}) == []
    assert await ids(relay, mine | {"limit": 1_000_000}) == ids_of(*reversed(notes))


@check
async def empty_lists_match_nothing(relay: Relay) -> None:
    note = Person(relay).answers("x")
    await accepted(relay, note)
    for name in ("authors", "kinds", "#t"):
        assert await ids(relay, {"ids": ids_of(note), name: []}) == []


@check
async def live_follows_the_filter(relay: Relay) -> None:
    who = Person(relay)
    sent = [who.answers(t, ("t", t), kind=kind) for kind in (1, 7) for t in ("wrong", "right")]
    wanted: Filter = {"authors": [who.key], "#t": ["right"]}
    assert await relay.live(wanted, sent) == ids_of(sent[1], sent[3])


@check
async def search_finds_all_words_in_any_case(relay: Relay) -> None:
    who = Person(relay)
    mark = "w" + os.urandom(5).hex()
    both = who.answers(f"Blaue TASSEN, {mark}!", ago=9)
    one = who.answers(f"blaue Teller {mark}", ago=8)
    title = who.answers("no word of it", ("d", "x"), ("title", f"Tassen {mark}"), ago=7, kind=30023)
    like = who.answers(f"tassen {mark}", ago=6, kind=7)
    await accepted(relay, both, one, title, like)
    assert await ids(relay, {"search": f"{mark} tassen"}) == ids_of(title, both)
    assert await ids(relay, {"search": f"{mark.upper()} Blaue language:de"}) == ids_of(one, both)
    assert await ids(relay, {"search": mark, "kinds": [1], "limit": 1}) == ids_of(one)
    assert await ids(relay, {"search": f"{mark} tasse"}) == []
    assert await relay.count({"search": mark}) == 3
    gone = who.says(5, "", ("e", both["id"]))
    await accepted(relay, gone)
    assert await ids(relay, {"search": f"blaue {mark}"}) == ids_of(one)


@check
async def protected_is_taken_from_its_author_only(relay: Relay) -> None:
    who = Person(relay, relay.bridged)
    event = who.says(1, f"for this relay {somebody()}", ("-",))
    await refused(relay, event, "auth-required")
    await refused(relay, event, "auth-required", by=somebody())
    await accepted(relay, event, by=who.name)
    assert await ids(relay, {"ids": ids_of(event)}) == ids_of(event)
    stranger = Person(relay)
    await refused(relay, stranger.answers("protected", ("-",)), "auth-required")
    await refused(relay, stranger.answers("protected", ("-",)), "restricted", by=stranger.name)


@check
async def authentication_alone_grants_nothing(relay: Relay) -> None:
    who = Person(relay)
    await refused(relay, who.says(1, "buy my things"), "restricted")
    await refused(relay, who.says(1, "buy my things"), "restricted", by=who.name)
    await refused(relay, who.says(0, "{}"), "restricted", by=who.name)
    await refused(relay, who.says(20001), "restricted", by=who.name)


@check
async def gift_wraps_are_taken_for_ghosts_and_shown_to_nobody_else(relay: Relay) -> None:
    who, other = Person(relay), Person(relay)
    wrap = who.answers("sealed", ago=2 * 86400 - 60, kind=1059)
    await accepted(relay, wrap)
    await refused(relay, who.says(1059, "sealed", ("p", other.key)), "restricted")
    questions: list[Filter] = [
        {"kinds": [1059]},
        {"ids": ids_of(wrap)},
        {"authors": [who.key]},
        {"#p": [relay.ghost], "since": wrap["created_at"], "until": wrap["created_at"]},
        {"kinds": [1, 1059], "authors": [who.key]},
    ]
    for by in ("", who.name, other.name):
        for question in questions:
            assert wrap["id"] not in await ids(relay, question, by=by)
    assert await relay.count({"authors": [who.key]}) == 0
    assert await relay.sync({"authors": [who.key]}, []) == (set(), set())


@check
async def who_vanishes_is_gone(relay: Relay) -> None:
    who, other = Person(relay), Person(relay)
    notes = [
        who.answers(f"vanishing {n}", ("d", "x"), ("t", who.name), ago=50 - n, kind=k)
        for n, k in enumerate((1, 30023, 7))
    ]
    late = who.answers("of before, arriving after", ago=40)
    theirs = other.answers("theirs", ("p", who.key), ago=45)
    await accepted(relay, *notes, theirs)
    await accepted(relay, who.says(5, "", ("e", notes[0]["id"]), ago=30))
    await refused(relay, who.says(62, "", ("relay", "wss://elsewhere.test")), "invalid")
    await refused(relay, Person(relay).says(62, "", ("relay", "ALL_RELAYS")), "restricted")
    assert len(await ids(relay, {"authors": [who.key]})) == 3
    farewell = who.says(62, "bye", ("relay", "ALL_RELAYS"), ago=20)
    await accepted(relay, farewell)
    assert await ids(relay, {"authors": [who.key]}) == ids_of(farewell)
    assert await ids(relay, {"#t": [who.name]}) == []
    assert await ids(relay, {"#p": [who.key]}) == ids_of(theirs)
    for event in (*notes, late):
        await refused(relay, event, "blocked")
    await accepted(relay, who.answers("back again", ago=0))


@check
async def negentropy_finds_the_difference(relay: Relay) -> None:
    who = Person(relay)
    notes = [who.answers(str(n), ago=n // 3) for n in range(80)]
    await accepted(relay, *notes[:70])
    lacking, more = await relay.sync({"authors": [who.key], "kinds": [1]}, notes[5:])
    assert lacking == set(ids_of(*notes[70:]))
    assert more == set(ids_of(*notes[:5]))
    assert await relay.sync({"authors": [who.key], "kinds": [1]}, notes[:70]) == (set(), set())


def naive(filter_: Filter, event: Event) -> bool:
    """NIP-01, by the letter."""
    for name, wanted in filter_.items():
        match name:
            case "ids" | "authors" | "kinds":
                met = event[{"ids": "id", "authors": "pubkey", "kinds": "kind"}[name]] in wanted
            case "since":
                met = event["created_at"] >= wanted
            case "until":
                met = event["created_at"] <= wanted
            case "limit":
                met = True
            case _:
                met = any(len(tag) > 1 and tag[0] == name[1:] and tag[1] in wanted for tag in event["tags"])
        if not met:
            return False
    return True


def some_filter(dice: random.Random, events: Sequence[Event]) -> dict[str, Any]:
    """One that some of the events may meet."""
    made: dict[str, Any] = {}

    def some(values: Iterable[Any]) -> list[Any]:
        return dice.sample(pool := sorted(set(values)), min(len(pool), dice.randint(1, 3)))

    if dice.random() < 0.3:
        made["ids"] = dice.sample(ids_of(*events), min(len(events), 20))
    if dice.random() < 0.5:
        made["kinds"] = some([e["kind"] for e in events] + [9999])
    for name in "et":
        if dice.random() < 0.3:
            made[f"#{name}"] = some(tag[1] for e in events for tag in e["tags"] if len(tag) > 1 and tag[0] == name)
    for name in ("since", "until"):
        if dice.random() < 0.3:
            made[name] = dice.choice(events)["created_at"] + dice.choice((-1, 0, 0, 1))
    return made


@check
async def filters_find_what_a_naive_one_finds(relay: Relay) -> None:
    dice = random.Random(11)
    people = [Person(relay) for _ in range(3)]
    events = [
        dice.choice(people).answers(
            str(n),
            *(("t", dice.choice("abAé")) for _ in range(dice.randint(0, 2))),
            *(("e", dice.choice(("ab", "cd")) * 32) for _ in range(dice.randint(0, 2))),
            ago=dice.randint(0, 9),
            kind=dice.choice((1, 1, 7, 16)),
        )
        for n in range(40)
    ]
    await accepted(relay, *events)
    for _ in range(40):  # two questions each, of the hundred that may be asked at once
        filter_ = some_filter(dice, events) | {"authors": dice.sample([p.key for p in people], dice.randint(1, 3))}
        limit = dice.choice((None, None, 1, 3))
        wanted = sorted((e for e in events if naive(filter_, e)), key=lambda e: (-e["created_at"], e["id"]))
        asked = filter_ if limit is None else filter_ | {"limit": limit}
        assert await ids(relay, asked) == ids_of(*wanted[:limit]), asked
        assert await relay.count(filter_) == len(wanted), filter_


class Shelf(sdk.NostrDatabase):
    """A client's own events, by which it syncs."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = {event["id"]: event for event in events}

    def backend(self) -> str:
        return "shelf"

    def features(self) -> sdk.NostrDatabaseFeatures:
        return sdk.NostrDatabaseFeatures(
            persistent=False, event_expiration=False, full_text_search=False, request_to_vanish=False
        )

    async def save_event(self, event: sdk.Event) -> sdk.SaveEventStatus:
        self.events[event.id().to_hex()] = json.loads(event.as_json())
        return sdk.SaveEventStatus.success()

    async def check_id(self, event_id: sdk.EventId) -> sdk.DatabaseEventStatus:
        known = event_id.to_hex() in self.events
        return sdk.DatabaseEventStatus.SAVED if known else sdk.DatabaseEventStatus.NOT_EXISTENT

    async def event_by_id(self, event_id: sdk.EventId) -> sdk.Event | None:
        event = self.events.get(event_id.to_hex())
        return None if event is None else sdk.Event.from_json(json.dumps(event))

    async def query(self, filter: sdk.Filter) -> list[sdk.Event]:
        wanted = json.loads(filter.as_json())
        return [sdk.Event.from_json(json.dumps(event)) for event in self.events.values() if naive(wanted, event)]

    async def count(self, filter: sdk.Filter) -> int:
        return len(await self.query(filter))


class Sdk:
    """PyPI nostr-sdk. `build` makes a client builder; a subscription that brings what was not asked for is an error."""

    def __init__(self, url: str, ghost: str, bridged: str, build: Callable[[], Any]) -> None:
        self._build = build
        self.url, self.ghost, self.bridged = url, ghost, bridged
        self._clients: dict[str, Any] = {}

    async def client(self, by: str) -> Any:
        """One connection for each name it authenticates as."""
        if by not in self._clients:
            self._clients[by] = await self._connect(by)
        return self._clients[by]

    async def _connect(self, by: str, shelf: Shelf | None = None) -> Any:
        builder = self._build().verify_subscriptions(True).ban_relay_on_mismatch(True)
        if by:
            builder = builder.authenticator(sdk.SignerAuthenticator(self._keys(by)))
        if shelf is not None:
            builder = builder.database(shelf)
        client = builder.build()
        await client.add_relay(sdk.RelayUrl.parse(self.url))
        await client.connect(and_wait=timedelta(seconds=60))
        return client

    async def close(self) -> None:
        for client in self._clients.values():
            await client.shutdown()

    def _keys(self, name: str) -> Any:
        return sdk.Keys.parse(secret(name).hex())

    def _event(self, event: Event) -> Any:
        return sdk.Event.from_json(json.dumps(event))

    def _filter(self, filter_: Filter) -> Any:
        return sdk.Filter.from_json(json.dumps(filter_))

    def said(self, name: str, kind: int, content: str, tags: Iterable[Tag], at: int) -> Event:
        builder = sdk.EventBuilder(sdk.Kind(kind), content).tags([sdk.Tag.parse(list(tag)) for tag in tags])
        made = builder.custom_created_at(sdk.Timestamp.from_secs(at)).finalize(self._keys(name))
        return json.loads(made.as_json())

    async def publish(self, event: Event, by: str = "") -> tuple[bool, str]:
        sent = await (await self.client(by)).send_event(self._event(event), ok_timeout=timedelta(seconds=60))
        return (True, "") if sent.success else (False, next(iter(sent.failed.values())))

    async def ask(self, *filters: Filter, by: str = "") -> list[Event]:
        target = sdk.ReqTarget.auto([self._filter(filter_) for filter_ in filters])
        found = await (await self.client(by)).fetch_events(target, timeout=timedelta(seconds=60))
        events = [json.loads(event.as_json()) for event in found]
        return sorted(events, key=lambda event: (-event["created_at"], event["id"]))

    async def count(self, filter_: Filter) -> int:
        relay = await (await self.client("")).relay(sdk.RelayUrl.parse(self.url))
        return await relay.count_events(self._filter(filter_), timedelta(seconds=60))

    async def live(self, filter_: Filter, events: Sequence[Event], by: str = "") -> list[str]:
        client = await self._connect(by)
        try:
            stream = client.notifications()
            await client.subscribe(sdk.ReqTarget.auto([self._filter(filter_ | {"limit": 0})]))
            got: list[str] = []
            for event in events:
                await accepted(self, event)
            async with asyncio.timeout(60):
                while not got or got[-1] != events[-1]["id"]:
                    said = await stream.next()
                    if said.is_new_event():
                        got.append(said.event.id().to_hex())
            return got
        finally:
            await client.shutdown()

    async def sync(self, filter_: Filter, mine: Sequence[Event]) -> tuple[set[str], set[str]]:
        report = await self.sync_shelf(filter_, Shelf(mine), sdk.SyncOptions().dry_run())
        return {e.to_hex() for e in report.local}, {e.to_hex() for e in report.remote}

    async def sync_shelf(self, filter_: Filter, shelf: Shelf, options: sdk.SyncOptions) -> sdk.ClientSyncSummary:
        client = await self._connect("", shelf)
        try:
            done = await client.sync(self._filter(filter_), opts=options)
            assert not done.failed
            return done.report
        finally:
            await client.shutdown()

    async def wait_until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - time.time()))
