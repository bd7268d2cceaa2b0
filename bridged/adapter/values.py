"""What is handed back and forth between the core and an adapter: frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bridged.model import NOTHING, Account, Activity, Copy, Ghost, Ref

LOCAL = "local"
"""The endpoint of effects inside our own store: delivered by `Sink.apply`, in the transaction that marks them sent."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Verified bytes as they arrived. `id` is unique on its network; `signer` is who is proved to have said it."""

    network: str
    id: str
    body: bytes
    channel: str
    signer: Ref
    received_at: float


Use = Literal["image", "avatar", "banner", "thumb", "video"]
"""What a file is for: a picture or film of a post, a profile's pictures, a still in place of a page or film."""


@dataclass(frozen=True, slots=True)
class BlobLimit:
    """What a file may be there: at most `bytes`, `side` pixels on its longer side (0: any), of one of `types`."""

    bytes: int
    types: frozenset[str]
    side: int = 0


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that we own, as it is served: `Host.blob` opens it. Width and height in pixels, 0 where not known."""

    sha256: bytes
    mime: str
    size: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Card:
    """What a linked page says of itself. `thumb` is an address, for `View.blobs`, or ""."""

    url: str
    title: str
    description: str = ""
    thumb: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a network can say, as data.

    follows   "request": asked and answered with Accept or Reject; "open": needs nobody's consent.
    hearing   "push": an account is heard only while one of ours follows it; "pull": whoever we choose to read.
    ids       "derived": ids are computed before sending; "server": known only once sent.
    consent   what people there are used to; the setting that a new bridge starts with
    edits     whether an Edit changes what was said (else encode turns it into delete and repost, or says no).
    handles   "user": a ghost is looked up as handle@DOMAIN; "host": its handle is a whole host name, and says it all
    discreet  acts that only those concerned see there. Where such an act would be public, the bridge's bot says it
              without a word of who did it
    blobs     files must be ours to be shown there, and how big they may be by use (a use that is missing is not taken);
              None: files are shown from where they are
    """

    acts: frozenset[str]
    follows: Literal["request", "open"] = "open"
    hearing: Literal["push", "pull"] = "pull"
    ids: Literal["derived", "server"] = "derived"
    edits: bool = True
    consent: Literal["open", "opt-in"] = "opt-in"
    handles: Literal["user", "host"] = "user"
    discreet: frozenset[str] = frozenset()
    blobs: Mapping[Use, BlobLimit] | None = None


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


def _nobody() -> Mapping[Ref, Ghost | None]:
    return {}


def _strangers() -> Mapping[Ref, Account]:
    return {}


def _nowhere() -> Mapping[Ref, There | None]:
    return {}


def _nothing() -> Mapping[str, There | Ref]:
    return {}


def _no_blobs() -> Mapping[str, Blob | None]:
    return {}


def _no_cards() -> Mapping[str, Card | None]:
    return {}


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
    blocks      likewise for Block and Delete of a block: all native accounts that the actor has blocked
    pins        for Pin: what stands here for all that the actor has pinned, first to last
    links       link in the text -> what stands here for the post behind it, or the account here behind it
    subject     the earlier activity this one is about, when it was not a post: the follow or QuoteRequest that an
                Accept or Reject answers (then native to this network), the like, repost, follow or block that a
                Delete takes back; for Vote and Tally the poll's Post
    not_before  what replaces something said earlier, and is told by its date, must be dated no earlier: the database
                was restored, and may not know the last thing said
    blobs       where `Capabilities.blobs` asks for it: address of a file -> the file as we keep it, within the limits,
                or None where it is not to be had: then it is a link, and a loss. Of a Post or Edit its media, their
                previews, its `image` and the thumbs of cards; of a Profile its avatar and banner
    cards       likewise: the first link of a post without media -> what its page says of itself, or None
    """

    at: float
    actor: Ghost
    account: Account
    ghosts: Mapping[Ref, Ghost | None] = field(default_factory=_nobody)
    accounts: Mapping[Ref, Account] = field(default_factory=_strangers)
    there: Mapping[Ref, There | None] = field(default_factory=_nowhere)
    recipients: tuple[Account, ...] = ()
    previous: tuple[Copy, ...] = ()
    own: tuple[Copy, ...] = ()
    follows: tuple[Ref, ...] = ()
    blocks: tuple[Ref, ...] = ()
    pins: tuple[Ref, ...] = ()
    links: Mapping[str, There | Ref] = field(default_factory=_nothing)
    subject: Activity | None = None
    not_before: float = 0.0
    blobs: Mapping[str, Blob | None] = field(default_factory=_no_blobs)
    cards: Mapping[str, Card | None] = field(default_factory=_no_cards)


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


@dataclass(frozen=True, slots=True)
class Response:
    """What a guarded fetch brought: final URL, lower-case header names, a body within the limit asked for."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom an adapter listens for, as native ids of its own network.

    full    accounts all of whose public acts are wanted
    known   accounts that have ghosts elsewhere: their edits, gates, deletes and profiles are wanted
    ghosts  our ghosts here: whatever names or answers them is wanted
    hidden  those of the ghosts whose owners do not want to be found by search
    polls   open polls (posts), theirs and ours: votes in them are wanted
    """

    full: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    polls: frozenset[str] = frozenset()


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


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `bridged check`; `mend` says what to do when it is not ok."""

    what: str
    ok: bool
    said: str
    mend: str = ""
