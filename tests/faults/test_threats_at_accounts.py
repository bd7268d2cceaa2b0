"""Whom an account belongs to, what its host and directory say of it, and how soon that is acted on.

Hosts, directory and AppView are scripted (`kit/sky.py`); the times are of the real clock.
"""

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.atproto.crypto import SigningKey

from .kit import eventually
from .kit.fediverse import Answer, Got
from .kit.heaven import HANDLES, Heaven, heaven
from .kit.sky import POST, PROFILE, Person, as_json, did_of
from .kit.watch import calm

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOON = 60.0
"""Seconds within which what a stream says of an account is acted on."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> AsyncIterator[Heaven]:
    async with heaven(tmp_path_factory.mktemp("accounts"), kind=database_kind) as made:
        yield made
        made.sky.script = lambda got: None


def deletes(here: Heaven, who: Person) -> list[Got]:
    return [got for got in here.peer.posts("Delete") if who.did in got.json["actor"]]


async def actor(here: Heaven, who: Person) -> tuple[int, dict[str, Any]]:
    headers = {"Accept": "application/activity+json"}
    status, _, body = await here.daemon.get(f"/users/atproto/{who.did}", headers)
    return status, json.loads(body) if status == 200 else {}


# --- accounts that go, and change -----------------------------------------------------------------------------


async def withdrawn(here: Heaven, status: str) -> None:
    """Somebody's account is said to be gone: carol is told within a minute, and neither they nor their post shown."""
    name = status.replace(" ", "") or "gone"
    who = await here.join(name)
    await here.crosses(f"said before being {name}", who)
    (copy_,) = here.copies(f"said before being {name}")
    page = copy_.json["object"]["id"].removeprefix(here.daemon.base)
    began = time.monotonic()
    await here.sky.account(who, False, status)
    await eventually(lambda: deletes(here, who), timeout=SOON)
    assert time.monotonic() - began < SOON

    async def gone() -> bool:
        headers = {"Accept": "application/activity+json"}
        return {(await here.daemon.get(page, headers))[0], (await actor(here, who))[0]} <= {404, 410}

    await eventually(gone, timeout=SOON - (time.monotonic() - began))
    await here.good()


@pytest.mark.both
@pytest.mark.parametrize("status", ["takendown", "deleted", "suspended", "deactivated"])
async def test_account_that_is_gone_is_withdrawn_within_a_minute(here: Heaven, status: str) -> None:
    await withdrawn(here, status)


@pytest.mark.parametrize("status", ["never heard of", ""])
async def test_account_that_is_not_active_is_withdrawn_whatever_the_word(here: Heaven, status: str) -> None:
    """The flag counts; words for it are added, and need not be said (specs/account)."""
    await withdrawn(here, status)


async def test_account_whose_relay_only_throttles_or_lost_touch_stays(here: Heaven) -> None:
    """`active: false` for reasons of the relay's own says nothing of the account (sync#account)."""
    sent = len(here.peer.posts("Delete"))
    for status in ("throttled", "desynchronized"):
        await here.sky.account(here.ada, False, status)
    await here.good()
    assert len(here.peer.posts("Delete")) == sent


async def test_news_of_accounts_that_are_not_there_or_are_ours_do_nothing(here: Heaven) -> None:
    ours = Person("ours", did=await here.did_of(f"bridge.{HANDLES}"))
    sent = len(here.peer.posts("Delete"))
    for who in (ours, Person("nobody")):
        await here.sky.account(who, False, "deleted")
        await here.sky.identity(who)
    await here.good()
    assert len(here.peer.posts("Delete")) == sent
    assert await here.did_of(f"bridge.{HANDLES}") == ours.did


async def renamed(here: Heaven) -> None:
    """Somebody's handle changes: it is shown within a minute, and carol is told."""
    who = await here.join("renamed")
    who.handle = "renamed-anew.sky.test"
    began = time.monotonic()
    await here.sky.identity(who)

    async def shown() -> bool:
        return (await actor(here, who))[1]["preferredUsername"] == who.handle

    def told() -> list[Got]:
        return [got for got in here.peer.posts("Update") if who.handle in got.text]

    await eventually(shown, timeout=SOON)
    await eventually(told, timeout=SOON - (time.monotonic() - began))
    assert time.monotonic() - began < SOON
    await here.good()


@pytest.mark.both
async def test_handle_that_changed_is_shown_within_a_minute(here: Heaven) -> None:
    await renamed(here)


async def test_word_of_a_jetstream_on_accounts_is_acted_on_within_a_minute(tmp_path: Path) -> None:
    async with heaven(tmp_path, jetstream=True) as there:
        for status in ("takendown", "deleted"):
            await withdrawn(there, status)
        await renamed(there)


async def test_key_and_host_that_changed_count_within_a_minute(here: Heaven) -> None:
    who = await here.join("moved")
    who.repo.key = SigningKey(b"q" * 32)
    began = time.monotonic()
    await here.sky.identity(who)
    await eventually(lambda: here.sky.asked(f"/plc/{who.did}"))

    said: list[str] = []

    async def crosses() -> bool:
        said.append(f"under the new key {time.monotonic()}")
        await here.sky.say(who, who.post(said[-1]))
        await eventually(lambda: [text for text in said if here.copies(text)], timeout=3)
        return True

    await eventually(crosses, timeout=SOON)
    assert time.monotonic() - began < SOON
    await here.good()


async def test_handle_that_does_not_lead_back_is_not_shown_as_theirs(here: Heaven) -> None:
    """mallory's document claims ada's handle, which leads to ada."""
    mallory = await here.join("mallory", handle=here.ada.handle)
    status, shown = await actor(here, mallory)
    assert status == 200
    assert here.ada.handle not in json.dumps([shown["preferredUsername"], shown["name"], shown["url"]])
    assert (await actor(here, here.ada))[1]["preferredUsername"] == here.ada.handle
    assert await here.daemon.actor_of(here.ada.handle) == here.ghost
    await here.good()


# --- hosts that lie -------------------------------------------------------------------------------------------


def lies(who: Person) -> dict[str, Answer]:
    """What a host may answer to getRepo, and why it is no good."""
    lie = {"$type": POST, "text": "a lie", "createdAt": "2026-01-01T00:00:00Z"}
    other, forged, whole = Person("other").repo, copy.deepcopy(who.repo), who.repo.whole()
    other.change(0, {f"{POST}/3kznmn7xqxl22": lie})
    forged.key = SigningKey(b"f" * 32)
    forged.change(0, {f"{POST}/{who.key()}": lie})
    return {
        "somebody else's repo": Answer(200, body=other.whole()),
        "another's signature": Answer(200, body=forged.whole()),
        "a byte turned": Answer(200, body=whole[:-1] + bytes([whole[-1] ^ 1])),
        "half of it": Answer(200, body=whole, how="half"),
        "nothing": Answer(200),
        "rubbish": Answer(200, body=b"\xff" * 10_000),
        "JSON": as_json({"error": "what?"}),
        "40 MB": Answer(200, body=bytes(40 << 20)),
        "an address inside": Answer(302, {"Location": "http://10.0.0.1/repo"}),
        "a failure": Answer(500),
        "a byte now and then": Answer(200, body=whole, how="slow"),
    }


async def test_host_that_lies_about_a_repo_is_not_believed_and_holds_nobody_up(here: Heaven) -> None:
    """Something of each was missed, and what is first answered to getRepo is a lie; then the truth."""
    names = list(lies(here.ada))
    people = await asyncio.gather(*(here.join(f"lied-to-{n}") for n in range(len(names))))
    for who in people:
        await here.crosses(f"first of {who.name},", who)
    told = {who.did: lies(who)[name] for who, name in zip(people, names, strict=True)}

    def script(got: Got) -> Answer | None:
        return told.pop(got.path.partition("did=")[2].partition("&")[0], None) if "sync.getRepo" in got.path else None

    here.sky.script = script
    async with calm(here.daemon):
        for who in people:
            who.repo.change(0, who.post(f"missed of {who.name},"))
            await here.sky.say(who, who.post(f"heard of {who.name},"))
        await eventually(lambda: not told)
        # what is missed of another is made up for, whoever else is still tried in vain
        here.ada.repo.change(0, here.ada.post("missed of ada meanwhile"))
        await here.good()
        await eventually(lambda: here.copies("missed of ada meanwhile"))
    for who in people:
        await eventually(lambda w=who: here.copies(f"missed of {w.name},"))
        await eventually(lambda w=who: here.copies(f"heard of {w.name},"))
    assert not [got for got in here.peer.posts() if "a lie" in got.text]


async def test_host_that_lies_about_a_record_is_not_believed(here: Heaven) -> None:
    """ada answers posts whose host shows something that the record's id does not fit, another's record, or rubbish.

    What is a lie is no such post, and her answer stands alone; what is no answer at all is asked for again.
    """
    other = await here.join("liar")
    names = ("id", "shape", "none", "not JSON", "deep", "huge", "elsewhere")
    paths: dict[str, str] = {}
    for name in names:
        other.repo.change(0, changes := other.post(f"really said before {name}"))
        paths[name] = next(iter(changes))
    truths = {name: other.shown(path) for name, path in paths.items()}
    answers = {
        "id": as_json({**truths["id"], "value": {**truths["id"]["value"], "text": "a lie"}}),
        "shape": as_json({**truths["shape"], "uri": here.ada.uri(paths["shape"])}),
        "none": as_json({**truths["none"], "value": None}),
        "not JSON": Answer(200, body=b"{" * 5000),
        "deep": Answer(200, body=b'{"value":' * 5000 + b"1" + b"}" * 5000),
        "huge": Answer(200, body=bytes(5 << 20)),
        "elsewhere": Answer(302, {"Location": "http://10.0.0.1/x"}),
    }
    told: list[str] = []

    def script(got: Got) -> Answer | None:
        name = next((n for n, p in paths.items() if "getRecord" in got.path and p.rpartition("/")[2] in got.path), "")
        told.append(name)
        return answers[name] if name and told.count(name) == 1 else None

    here.sky.script = script
    async with calm(here.daemon):
        for name in names:
            parent = {"uri": truths[name]["uri"], "cid": truths[name]["cid"]}
            await here.sky.say(here.ada, here.ada.post(f"answering {name}.", reply={"root": parent, "parent": parent}))
        await here.good()
        for name in names:
            await eventually(lambda n=name: here.copies(f"answering {n}."))
    assert set(names) <= set(told)
    assert await here.of("record_cid")
    assert await here.of("record_shape")
    assert not [got for got in here.peer.posts() if "a lie" in got.text]


# --- directories that are no good -----------------------------------------------------------------------------


async def test_directory_that_is_no_good_makes_nobody_a_member_and_holds_nobody_up(here: Heaven) -> None:
    """Strangers who follow the bot, and whose documents are huge, slow, another's, elsewhere, or none."""
    bot = await here.did_of(f"bridge.{HANDLES}")
    good = Person("x").document(here.sky.base)
    answers = {
        "huge": Answer(200, body=bytes(1 << 20)),
        "slow": Answer(200, body=json.dumps(good).encode() * 3, how="slow"),
        "hangs": Answer(how="hang"),
        "another": as_json(good),
        "inside": Answer(302, {"Location": "http://10.0.0.1/did"}),
        "deep": Answer(200, body=b'{"id":' * 5000 + b"1" + b"}" * 5000),
        "rubbish": Answer(200, body=b"\xff\xfe"),
        "none": Answer(404),
        "down": Answer(503),
    }
    people = {name: here.sky.someone(f"doc-{name}") for name in answers}

    def script(got: Got) -> Answer | None:
        return next((answers[name] for name, who in people.items() if got.path.endswith(f"/plc/{who.did}")), None)

    here.sky.script = script
    async with calm(here.daemon):
        async with here.refuses("key_unknown", good=False):
            for who in people.values():
                await here.sky.say(who, who.follow(bot))
        await here.good()
    await asyncio.gather(*(eventually(lambda w=who: here.sky.asked(f"/plc/{w.did}")) for who in people.values()))
    rows = await here.daemon.ledger("reason LIKE 'follows the bot%'")
    assert not {row["actor"] for row in rows} & {who.did for who in people.values()}
    here.sky.script = lambda got: None
    await here.good()


async def test_profile_that_is_no_good_is_an_account_without_one(here: Heaven) -> None:
    who = here.sky.someone("plain")
    who.repo.change(0, {f"{PROFILE}/self": {"$type": PROFILE, "displayName": "x" * 5000, "description": ["no text"]}})
    await here.sky.say(who, who.follow(await here.did_of(f"bridge.{HANDLES}")))

    async def there() -> bool:
        await here.daemon.actor_of(who.did)
        return (await actor(here, who))[0] == 200

    await eventually(there)
    assert len((await actor(here, who))[1]["name"]) < 700
    assert did_of("plain") == who.did
    await here.good()
