"""What must stand in the repositories and have been told of them, from what people did alone.

A post, an edit, a like is one change of one record, in the order in which they were done; what was deleted or taken
back before it was said need never have been said. A post whose picture is slow to come is said once it is there, reads
as it does by then, and others go by meanwhile. Names: the last word counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.atproto import cbor
from adapters.atproto.crypto import PublicKey
from adapters.atproto.ids import LIKE, POST, PROFILE
from adapters.atproto.pds.firehose import Event
from adapters.atproto.repo.proof import Op
from tests.unit.atproto.pds_kit import Reader

from .town import MARK, Act, Life, Town


@dataclass
class Verdict:
    """`changes` are the changes of records that were told, `pictures` the files that records show: DID and
    CID."""

    faults: list[str] = field(default_factory=list[str])
    changes: int = 0
    records: int = 0
    pictures: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    unsaid: int = 0
    """Acts that were never told, as what ended or changed them came first."""


def judge(town: Town, events: Sequence[Event], keys: Mapping[str, PublicKey]) -> tuple[Verdict, Reader]:
    """Reads the whole stream as a relay does, and compares it with what was done."""
    verdict = Verdict()
    told: dict[str, list[Op]] = {}
    reader = Reader(keys.__getitem__, lambda did, op: told.setdefault(did, []).append(op))
    for number, event in enumerate(events, 1):
        if event.seq != number:
            verdict.faults.append(f"event {number} has the number {event.seq}")
            return verdict, reader
        try:
            reader.hear(event)
        except Exception as wrong:
            verdict.faults.append(f"event {event.seq} is refused: {type(wrong).__name__} {wrong}")
            return verdict, reader
    verdict.changes = sum(map(len, told.values()))
    verdict.records = sum(map(len, reader.repos.values()))
    _Judge(town, reader, told, verdict).all()
    return verdict, reader


class _Judge:
    def __init__(self, town: Town, reader: Reader, told: Mapping[str, list[Op]], verdict: Verdict) -> None:
        self.town, self.reader, self.told, self.verdict = town, reader, told, verdict
        self.acts = {act.number: act for life in town.lives.values() for act in life.history}
        self.places: dict[str, Act] = {}
        """URI -> the post or like that it was made for."""

    def all(self) -> None:
        names: dict[str, str] = {}
        for did, records in self.reader.repos.items():
            profile = records.get(f"{PROFILE}/self")
            if profile is not None:
                names.setdefault(str(self._record(profile)["displayName"]).split()[0].lower(), did)
        if names.keys() != {*self.town.lives, "bridge"}:
            self._wrong(f"repositories are of {sorted(names)}")
            return
        for name in self.town.lives:
            self._learn(names[name])
        for name, life in self.town.lives.items():
            numbers = self._numbers(name, names[name])
            order = [number for number in numbers if not _waits(self.acts[number])]
            if order != sorted(order) or len(set(numbers)) != len(numbers):
                self._wrong(f"{name}: changes in the order {[f'{n} {self.acts[n].do}' for n in numbers]}")
            self._complete(name, life, set(numbers))
            self._standing(name, life, names[name])

    def _learn(self, did: str) -> None:
        """Which post stands where."""
        for op in self.told[did]:
            if op.path.startswith(POST) and op.cid is not None:
                act = self._marked(self._record(op.cid)["text"])
                if act is not None:
                    self.places.setdefault(f"at://{did}/{op.path}", act.target or act)

    def _numbers(self, name: str, did: str) -> list[int]:
        """The acts that the changes of a repository come from, in their order; names are left out."""
        found: list[int] = []
        mine = self.town.lives[name].history
        for op in self.told[did]:
            collection, uri = op.path.partition("/")[0], f"at://{did}/{op.path}"
            act: Act | None = None
            match collection:
                case _ if collection == POST and op.cid is not None:
                    act = self._marked(self._record(op.cid)["text"])
                case _ if collection == LIKE and op.cid is not None:
                    post = self.places.get(self._record(op.cid)["subject"]["uri"])
                    act = next((a for a in mine if a.do == "like" and a.target == post), None)
                    if act is not None:
                        self.places[uri] = act
                case _ if collection in (POST, LIKE):
                    ended = self.places.get(uri)
                    act = next((a for a in mine if a.do in ("delete", "unlike") and a.target == ended), None)
                case _:
                    continue
            if act is None or act.who != name:
                self._wrong(f"{name}: nobody did {op.path}, {op.action}")
            else:
                found.append(act.number)
        return found

    def _complete(self, name: str, life: Life, said: set[int]) -> None:
        for act in life.history:
            if act.number in said or act.do == "profile":
                continue
            whole = act.target if act.do in ("edit", "delete", "unlike") and act.target is not None else act
            later = [a for a in life.history if a.target == whole]
            ended = any(a.do in ("delete", "unlike") for a in later)
            if ended or (_waits(act) and any(a.number in said and a.number > act.number for a in later)):
                self.verdict.unsaid += 1
            else:
                self._wrong(f"{name}: {act.do} {act.number} was never told")

    def _standing(self, name: str, life: Life, did: str) -> None:
        records = self.reader.repos[did]
        texts = sorted(
            MARK.findall(str(self._record(cid)["text"]))[0] for path, cid in records.items() if path.startswith(POST)
        )
        wanted = sorted(MARK.findall(note["content"])[0] for note in life.notes.values())
        if texts != wanted:
            self._wrong(f"{name}: posts that stand differ by {sorted(set(texts) ^ set(wanted)) or texts}")
        likes = [self._record(cid)["subject"]["uri"] for path, cid in records.items() if path.startswith(LIKE)]
        liked = sorted(self.places[uri].number if uri in self.places else -1 for uri in likes)
        if liked != sorted(act.target.number for act in life.likes if act.target is not None):
            self._wrong(f"{name}: likes {liked}")
        shown = str(self._record(records[f"{PROFILE}/self"])["displayName"])
        last = [act for act in life.history if act.do == "profile"]
        if last and last[-1].mark not in shown:
            self._wrong(f"{name}: is called {shown}")
        for act, note in life.notes.items():
            if "attachment" in note:
                self._pictured(name, did, act)

    def _pictured(self, name: str, did: str, act: Act) -> None:
        place = next((uri for uri, post in self.places.items() if post == act), "")
        cid = self.reader.repos[did].get(place.partition(f"{did}/")[2])
        embed = self._record(cid).get("embed", {}) if cid is not None else {}
        images = embed.get("images", [])
        if len(images) != 1:
            self._wrong(f"{name}: {act.number} shows {len(images)} pictures")
        self.verdict.pictures |= {(did, str(image["image"]["ref"])) for image in images}

    def _marked(self, text: str) -> Act | None:
        found = MARK.search(text)
        return self.acts.get(int(found[0][4:-1])) if found else None

    def _record(self, cid: Any) -> dict[str, Any]:
        return cbor.decode(self.reader.bodies[cid])

    def _wrong(self, what: str) -> None:
        self.verdict.faults.append(what)


def _waits(act: Act) -> bool:
    """Whether it may be said later than what was done after it."""
    return "picture" in (act.do, act.target.do if act.target else "")
