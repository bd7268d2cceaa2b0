"""The adapter contract: what a network must offer the bridge, and what the bridge offers it.

A `Source` is heard, a `Sink` is also written to. `decode` and `encode` are pure: same input, same output, no
I/O, no clock, no randomness. Everything an encoder may look at is in its `View`, which the core fills from the
words of the activity itself, so an encoder never asks for more.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel

from bridged.model import NOTHING, Account, Activity, Copy, Ghost, Ref

API_VERSION = 1
LOCAL = "local"
"""The endpoint of effects inside our own store: delivered by `Sink.apply`, in the transaction that marks them sent."""

T = TypeVar("T")


class Malformed(Exception):
    """The bytes are not what their network's rules ask for; `reason` is a short snake_case word, counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Delivery may succeed later; `after` is the seconds the other side asked us to wait, if it did."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why, self.after = why, after


class Rejected(Exception):
    """Delivery will never succeed. `gone` says that the endpoint itself no longer exists."""

    def __init__(self, why: str, *, gone: bool = False) -> None:
        super().__init__(why)
        self.why, self.gone = why, gone


class Unreachable(Exception):
    """A look-up got no answer: nothing may be concluded from it, and it may be tried again later."""


class EgressRefused(Rejected):
    """The guard said no to an address, port or scheme, for ever. Nothing was connected to."""


class EgressFailed(Retry):
    """The other side could not be reached or broke the rules of the wire this time."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Verified bytes as they arrived. `id` is unique on its network; `signer` is who is proved to have said it."""

    network: str
    id: str
    body: bytes
    channel: str
    signer: Ref
    received_at: float


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a network can say, as data.

    follows   "request": asked and answered with Accept or Reject; "open": needs nobody's consent.
    hearing   "push": an account is heard only while one of ours follows it; "pull": whoever we choose to read.
    ids       "derived": ids are computed before sending; "server": known only once sent.
    edits     whether an Edit changes what was said (else encode turns it into delete and repost, or says no).
    """

    acts: frozenset[str]
    follows: Literal["request", "open"] = "open"
    hearing: Literal["push", "pull"] = "pull"
    ids: Literal["derived", "server"] = "derived"
    edits: bool = True


@dataclass(frozen=True, slots=True)
class There:
    """What stands for one post on the sink's network: the native original, or our copies of it.

    `ref` is None when a server assigns ids and the copy was not sent yet: name `origin` in `Part.waits` and use
    `Delivery.facts`. `author` is the account or ghost there. `parts` is empty for natives. `root` names the
    origin of the thread's first post.
    """

    origin: Ref
    ref: Ref | None
    author: Ref
    root: Ref | None = None
    url: str = ""
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    parts: tuple[Copy, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """All an encoder may look at, for one activity and one network.

    at          when we heard of it (seconds): the latest time a copy may carry
    actor       the ghost of the activity's actor on this network
    account     the actor's account at home
    ghosts      account at home -> its ghost here, or None where there is none to be had
    accounts    every account concerned: mentioned, target, their authors; natives of this network included
    there       origin -> what stands for it here, or None where nothing does
    recipients  accounts native to this network who should hear of it (followers, people addressed)
    previous    for an Edit or Delete: the copies here of what it is about, by part
    own         the copies here made for the actor's account itself (`Part.of == account.ref`: profile, lists), by part
    follows     for Follow and Delete of a follow: all native accounts that the actor follows once it is done
    subject     the earlier activity this one is about, when it was not a post: the follow that an Accept or Reject
                answers (then native to this network), the like, repost, follow or block that a Delete takes back
    """

    at: float
    actor: Ghost
    account: Account
    ghosts: Mapping[Ref, Ghost | None] = field(default_factory=dict)
    accounts: Mapping[Ref, Account] = field(default_factory=dict)
    there: Mapping[Ref, There | None] = field(default_factory=dict)
    recipients: tuple[Account, ...] = ()
    previous: tuple[Copy, ...] = ()
    own: tuple[Copy, ...] = ()
    follows: tuple[Ref, ...] = ()
    subject: Activity | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to say. Stored, with its bytes, before anything is sent.

    of         the origin whose copy this is (the activity's own ref unless it changes an earlier copy)
    number     which part of that origin's copies
    ref        its id here; None when the server assigns it
    body       what is sent to each endpoint, byte for byte (b"" with no endpoints: stored only)
    served     what later reads are answered with
    gone       the copy is withdrawn: `served` is its tombstone, or empty
    endpoints  where to; `LOCAL` for our own store. For Edit and Delete the core adds wherever the copy went before
    waits      copies whose facts the adapter needs when it delivers: (origin, part)
    detail     facts to keep with the copy
    """

    of: Ref
    ref: Ref | None
    body: bytes
    served: bytes
    endpoints: tuple[str, ...] = ()
    number: int = 0
    gone: bool = False
    waits: tuple[tuple[Ref, int], ...] = ()
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What an activity becomes: 0..n parts, and what was lost on the way, each a short sentence for the ledger."""

    parts: tuple[Part, ...] = ()
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt: `body` for `endpoint` as `actor`. `key` stays the same over attempts (idempotency).

    `facts` are the copies named in `Part.waits`, in order, None for one that will never come.
    """

    key: str
    endpoint: str
    body: bytes
    actor: Ghost
    ref: Ref | None
    attempt: int
    facts: tuple[Copy | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """Delivered. `ref` and `detail` as the other side made them, where it does; `note` lands in the ledger."""

    ref: Ref | None = None
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    note: str = ""


class Tx(Protocol):
    """An open transaction of the store, used by units of work: plain functions that do no I/O of their own."""

    def execute(self, statement: Any, parameters: Any = None) -> Any: ...
    def on_commit(self, call: Callable[[], None]) -> None:
        """Run `call` on the event loop once this unit is on disk; never if it is not."""
        ...


class Keys(Protocol):
    def derive(self, purpose: str, ref: Ref, generation: int = 0) -> bytes:
        """32 bytes that only this bridge can compute, always the same for the same arguments (HKDF-SHA256)."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """What a guarded fetch brought: final URL, lower-case header names, a body within the limit asked for."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


Sign = Callable[[str, str], Mapping[str, str]]
"""(method, url) -> headers to add; called again for every redirect."""


class Http(Protocol):
    """The one door to the outside (`egress.py`). Raises EgressRefused for ever, EgressFailed for now."""

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = 1 << 20, sign: Sign | None = None
    ) -> Response: ...
    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
        sign: Sign | None = None,
    ) -> Response: ...
    async def websocket(self, url: str, *, max_size: int) -> Any: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom an adapter listens for, as native ids of its own network.

    full    accounts all of whose public acts are wanted
    known   accounts that have ghosts elsewhere: their edits, deletes and profiles are wanted
    ghosts  our ghosts here: whatever names or answers them is wanted
    """

    full: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Site:
    """Who we are to the outside: `domain` for handles, `base_url` without a trailing slash for addresses."""

    domain: str
    handle_domain: str
    base_url: str
    version: str
    bot: str
    bot_name: str
    data_dir: Path


class Host(Protocol):
    """What the bridge gives an adapter. All refs and ids are of the adapter's own network unless said."""

    site: Site
    http: Http
    keys: Keys
    log: Any

    def now(self) -> float: ...
    async def receive(
        self, *envelopes: Envelope, cursor: tuple[str, str] | None = None, also: Callable[[Tx], None] | None = None
    ) -> int:
        """Station 1: store what arrived, the cursor and `also`'s own rows in one durable transaction.

        Returns how many were new. Raises Busy when the store cannot take them: tell the sender to come back.
        """
        ...

    def heard(self) -> Heard:
        """Whom to listen for now (in memory, cheap)."""
        ...

    async def heard_change(self, since: Heard) -> Heard:
        """Waits until `heard()` differs from `since`, and returns it."""
        ...

    async def cursor(self, key: str) -> str | None: ...
    async def read(self, unit: Callable[[Tx], T]) -> T: ...
    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run `unit` in a transaction of its own; durable when it returns."""
        ...

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A secret of this adapter, sealed in the store; `make` is called the first time only."""
        ...

    async def ghost(self, ref: Ref) -> tuple[Ghost, Account] | None:
        """The live ghost with this native ref, and whom it stands for."""
        ...

    async def ghost_gone(self, ref: Ref) -> bool:
        """Whether a ghost with this native ref existed and was withdrawn (410)."""
        ...

    async def ghost_named(self, handle: str) -> tuple[Ghost, Account] | None:
        """The live ghost here with this handle."""
        ...

    async def lookup(self, name: str) -> tuple[Ghost, Account] | None:
        """Find, on any other network, the account called `name` there, and its ghost here.

        Makes the ghost where consent allows. None: nobody, or no consent. Raises Unreachable.
        """
        ...

    async def copy(self, ref: Ref) -> Copy | None:
        """Our latest copy that has (or once had) this native ref."""
        ...

    async def copies_by(
        self, ghost: Ghost, acts: Iterable[str], limit: int, before: int | None = None
    ) -> list[tuple[int, Copy]]:
        """Copies a ghost made by acts of these names ("Post", "Repost"), newest first, each with a paging number."""
        ...

    async def followers(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        """Total, and a page of native accounts that follow the ghost."""
        ...

    async def following(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]: ...
    async def counts(self) -> Mapping[str, int]:
        """`ghosts` (live, here) and `posts` (copies of posts here), for public statistics."""
        ...

    def wake(self) -> None:
        """New rows wait for delivery."""
        ...

    def refused(self, reason: str) -> None:
        """Count an input refused before it was verified."""
        ...

    def dropped(self, reason: str) -> None:
        """Count a verified input that is not for us."""
        ...

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set one of this adapter's own figures in /metrics."""
        ...


class Busy(Exception):
    """The store cannot take more now; `after` seconds later it may."""

    def __init__(self, why: str, after: float = 5.0) -> None:
        super().__init__(why)
        self.why, self.after = why, after


class Source(Protocol):
    """A network that is heard. Built without I/O; `start` runs before any other call."""

    network: ClassVar[str]
    api_version: ClassVar[int]
    config_type: ClassVar[type[BaseModel]]
    migrations: ClassVar[Path | None]
    """Folder of Alembic migrations for this adapter's own tables, all named `<network>_…`."""

    def __init__(self, config: Any, host: Host) -> None: ...
    async def start(self) -> None:
        """Load keys; the store is open, nothing is served yet."""
        ...

    async def run(self) -> None:
        """Listen until cancelled. What it raises is logged, and it is run again after a while."""
        ...

    def routes(self) -> Iterable[web.RouteDef]: ...
    def parse(self, text: str) -> Ref | None:
        """The ref a person means by this URL or id, of a post or an account; None when it is none of ours. Pure."""
        ...

    def names(self, ref: Ref) -> str:
        """How a person would write this ref (`note1…`, a URL). Pure."""
        ...

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        """What the bytes say; nothing when it is nothing we bridge. Pure; raises only Malformed."""
        ...

    async def find(self, name: str) -> Ref | None:
        """The account with this handle (as in `Account.handle` or `.alias`), checked at its home. Raises Unreachable.
        """
        ...

    async def account(self, ref: Ref) -> Account | None:
        """The account as its home shows it now; None when it is gone. Raises Unreachable."""
        ...

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        """The post `ref` from its origin, verified; empty when it is gone or not public. Raises Unreachable."""
        ...

    async def recent(self, account: Ref, limit: int) -> Sequence[Envelope]:
        """The newest public posts of an account, verified, newest first. Raises Unreachable."""
        ...

    def hints(self) -> Sequence[str]:
        """Sentences for the front page: how somebody there finds people of other networks."""
        ...

    async def check(self) -> Sequence["Finding"]:
        """Findings for `bridged check`: what of this network works, and how to mend what does not."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `bridged check`; `mend` says what to do when it is not ok."""

    what: str
    ok: bool
    said: str
    mend: str = ""


class Sink(Source, Protocol):
    """A network that is also written to."""

    capabilities: ClassVar[Capabilities]

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        """The ghost that stands for `account`; same answer every time for the same account.

        `taken(handle)` says whether another ghost here has that handle already: then choose another.
        """
        ...

    def encode(self, activity: Activity, view: View) -> Outgoing:
        """What is said here for it. Pure; raises Rejected when it cannot be said here at all."""
        ...

    async def deliver(self, item: Delivery) -> Sent:
        """One attempt. Raises Retry or Rejected."""
        ...

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        """The effect of a `LOCAL` delivery, inside the transaction that marks it sent. Raises Rejected."""
        ...
