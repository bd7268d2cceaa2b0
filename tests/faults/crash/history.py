"""What people do, from a seed alone: who, what, to which earlier act, and what they must have seen before it.

Two on the fediverse (alice, bob) and two on Nostr (nora, who writes to a relay elsewhere, and nick, who writes to the
bridge's own) post, answer, edit, delete, like, take likes back, rename themselves, follow and unfollow. What would
have no one right outcome is not written: nobody answers or likes what is deleted or edited meanwhile, since whoever
deletes and edits has seen all answers and likes first.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

FEDIVERSE = ("alice", "bob")
NOSTR = ("nora", "nick")
EVERYBODY = FEDIVERSE + NOSTR
WEIGHTS = {"post": 30, "reply": 14, "like": 14, "unlike": 6, "edit": 8, "delete": 10, "profile": 3, "follow": 5}


@dataclass(frozen=True)
class Act:
    """`do` is one of WEIGHTS, or unfollow; `mark` is a word that is in the text of this act and in no other.

    `needs` are acts that must have been seen where they belong before this one is done.
    """

    number: int
    who: str
    do: str
    target: int | None = None
    needs: tuple[int, ...] = ()

    @property
    def mark(self) -> str:
        return f"mark{self.number:04d}x"

    @property
    def fediverse(self) -> bool:
        return self.who in FEDIVERSE


@dataclass
class _Said:
    """A post as the history goes on: `version` is its last edit, or itself; `touched` are acts upon that."""

    act: Act
    version: int
    touched: list[int] = field(default_factory=list[int])
    open: bool = True
    """Others may still act upon it."""

    @property
    def needs(self) -> tuple[int, ...]:
        return (self.version, *self.touched)


def written(seed: int, count: int) -> list[Act]:
    """A history of `count` acts; everybody begins with a post."""
    chance = random.Random(seed)
    acts = [Act(n, who, "post") for n, who in enumerate(EVERYBODY)]
    posts = {act.number: _Said(act, act.number) for act in acts}
    likes: dict[int, Act] = {}
    liked: set[tuple[str, int]] = set()
    follows: set[str] = set()

    def some(found: Iterable[_Said]) -> _Said | None:
        some = [said for said in found if said.open]
        return chance.choice(some[-8:]) if some else None

    while len(acts) < count:
        who = chance.choice(EVERYBODY)
        do = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        number, fediverse = len(acts), who in FEDIVERSE
        own = [said for said in posts.values() if said.act.who == who]
        theirs = [said for said in posts.values() if said.act.fediverse != fediverse]
        act: Act | None = None
        match do:
            case "post" | "profile":
                act = Act(number, who, do)
            case "reply":
                if said := some(theirs):
                    act = Act(number, who, do, said.act.number, said.needs)
                    said.touched.append(number)
            case "like":
                if said := some(s for s in theirs if (who, s.act.number) not in liked):
                    act = Act(number, who, do, said.act.number, said.needs)
                    said.touched.append(number)
                    liked.add((who, said.act.number))
                    likes[number] = act
            case "unlike":
                mine = [like for like in likes.values() if like.who == who and posts[like.target or 0].open]
                if mine:
                    like = likes.pop(chance.choice(mine).number)
                    said = posts[like.target or 0]
                    # at once: before anybody has seen it, so nobody may wait for it
                    said.open = not (at_once := said.touched[-1:] == [like.number] and chance.random() < 0.5)
                    act = Act(number, who, do, like.number, () if at_once else (like.number,))
                    said.touched.append(number)
            case "edit" if not fediverse:
                pass  # nobody there honours it
            case "edit" | "delete":
                if said := some(own):
                    # somebody may wait to see an answer before they touch what it answers
                    at_once = said.act.do == "post" and not said.touched and chance.random() < 0.5
                    act = Act(number, who, do, said.act.number, () if at_once else said.needs)
                    said.version, said.touched, said.open = number, [], do == "edit"
            case _:
                act = Act(number, who, "unfollow" if who in follows else "follow")
                follows ^= {who}
        if act is not None:
            acts.append(act)
            if act.do in ("post", "reply"):
                posts[number] = _Said(act, number)
    return acts
