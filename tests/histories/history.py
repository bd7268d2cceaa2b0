"""Histories: what some people on two networks did, one thing after another, and what is true once all of it is done.

`written` makes one up from a seed. `Truth` says from the history alone what has to stand in the end, by the rules of
the bridge and in whatever order it was heard:

- a post stands unless its author took it back, and reads as its newest edit says
- a like or repost stands unless that very one was taken back; liking twice is liking once
- somebody follows somebody if the newest follow was not taken back
- an account is called what the newest profile says

What is determined is so by ids (what a Delete takes back) and by the times that the acts carry (which edit, follow or
profile is the newest); no two here have the same time. Nothing determines what becomes of likes, reposts and answers of
a post that is gone, but that they say nothing in its place.

Whoever likes or answers a copy has seen it. So these come after what they are about was bridged (`after`), and so does
the deletion of a post that somebody over there has seen. Everything else may be heard in any order.
"""

from dataclasses import dataclass, field
from random import Random

NETWORKS = ("red", "blue")


@dataclass(frozen=True)
class Doing:
    """`target` is (network, id) at home: a post, an earlier doing, or an account; `parent` what an edited post answers.
    `after` are doings that were bridged before."""

    kind: str
    network: str
    by: str
    id: str
    at: float
    target: tuple[str, str] | None = None
    parent: tuple[str, str] | None = None
    text: str = ""
    after: frozenset[tuple[str, str]] = frozenset()

    @property
    def ref(self) -> tuple[str, str]:
        return self.network, self.id


@dataclass
class History:
    seed: int
    people: dict[str, list[str]]
    doings: list[Doing] = field(default_factory=list[Doing])


@dataclass
class _Post:
    doing: Doing
    watched: bool = False


class _Writer:
    """Makes up what somebody does next, of what they could."""

    def __init__(self, seed: int, start: float) -> None:
        self.chance = Random(seed)
        names = {"red": ["alice", "rita"], "blue": ["bob", "ben"]}
        self.history = History(seed, {n: [f"{who}.{seed}" for who in names[n]] for n in NETWORKS})
        self.now = start
        self.posts: dict[tuple[str, str], _Post] = {}
        self.standing: dict[tuple[str, str, tuple[str, str]], Doing] = {}

    def do(self, kind: str, network: str, by: str, **more: object) -> Doing:
        self.now += self.chance.randint(1, 9)
        id = f"{kind.lower()}.{self.history.seed}.{len(self.history.doings)}"
        doing = Doing(kind, network, by, id, self.now, **more)  # type: ignore[arg-type]
        self.history.doings.append(doing)
        return doing

    def step(self) -> None:
        chance = self.chance
        network = chance.choice(NETWORKS)
        by = chance.choice(self.history.people[network])
        mine = [p for p in self.posts.values() if (p.doing.network, p.doing.by) == (network, by)]
        kinds = ["Post"] * (3 if len(self.posts) < 3 else 1) + ["Profile"]
        if self.posts:
            kinds += ["Answer", "React", "React", "Repost", "Follow"]
        if mine:
            kinds += ["Edit", "Edit", "Edit", "Delete"]
        kind = chance.choice(kinds)
        match kind:
            case "Post" | "Answer":
                about = chance.choice([*self.posts.values()]) if kind == "Answer" else None
                made = self.do(
                    "Post", network, by, text=f"words {chance.random()}", target=about and about.doing.ref,
                    after=self._seen(about, network),
                )  # fmt: skip
                self.posts[made.ref] = _Post(made)
            case "Edit":
                old = chance.choice(mine).doing
                words = f"edited {chance.random()}"
                self.do("Edit", network, by, target=old.ref, parent=old.target, text=words, after=old.after)
            case "Delete":
                gone = chance.choice(mine)
                seen = frozenset({gone.doing.ref}) if gone.watched else frozenset[tuple[str, str]]()
                self.do("Delete", network, by, target=gone.doing.ref, after=seen)
                del self.posts[gone.doing.ref]
            case "Profile":
                self.do("Profile", network, by, text=f"{by} {chance.random()}")
            case "React" | "Repost":
                post = chance.choice([*self.posts.values()])
                self._toggle(kind, network, by, post.doing.ref, self._seen(post, network))
            case _:
                known = [p for p in self.posts.values() if p.doing.network != network]
                if known:
                    post = chance.choice(known)
                    whom = (post.doing.network, post.doing.by)
                    self._toggle("Follow", network, by, whom, self._seen(post, network))

    def _seen(self, post: _Post | None, network: str) -> frozenset[tuple[str, str]]:
        """What was bridged before anybody of a network could see the post, or whatever it is about itself."""
        if post is None:
            return frozenset()
        if post.doing.network == network:
            return post.doing.after
        post.watched = True
        return frozenset({post.doing.ref})

    def _toggle(
        self, kind: str, network: str, by: str, target: tuple[str, str], after: frozenset[tuple[str, str]]
    ) -> None:
        """Likes what is not liked, and takes back what is."""
        key = (kind, by, target)
        stands = self.standing.pop(key, None)
        if stands is None:
            self.standing[key] = self.do(kind, network, by, target=target, after=after)
        else:
            self.do("Delete", network, by, target=stands.ref)


def written(seed: int, start: float) -> History:
    """A history of 3 to 20 doings, mostly few, the first of them soon after `start` (seconds since 1970)."""
    writer = _Writer(seed, start)
    for _ in range(writer.chance.choice((3, 4, 5, 6, 7, 8, 9, 10, 20))):
        writer.step()
    return writer.history


class Truth:
    """What stands when all of a history is done. Sees nothing but the history."""

    def __init__(self, history: History) -> None:
        doings = sorted(history.doings, key=lambda d: d.at)
        gone = {d.target for d in doings if d.kind == "Delete"}
        self.made = {d.ref: d for d in doings if d.kind == "Post"}
        self.alive = {ref: d for ref, d in self.made.items() if ref not in gone}
        newest = {d.target: d.text for d in doings if d.kind == "Edit"}
        self.texts = {ref: newest.get(ref, d.text) for ref, d in self.alive.items()}
        self.names = {(d.network, d.by): d.text for d in doings if d.kind == "Profile"}
        follows = {((d.network, d.by), d.target): d for d in doings if d.kind == "Follow"}
        self.follows = {pair for pair, d in follows.items() if d.ref not in gone}

        def standing(kind: str) -> set[tuple[tuple[str, str], tuple[str, str]]]:
            return {
                ((d.network, d.by), d.target)
                for d in doings
                if d.kind == kind and d.ref not in gone and d.target in self.alive
            }  # type: ignore[misc]

        self.likes, self.reposts = standing("React"), standing("Repost")
