"""A daemon between a fediverse and a relay, with people on both sides who hear one another."""

import json
import urllib.request
from itertools import count

from adapters.nostr import nip19
from tests.bench.child import Child
from tests.bench.daemon import Daemon, eventually
from tests.bench.fediverse import actor_of, address
from tests.bench.frame import Run

WEB = "tests.bench.fediverse"


class World:
    """`servers` of the fediverse with one actor each, bridged if `listed`; `people` on Nostr, followed by those actors.

    With more servers than people everybody has several followers, with equal numbers one each.
    """

    def __init__(self, run: Run, *, servers: int, people: int = 1, listed: bool = False) -> None:
        self.load = run.enter(Child.module("tests.bench.load"))
        pem = self.load.ready["pem"]
        self.fediverse = run.enter(Child.module(WEB, servers=servers, pem=pem))
        self.relay = run.enter(Child.module("tests.bench.relay", people=people))
        self.port = self.fediverse.ready["port"]
        self.actors = [actor_of(n, self.port) for n in range(servers)]
        self.inboxes = [f"http://{address(n)}:{self.port}/inbox" for n in range(servers)]
        self.people = self.relay.ready["people"]
        self._numbers = count()
        networks = {"activitypub": {}, "nostr": {"relays": [self.relay.ready["url"]]}}
        accounts = [f"activitypub:{actor}" for actor in self.actors] if listed else []
        self.daemon = run.enter(Daemon(run.folder / "daemon", adapters=networks, accounts=accounts))

    def marks(self, size: int) -> list[str]:
        return [f"m{next(self._numbers)}" for _ in range(size)]

    def follow(self) -> None:
        """Each actor follows one of the people, who so are bridged; done when all have been accepted."""
        self.fediverse.ask(do="forget")
        for n, pubkey in enumerate(self.people):
            actors = self.actors[n :: len(self.people)]
            target = self._looked_up(nip19.encode(nip19.Npub(pubkey)))
            marks = self.marks(len(actors))
            self.load.ask(do="sign", url=f"{self.daemon.base}/inbox", actors=actors, marks=marks, follows=target)
            told = self.load.ask(do="hammer", connections=8)
            assert told["statuses"] == {"202": len(actors)}, told
        came = self.fediverse.ask(do="wait", count=len(self.actors), within=400)
        assert came >= len(self.actors), f"{came} of {len(self.actors)} follows were accepted"
        self.daemon.rest()
        eventually(self._is_heard)

    def _looked_up(self, name: str) -> str:
        """The actor that stands for somebody: made when they are first looked for."""
        url = f"{self.daemon.base}/.well-known/webfinger?resource=acct:{name}@{self.daemon.domain}"
        with urllib.request.urlopen(url, timeout=90) as answer:
            links = json.load(answer)["links"]
        return next(link["href"] for link in links if link["rel"] == "self")

    def _is_heard(self) -> bool:
        """A note by each of the people arrives: the relay was asked for all of them."""
        self.fediverse.ask(do="forget")
        self.relay.ask(do="say", marks=self.marks(len(self.people)), rate=None)
        self.fediverse.ask(do="wait", count=len(self.actors), within=5)
        self.daemon.rest()
        return len(self.fediverse.ask(do="came")) == len(self.people)
