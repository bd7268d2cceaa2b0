"""Who somebody is: what both sides say counts, names are what they look like, and nobody is taken for another."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.unit.activitypub.fake import rsa_key

from .kit import eventually
from .kit.abroad import World, abroad, numbers
from .kit.fediverse import AS2, Actor, Answer, Got
from .kit.nostr import key, said

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(net: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with abroad(tmp_path_factory.mktemp("identity")) as made:
        yield made
        assert "bridge_failed" not in made.daemon.log


def jrd(subject: str, actor: str) -> Answer:
    document = {"subject": f"acct:{subject}", "links": [{"rel": "self", "type": AS2, "href": actor}]}
    return Answer(200, {"Content-Type": "application/jrd+json"}, json.dumps(document).encode())


async def account(world: World, ref: str) -> dict[str, Any]:
    rows = await world.daemon.rows(f"SELECT * FROM accounts WHERE id = '{ref}'")
    assert rows, f"{ref} is not known"
    return {**json.loads(rows[0]["body"]), "handle": rows[0]["handle"], "alias": rows[0]["alias"]}


async def follows(world: World, who: Actor) -> dict[str, Any]:
    """The account as it is known once it has followed nora, and so has a ghost."""
    await world.send(who.follow(await world.someone()), who)
    await world.settled()
    return await account(world, who.id)


async def profile_of(world: World, name: str) -> dict[str, Any]:
    """The newest kind 0 of the ghost that is called so (NIP-05) by us."""
    _, _, body = await world.daemon.get(f"/.well-known/nostr.json?name={name}")
    pubkey = json.loads(body)["names"][name]
    found = await eventually(lambda: world.relay.events(kinds=[0], authors=[pubkey]))
    return json.loads(found[-1]["content"])


# --- WebFinger ---


@pytest.mark.parametrize("agrees", [True, False])
async def test_handle_of_another_host_counts_when_that_host_agrees(world: World, agrees: bool) -> None:
    """A subject elsewhere is believed only when elsewhere names the same actor."""
    who = world.good.actor(f"sub{next(numbers)}", rsa_key("mallory"))
    subject = f"{who.name}@far.example"
    world.good.script = lambda got: jrd(subject, who.id) if who.name in got.path and "webfinger" in got.path else None
    there = who.id if agrees else f"{world.far.base}/users/{who.name}"
    world.far.script = lambda got: jrd(subject, there) if "webfinger" in got.path else None
    found = await follows(world, who)
    world.good.script = world.far.script = lambda got: None
    assert found["handle"] == (subject if agrees else f"{who.name}@good.example")
    await world.still_good()


async def test_name_of_another_leads_to_that_other(world: World) -> None:
    """Somebody on her host calls herself alice too: whoever looks for alice finds alice."""
    await world.send(world.alice.create("alice is here"))
    clone = world.good.actor(f"clone{next(numbers)}", rsa_key("mallory"))
    clone.show(preferredUsername="alice")
    await follows(world, clone)
    _, _, body = await world.daemon.get("/.well-known/nostr.json?name=alice_at_good.example")
    names = json.loads(body)["names"]
    rows = await world.daemon.rows(f"SELECT owner_id FROM ghosts WHERE ref = '{names['alice_at_good.example']}'")
    assert [row["owner_id"] for row in rows] == [world.alice.id]
    ghosts = await world.daemon.rows(f"SELECT handle, ref FROM ghosts WHERE owner_id = '{clone.id}'")
    assert [row["handle"] for row in ghosts] != ["alice_at_good.example"]
    assert ghosts[0]["ref"] not in names.values()


# --- names, and what stands in profiles ---

UGLY = {
    "turned_round": "Alice \u202eecila\u202c",
    "isolated": "\u2066Al\u2069ice",
    "zero_width": "A\u200bl\u200ci\ufeffce\u2060",
    "marks": "A" + "\u0301" * 500,
    "lines": "Alice\r\n\r\nis\tverified",
    "controls": "Alice\x1b[31m\x07\x7f",
    "ten_kilobytes": "Alice " * 2000,
    "tags": "<b>Alice</b><script>alert(1)</script>",
}
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]|\u0301{5}")


@pytest.mark.parametrize("how", UGLY)
async def test_name_is_what_it_looks_like(world: World, how: str) -> None:
    """Both ways: in the profile on Nostr of who is at home on the fediverse, and the other way round."""
    who = world.good.actor(f"ugly{next(numbers)}", rsa_key("mallory"))
    who.show(name=UGLY[how], attachment=[{"type": "PropertyValue", "name": UGLY[how], "value": UGLY[how]}])
    await follows(world, who)
    shown = await profile_of(world, f"{who.name}_at_good.example")
    for name in (shown.get("name", ""), shown.get("display_name", "")):
        assert not UNSEEN.search(name), ascii(name)
        assert len(name) <= 2500
        assert "script" not in name
    ghost = await world.someone(f"ugly{next(numbers)}", display_name=UGLY[how])
    _, _, body = await world.daemon.get(ghost.removeprefix(world.daemon.base), {"Accept": AS2})
    document = json.loads(body)
    assert not UNSEEN.search(document["name"]), ascii(document["name"])
    assert len(document["name"]) <= 2500
    assert "<" not in document["preferredUsername"]


@pytest.mark.parametrize("name", ["al\u202eice", "ali\u200bce", "a/../b", "a@b", "a b", "", "x" * 10_000, "\x1b[1m"])
async def test_username_that_is_none_makes_no_account(world: World, name: str) -> None:
    who = world.good.actor(f"nameless{next(numbers)}", rsa_key("mallory"))
    who.show(preferredUsername=name)
    await world.send(who.follow(await world.someone()), who)
    await world.settled()
    assert not await world.daemon.rows(f"SELECT id FROM accounts WHERE id = '{who.id}'")
    assert not await world.daemon.rows(f"SELECT ref FROM ghosts WHERE owner_id = '{who.id}'")
    await world.still_good()


DIRTY = (
    '<p>clean <script>alert(1)</script><a href="javascript:alert(2)">press</a> '
    '<img src="x" onerror="alert(3)"><svg onload="alert(4)"><a xlink:href="javascript:alert(5)">s</a></svg>'
    '<a href="data:text/html,<script>alert(6)</script>">d</a><iframe src="//evil.example"></iframe>'
    '<style>@import "//evil.example"</style><a href="JaVa&#09;Script:alert(7)">j</a><p onclick="alert(8)">end</p>'
)
BAD = re.compile(r"javascript:|<script|onerror|onload|onclick|<svg|<iframe|<style|data:text", re.IGNORECASE)


async def test_scripts_of_the_fediverse_do_not_cross(world: World) -> None:
    create = world.alice.create("x", tag=[{"type": "Emoji", "name": ":x:", "icon": {"url": "javascript:alert(9)"}}])
    create["object"]["content"] = DIRTY
    create["object"]["url"] = "javascript:alert(10)"
    create["object"]["attachment"] = [{"type": "Image", "mediaType": "image/svg+xml", "url": "javascript:alert(11)"}]
    await world.send(create)
    (event,) = await eventually(lambda: [e for e in world.relay.events(kinds=[1]) if e["content"].startswith("clean")])
    assert not BAD.search(json.dumps(event)), event
    world.alice.show(summary=DIRTY, url="javascript:alert(12)", icon={"type": "Image", "url": "javascript:alert(13)"})
    await world.send(world.alice.activity("Update", world.alice.show(summary=DIRTY, url="javascript:alert(12)")))
    await world.settled()
    for profile in world.relay.events(kinds=[0]):
        assert not BAD.search(profile["content"]), profile


async def test_scripts_of_nostr_do_not_cross(world: World) -> None:
    nora = await world.someone("nora", about=DIRTY, website="javascript:alert(1)", picture="javascript:alert(2)")
    await world.send(world.alice.follow(nora))
    await world.settled()
    text = f"{DIRTY} javascript:alert(3) [x](javascript:alert(4))"
    tags = [("imeta", "url javascript:alert(5)", "m image/svg+xml"), ("emoji", "x", "javascript:alert(6)")]
    await world.relay.publish(said("nora", 1, text, *tags))
    notes = await eventually(lambda: [got.json["object"] for got in world.good.posts("Create") if b"clean" in got.body])
    note = notes[0]
    unescaped = re.compile(r"<script|<svg|<iframe|<style|<img|<a [^>]*href=\"(?!https?:)", re.IGNORECASE)
    assert not unescaped.search(note["content"]), note["content"]
    assert not re.search(r'"(?:url|href|icon)": ?"(?:javascript|data):', json.dumps(note), re.IGNORECASE), note
    for page, kind in ((note["id"], "text/html"), (nora, "text/html"), (nora, AS2)):
        status, headers, body = await world.daemon.get(page.removeprefix(world.daemon.base), {"Accept": kind})
        assert status in (200, 302, 303), (page, status)
        assert headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script|<svg|<iframe|<a [^>]*href=\"(?!https?:|/)", body.decode(), re.IGNORECASE)
    assert "default-src 'none'" in headers["content-security-policy"]


# --- NIP-05 ---


def nostr_json(**names: str) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps({"names": names}).encode())


NIP05 = {
    "right": lambda name, pubkey: nostr_json(**{name: pubkey}),
    "wrong_key": lambda name, pubkey: nostr_json(**{name: key("somebody else")}),
    "key_in_capitals": lambda name, pubkey: nostr_json(**{name: pubkey.upper()}),
    "npub_for_a_key": lambda name, pubkey: nostr_json(**{name: f"npub1{'q' * 58}"}),
    "other_name": lambda name, pubkey: nostr_json(**{f"{name}x": pubkey}),
    "redirect": lambda name, pubkey: Answer(302, {"Location": "https://far.example/.well-known/nostr.json"}),
    "redirect_to_itself": lambda name, pubkey: Answer(301, {"Location": f"/.well-known/nostr.json?name={name}&x"}),
    "too_large": lambda name, pubkey: nostr_json(**{name: pubkey}, **{f"n{n}": "0" * 64 for n in range(2000)}),
    "no_object": lambda name, pubkey: Answer(200, {}, b"[]"),
    "gone": lambda name, pubkey: Answer(404, {}, b"{}"),
    "too_deep": lambda name, pubkey: Answer(200, {}, b'{"names":' * 10_000),
}


@pytest.mark.parametrize("how", NIP05)
async def test_nip05_name_counts_only_when_its_host_says_so_itself(world: World, how: str) -> None:
    name = f"name{next(numbers)}"
    pubkey = key(name)
    world.far.script = lambda got: nostr_json(**{name: pubkey})

    def script(got: Got) -> Answer | None:
        wanted = "nostr.json" in got.path and name in got.path
        return NIP05[how](name, pubkey) if wanted and not got.path.endswith("&x") else nostr_json(**{name: pubkey})

    world.evil.script = script
    await world.someone(name, nip05=f"{name}@evil.example")
    found = await account(world, pubkey)
    world.far.script = world.evil.script = lambda got: None
    assert found["alias"] == (f"{name}@evil.example" if how == "right" else "")


async def test_two_who_claim_one_name_are_kept_apart(world: World) -> None:
    """The host says whose it is; the other goes by their key."""
    name = f"both{next(numbers)}"
    owner, other = f"{name}-owner", f"{name}-other"
    world.evil.script = lambda got: nostr_json(**{name: key(owner)}) if "nostr.json" in got.path else None
    ghosts = [await world.someone(who, nip05=f"{name}@evil.example") for who in (other, owner)]
    assert len(set(ghosts)) == 2
    found = await world.daemon.actor_of(f"{name}_at_evil.example")
    world.evil.script = lambda got: None
    assert found == ghosts[1]
    documents = [
        json.loads((await world.daemon.get(g.removeprefix(world.daemon.base), {"Accept": AS2}))[2]) for g in ghosts
    ]
    assert documents[0]["preferredUsername"] != documents[1]["preferredUsername"]
    await world.still_good()
