"""People of the fediverse who are members of the bridge: each does one thing after the other, until thanked for it.

They post, with and without a picture, edit, delete, like each other's posts, take likes back and rename themselves.
What would have no one right outcome is not done: only posts that are never deleted are liked, and only once they stand.
"""

import asyncio
import contextlib
import io
import json
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from PIL import Image

from ..kit import eventually
from ..kit.daemon import Daemon
from ..kit.fediverse import Actor, Answer, Got, Peer

PATIENCE = 180.0
WEIGHTS = {"post": 40, "picture": 4, "edit": 16, "delete": 14, "like": 14, "unlike": 6, "profile": 6}
MARK = re.compile(r"mark\d{5}x")
_PICTURE = "/pictures/"


@dataclass(frozen=True)
class Act:
    """`target` is the act that is edited, deleted, liked or taken back."""

    number: int
    who: str
    do: str
    target: "Act | None" = None

    @property
    def mark(self) -> str:
        """A word that is in the text of this act and in no other."""
        return f"mark{self.number:05d}x"


@dataclass
class Life:
    """What somebody has done, oldest first, and what of it they may still do something about."""

    actor: Actor
    history: list[Act] = field(default_factory=list[Act])
    notes: dict[Act, dict[str, Any]] = field(default_factory=dict[Act, dict[str, Any]])
    """Posts that stand, as they read now."""
    likes: dict[Act, dict[str, Any]] = field(default_factory=dict[Act, dict[str, Any]])
    liked: set[Act] = field(default_factory=set[Act])


class Town:
    """`seen` tells whether a post stands where it belongs. `kept`: posts that are never deleted."""

    def __init__(self, daemon: Daemon, peer: Peer, people: int, chance: random.Random) -> None:
        self.daemon, self.chance = daemon, chance
        key = peer.actor("albert").key
        self.lives = {name: Life(peer.actor(name, key)) for name in (f"albert{n}" for n in range(people))}
        self.peer, self.wrong = peer, list[str]()
        self.begun, self.done = 0, 0
        self.wanted = ""
        """What is done next, for a while."""
        self.kept: list[Act] = []
        self.seen: Callable[[Act], bool] = lambda act: True
        self._numbers, self._gate, self._over = 0, 0, False
        self._news = asyncio.Condition()
        peer.script = self._answer

    async def join(self) -> None:
        bot = await _patiently(lambda: self.daemon.actor_of("bridge", timeout=1))
        await asyncio.gather(*(self._send(life.actor, life.actor.follow(bot)) for life in self.lives.values()))

    async def act(self) -> None:
        """All of them at once, as far as the gate lets them, until it is over."""
        async with asyncio.TaskGroup() as group:
            for name in self.lives:
                group.create_task(self._life(name))

    @contextlib.asynccontextmanager
    async def acting(self) -> AsyncGenerator[None]:
        """All act while this is entered, and are done with the last gate when it is left."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.act())
            yield

    def forget(self) -> None:
        """Nobody comes back to what they have said so far."""
        self.kept.clear()
        for life in self.lives.values():
            life.notes.clear()
            life.likes.clear()

    async def open(self, gate: int, *, last: bool = False) -> None:
        """So many acts may be begun by now; after the `last` gate it is over."""
        async with self._news:
            self._gate, self._over = max(self._gate, gate), last
            self._news.notify_all()

    async def reached(self, count: int) -> None:
        """Until so many acts have been thanked for."""
        async with self._news:
            await self._news.wait_for(lambda: self.done >= count)

    async def _may(self) -> bool:
        async with self._news:
            await self._news.wait_for(lambda: self.begun < self._gate or self._over)
            if self.begun >= self._gate:
                return False
            self.begun += 1
            return True

    async def _life(self, name: str) -> None:
        life = self.lives[name]
        while await self._may():
            act, activity = self._next(name, life)
            life.history.append(act)
            await self._send(life.actor, activity)
            async with self._news:
                self.done += 1
                self._news.notify_all()

    def _next(self, name: str, life: Life) -> tuple[Act, dict[str, Any]]:
        self._numbers += 1
        while True:
            do = self.wanted or self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            made = self._made(Act(self._numbers, name, do), life)
            if made is not None:
                return made

    def _made(self, act: Act, life: Life) -> tuple[Act, dict[str, Any]] | None:
        """The act and how it is said; None where there is nothing to do that to."""
        actor, chance = life.actor, self.chance
        match act.do:
            case "post" | "picture":
                more: dict[str, Any] = {}
                if act.do == "picture":
                    url = f"{self.peer.base}{_PICTURE}{act.mark}"
                    more = {"attachment": [{"type": "Image", "mediaType": "image/jpeg", "url": url, "name": act.mark}]}
                said = actor.create(act.mark, **more)
                life.notes[act] = said["object"]
                if chance.random() < 0.3:
                    self.kept.append(act)
                return act, said
            case "edit" if life.notes:
                post = chance.choice(list(life.notes)[-8:])
                said = actor.update(life.notes[post], act.mark)
                life.notes[post] = said["object"]
                return Act(act.number, act.who, act.do, post), said
            case "delete":
                some = [post for post in life.notes if post not in self.kept]
                if some:
                    post = chance.choice(some[-4:])
                    return Act(act.number, act.who, act.do, post), actor.delete(life.notes.pop(post)["id"])
            case "like":
                some = [post for post in self.kept[-40:] if post not in life.liked and self.seen(post)]
                if some:
                    post = chance.choice(some)
                    act = Act(act.number, act.who, act.do, post)
                    life.liked.add(post)
                    life.likes[act] = actor.like(self.lives[post.who].notes[post]["id"])
                    return act, life.likes[act]
            case "unlike" if life.likes:
                like = chance.choice(list(life.likes))
                return Act(act.number, act.who, act.do, like), actor.undo(life.likes.pop(like))
            case "profile":
                return act, _renamed(actor, act.mark)
            case _:
                pass
        return None

    async def _send(self, actor: Actor, activity: Mapping[str, Any]) -> None:
        """The same bytes until they are taken."""
        body = json.dumps(activity).encode()

        async def once() -> bool:
            status = await actor.send(body, f"{self.daemon.base}/inbox")
            if status != 202 and status < 500:
                self.wrong.append(f"{status} for {activity['id']}")
            return status == 202

        await _patiently(once)

    def _answer(self, got: Got) -> Answer | None:
        """Pictures, each another; all else as ever."""
        if not got.path.startswith(_PICTURE):
            return None
        return Answer(200, {"Content-Type": "image/jpeg"}, picture(got.path))

    async def renames(self, actor: Actor) -> None:
        """A word that is in no history."""
        await self._send(actor, _renamed(actor, "here"))

    async def settled(self) -> None:
        """All that was heard is decided on, all that was queued is done."""

        async def idle() -> bool:
            waiting = await self.daemon.rows(
                f"SELECT id FROM inbox WHERE state = 'new' AND due_at < {time.time() + 60} UNION ALL"
                " SELECT id FROM outbox WHERE state = 'ready'"
            )
            assert not waiting, f"{len(waiting)} wait"
            return True

        await eventually(idle, timeout=PATIENCE, every=0.3)


def _renamed(actor: Actor, word: str) -> dict[str, Any]:
    shown = actor.show(name=f"{actor.name} {word}")
    return actor.activity("Update", shown, to=["https://www.w3.org/ns/activitystreams#Public"])


async def _patiently(once: Callable[[], Awaitable[Any]]) -> Any:
    """Until it goes well: the daemon may be dead, or die over it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, AssertionError):
            if got := await once():
                return got
        await asyncio.sleep(0.05)
    raise AssertionError(f"not taken in {PATIENCE} s")


def picture(name: str) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", (16, 12), "red")
    image.putpixel((0, 0), tuple(random.Random(name).randbytes(3)))  # type: ignore[arg-type]
    image.save(out, "JPEG", quality=95)
    return out.getvalue()
