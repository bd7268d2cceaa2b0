"""What must have been seen by whom, from the history alone. Nothing of the bridge is called here.

On Nostr: one event for each version of a post, all but the last deleted; a kind 7 for a like, a kind 5 for what is
deleted or taken back; the newest kind 0 and kind 3 are right. On the fediverse, at each host with a follower: one
Create for each post, a Delete after it if it was deleted; a Like where the author lives, and its Undo. What was deleted
or taken back at once need never have been seen; then nothing is right too.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..kit.fediverse import Got, Peer
from ..kit.nostr import Relay
from .history import FEDIVERSE, NOSTR, Act


@dataclass
class Verdict:
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    disorder: list[str] = field(default_factory=list[str])
    resent: int = 0
    """Requests and frames sent again, the same to the byte, after a death or an answer that did not arrive. That this
    side knows, or the bridge wrote down, which may have waited in vain where a machine is too busy for both."""
    unexplained: list[str] = field(default_factory=list[str])
    """The same, with no such reason."""

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.disorder, *self.unexplained]


@dataclass
class World:
    """What was done and seen, as the people and servers know it.

    homes    who on the fediverse -> their server
    ids      act -> its id where it was done: of the note, the like, the event
    actors   who -> their actor id (fediverse) or public key (Nostr)
    ghosts   who -> what stands for them on the other side: public key, or actor id
    own      the events that the bridge's own relay holds in the end
    in_vain  when the bridge had waited in vain for an answer, and where: "" for everywhere, as it took itself for dead
    """

    history: Sequence[Act]
    homes: Mapping[str, Peer]
    relay: Relay
    actors: dict[str, str] = field(default_factory=dict[str, str])
    ghosts: dict[str, str] = field(default_factory=dict[str, str])
    ids: dict[int, str] = field(default_factory=dict[int, str])
    deaths: list[float] = field(default_factory=list[float])
    own: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    in_vain: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def seen(self, act: Act) -> bool:
        """Whether an act has arrived wherever it belongs."""
        if act.number not in self.ids:
            return False
        if act.fediverse:
            return bool(self.events(act))
        return all(self.told(act, home) for home in self.reached(act))

    def reached(self, act: Act) -> list[Peer]:
        """The servers that an act done on Nostr must reach."""
        if act.do == "like":
            assert act.target is not None
            return [self.homes[self.history[act.target].who]]
        if act.do == "unlike":
            assert act.target is not None
            return self.reached(self.history[act.target])
        return list(dict.fromkeys(self.homes[who] for who in FEDIVERSE))

    def events(self, act: Act) -> list[dict[str, Any]]:
        """The events on the relay that say on Nostr what was done on the fediverse."""
        mine = [e for e in self.relay.events() if e["pubkey"] == self.ghosts.get(act.who)]
        match act.do:
            case "post" | "reply" | "edit":
                return [e for e in mine if e["kind"] == 1 and act.mark in e["content"]]
            case "like":
                return [e for e in mine if e["kind"] == 7 and self.ids[act.target or 0] in _named(e)]
            case "profile":
                return [e for e in mine if e["kind"] == 0 and act.mark in e["content"]]
            case "unlike" | "delete":
                before = {e["id"] for e in self.events(self.newest(act.target or 0, act.number))}
                return [e for e in mine if e["kind"] == 5 and before & _named(e)]
            case _:
                return [e for e in mine if e["kind"] == 3]

    def told(self, act: Act, home: Peer) -> list[Got]:
        """The requests to one server that say on the fediverse what was done on Nostr."""
        if act.number not in self.ids:
            return []
        match act.do:
            case "post" | "reply":
                return [g for g in home.posts("Create") if act.mark in g.text]
            case "like":
                liked = self.ids[act.target or 0]
                return [g for g in home.posts("Like") if _ident(g.json["object"]) == liked and self._by(g, act)]
            case "unlike":
                likes = {g.json["id"] for g in self.told(self.history[act.target or 0], home)}
                return [g for g in home.posts("Undo") if _ident(g.json["object"]) in likes]
            case "delete":
                notes = {g.json["object"]["id"] for g in self.told(self.history[act.target or 0], home)}
                return [g for g in home.posts("Delete") if _ident(g.json["object"]) in notes]
            case "profile":
                return [g for g in home.posts("Update") if act.mark in g.text]
            case _:
                return [g for g in home.posts("Follow") if self._by(g, act)]

    def newest(self, number: int, before: int) -> Act:
        """A post (or like) as it stood before act number `before`: its last edit, or itself."""
        return [a for a in self.history[:before] if a.number == number or (a.target == number and a.do == "edit")][-1]

    def _by(self, got: Got, act: Act) -> bool:
        return got.json["actor"] == self.ghosts.get(act.who)


def judge(world: World) -> Verdict:
    """Compares what was seen with what was done."""
    verdict = Verdict()
    for act in world.history:
        (_on_nostr if act.fediverse else _on_the_fediverse)(world, act, verdict)
    _states(world, verdict)
    _bytes(world, verdict)
    _order(world, verdict)
    return verdict


def _ended(world: World, act: Act) -> Act | None:
    """What deleted a post or took a like back."""
    return next((a for a in world.history if a.target == act.number and a.do in ("delete", "unlike")), None)


def _on_nostr(world: World, act: Act, verdict: Verdict) -> None:
    if act.do not in ("post", "reply", "edit", "like"):
        return
    found, name = {e["id"] for e in world.events(act)}, f"{act.number} {act.who} {act.do}"
    if len(found) > 1:
        verdict.doubled.append(f"{name}: events {sorted(found)}")
    post = world.history[act.target] if act.do == "edit" and act.target is not None else act
    end = _ended(world, post)
    last = act.do == "like" or world.newest(post.number, len(world.history)) == act
    deleted = {i for e in world.relay.events(kinds=[5]) for i in _named(e) if e["pubkey"] == world.ghosts[act.who]}
    if end is None and last and not found - deleted:
        verdict.lost.append(f"{name}: {'deleted' if found else 'not'} on the relay")
    if (end is not None or not last) and found - deleted:
        verdict.lost.append(f"{name}: what ended it did not arrive")
    kept = {e["id"] for e in world.own if e["id"] in found}
    if kept != found - deleted:
        verdict.lost.append(f"{name}: the bridge's own relay has {sorted(kept)}, the other {sorted(found - deleted)}")
    if act.do == "reply" and found:
        assert act.target is not None
        event = world.events(act)[0]
        if world.ids[act.target] not in _named(event):
            verdict.lost.append(f"{name}: answers {_named(event)}")


def _on_the_fediverse(world: World, act: Act, verdict: Verdict) -> None:
    if act.do not in ("post", "reply", "like"):
        return
    end = _ended(world, act)
    for home in world.reached(act):
        name = f"{act.number} {act.who} {act.do} at {home.host}"
        found = {(g.json["id"], _ident(g.json["object"])) for g in world.told(act, home)}
        ends = {g.json["id"] for g in world.told(end, home)} if end else set[str]()
        if len(found) > 1 or len(ends) > 1:
            verdict.doubled.append(f"{name}: {sorted(found)} {sorted(ends)}")
        if end is None and not found:
            verdict.lost.append(f"{name}: did not arrive")
        if end is not None and found and not ends:
            verdict.lost.append(f"{name}: what ended it did not arrive")
        if act.do == "reply" and found:
            assert act.target is not None
            note = world.told(act, home)[0].json["object"]
            if note["inReplyTo"] != world.ids[act.target]:
                verdict.lost.append(f"{name}: answers {note['inReplyTo']}")


def _states(world: World, verdict: Verdict) -> None:
    """Names and follows: the last word counts."""
    for who in FEDIVERSE + NOSTR:
        mine = [a for a in world.history if a.who == who]
        names = [a for a in mine if a.do == "profile"]
        follows = [a.do for a in mine if a.do in ("follow", "unfollow")]
        if who in FEDIVERSE:
            said = [e for e in world.relay.events(kinds=[0, 3]) if e["pubkey"] == world.ghosts[who]]
            now = {kind: max((e for e in said if e["kind"] == kind), key=_newest, default=None) for kind in (0, 3)}
            if names and not (now[0] and names[-1].mark in now[0]["content"]):
                verdict.lost.append(f"{who}: the name on Nostr is not the last")
            if follows:
                listed = now[3] is not None and world.actors["nina"] in {t[1] for t in now[3]["tags"] if t[0] == "p"}
                if listed != (follows[-1] == "follow"):
                    verdict.lost.append(f"{who}: {follows[-1]} of nina did not arrive")
            for kind, text in ((0, "content"), (3, "tags")):
                row = [json.dumps(e[text]) for e in sorted((e for e in said if e["kind"] == kind), key=_newest)]
                if any(a == b for a, b in pairwise(row)):
                    verdict.doubled.append(f"{who}: two events of kind {kind} in a row say the same")
        else:
            for home in world.homes.values():
                for each in names:
                    if len({g.json["id"] for g in world.told(each, home)}) > 1:
                        verdict.doubled.append(f"{who}: renamed twice at {home.host} by {each.number}")
                if names and not world.told(names[-1], home):
                    verdict.lost.append(f"{who}: the last name did not arrive at {home.host}")
            home = world.homes["alice"]
            asked = [g for g in home.posts("Follow") if g.json["actor"] == world.ghosts[who]]
            ids = list(dict.fromkeys(g.json["id"] for g in asked))
            if len(ids) > follows.count("follow"):
                verdict.doubled.append(f"{who}: {len(ids)} follows of alice for {follows}")
            undone = {_ident(g.json["object"]) for g in home.posts("Undo")}
            if follows and (follows[-1] == "follow") != bool(ids and ids[-1] not in undone):
                verdict.lost.append(f"{who}: {follows[-1]} of alice did not arrive")


def _bytes(world: World, verdict: Verdict) -> None:
    """One id, one text, everywhere; and nothing twice to the same place without a reason."""
    texts: dict[str, set[bytes]] = defaultdict(set)
    for home in set(world.homes.values()):
        sent: dict[tuple[str, str], list[Got]] = defaultdict(list)
        for got in home.posts(accepted=False):
            texts[got.json["id"]].add(got.body)
            sent[got.path, got.json["id"]].append(got)
        for (path, name), row in sent.items():
            place, tries = f"{name} to {home.host}{path}", [(g.at, g.answered) for g in row]
            _again(world, verdict, place, f"{home.base}{path}", tries)
    frames: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for frame in world.relay.heard():
        texts[frame.json[1]["id"]].add(json.dumps(frame.json[1], sort_keys=True).encode())
        frames[frame.json[1]["id"]].append((frame.at, frame.answered))
    for name, row in frames.items():
        _again(world, verdict, f"event {name}", world.relay.url, row)
    verdict.doubled += [f"{name}: {len(found)} texts under one id" for name, found in texts.items() if len(found) > 1]


def _again(world: World, verdict: Verdict, name: str, where: str, row: list[tuple[float, bool]]) -> None:
    reasons = [*world.deaths, *(at for at, endpoint in world.in_vain if endpoint in ("", where))]
    for (before, answered), (after, _) in pairwise(row):
        if not answered or any(before - 1 <= reason <= after for reason in reasons):
            verdict.resent += 1
        else:
            verdict.unexplained.append(f"{name}: sent again after {after - before:.1f} s")


def _order(world: World, verdict: Verdict) -> None:
    """For each doer and endpoint: in the order in which they were done."""
    for who in FEDIVERSE:
        number = {
            e["id"]: a.number for a in world.history if a.who == who and a.do in _ORDERED for e in world.events(a)
        }
        row = [number[i] for i in dict.fromkeys(f.json[1]["id"] for f in world.relay.heard()) if i in number]
        _increasing(verdict, f"{who} on the relay", row)
    for who in NOSTR:
        for home in set(world.homes.values()):
            number = {
                g.json["id"]: a.number
                for a in world.history
                if a.who == who and a.do in _ORDERED
                for g in world.told(a, home)
            }
            for path in {g.path for g in home.got}:
                ids = dict.fromkeys(g.json["id"] for g in home.posts() if g.path == path)
                _increasing(verdict, f"{who} at {home.host}{path}", [number[i] for i in ids if i in number])


_ORDERED = ("post", "reply", "edit", "like", "unlike", "delete")


def _increasing(verdict: Verdict, name: str, row: Sequence[int]) -> None:
    if list(row) != sorted(row):
        verdict.disorder.append(f"{name}: {row}")


def _named(event: Mapping[str, Any]) -> set[str]:
    return {t[1] for t in event["tags"] if t[0] == "e"}


def _newest(event: Mapping[str, Any]) -> tuple[int, str]:
    """NIP-01: the latest replaces the others; of the same second, the lowest id."""
    return event["created_at"], "".join(chr(0x7F - ord(c)) for c in event["id"])


def _ident(value: Any) -> str:
    return value["id"] if isinstance(value, dict) else value
