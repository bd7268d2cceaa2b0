"""What there is: ids, texts, files, accounts, posts, and our copies of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

MAX_ID = 1200
"""Longest native id kept, in bytes of UTF-8: databases index no more. Adapters take ids of 1,000."""

HOME = "bridge"
"""The pseudo-network of accounts that belong to the bridge itself, such as its bot."""

SpanKind = Literal["mention", "link", "tag", "emoji", "bold", "italic", "strike", "code", "pre", "quote", "item"]
Audience = Literal["public", "unlisted", "followers", "direct"]
Circle = Literal["followers", "followed", "mentioned"]
Custody = Literal["hosted", "linked"]
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A native id on one network. Only that network's adapter looks inside `id`."""

    network: str
    id: str

    def __post_init__(self) -> None:
        if not self.network or not self.id or len(self.id.encode(errors="replace")) > MAX_ID:
            raise ValueError("a ref needs a network and an id of 1 to 1200 bytes")

    @classmethod
    def made(cls, network: str, *parts: str) -> "Ref":
        """An id of our own making; parts that are too long together are named by their hash."""
        id = ":".join(parts)
        packed = id.encode(errors="surrogatepass")
        return cls(network, id if len(packed) <= MAX_ID else f"sha256:{sha256(packed).hexdigest()}")

    def __str__(self) -> str:
        return f"{self.network}:{self.id}"


BOT = Ref(HOME, "bot")
"""The bridge's own account: following it asks to be bridged."""


@dataclass(frozen=True, slots=True)
class Span:
    """`plain[start:end]` means more than its letters.

    `target` is the account for a mention (`Ref`), the address for a link, the name without `#` for a tag, the
    image address for an emoji (the text being `:code:`), and None for the rest.
    """

    start: int
    end: int
    kind: SpanKind
    target: Ref | str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError("a span covers at least one code point")


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text with newlines, and spans over it sorted by start, then by falling end."""

    plain: str = ""
    spans: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if self.spans == ():  # most are made on the way to others, and have none
            return
        if any(s.end > len(self.plain) for s in self.spans):
            raise ValueError("a span ends past its text")
        object.__setattr__(self, "spans", tuple(sorted(self.spans, key=lambda s: (s.start, -s.end))))

    def targets(self, kind: SpanKind) -> tuple[Ref | str, ...]:
        """The distinct targets of one kind of span, in order of appearance."""
        return tuple(dict.fromkeys(s.target for s in self.spans if s.kind == kind and s.target is not None))

    def tags(self) -> tuple[str, ...]:
        """The hashtags in it, each once, without `#`."""
        return tuple(t for t in self.targets("tag") if isinstance(t, str))

    def mentions(self) -> tuple[Ref, ...]:
        """The accounts mentioned, each once."""
        return tuple(t for t in self.targets("mention") if isinstance(t, Ref))


@dataclass(frozen=True, slots=True)
class Media:
    """A file shown with a post. `type` is a MIME type, `size` (width, height) in pixels.

    `focus` is what must stay visible when it is cropped, from the centre: -1 to 1, right and up. `preview` is the
    address of a still picture of a video, `seconds` how long it or a sound lasts (0: not known).
    """

    url: str
    type: str = ""
    alt: str = ""
    size: tuple[int, int] | None = None
    blurhash: str = ""
    sha256: str = ""
    focus: tuple[float, float] | None = None
    preview: str = ""
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Option:
    """One answer that a poll offers. `id` is what a vote names it by at the poll's home, `votes` as last counted."""

    id: str
    name: str
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """A question with answers to choose from. `voters` counts people, `ends` is when (None: open end)."""

    options: tuple[Option, ...]
    multiple: bool = False
    ends: float | None = None
    closed: bool = False
    voters: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """A real account on its home network, as last heard.

    `handle` always names it there (`npub1…`, `alice@host`, `alice.example`); `alias` is a nicer name that was
    verified to point here and may change. `endpoint` says where things for it are delivered, opaque to the core.
    `mark` is set when the account is itself a copy made by some bridge: it says of what.

    emojis        custom emoji in `name`: (code without colons, image)
    refuses       what in the profile says that it must not be bridged ("#nobridge"), or ""
    discoverable  False: it asks not to be shown around; indexable  False: not to be found by search
    locked        it decides on each follow itself
    same_as       addresses and ids that it claims as its own elsewhere; believed only when both sides say so
    moved         where it moved to, on its own network
    since         when it was made
    """

    ref: Ref
    handle: str
    alias: str = ""
    name: str = ""
    bio: Text = field(default_factory=Text)
    avatar: str = ""
    banner: str = ""
    url: str = ""
    uri: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    emojis: tuple[tuple[str, str], ...] = ()
    bot: bool = False
    group: bool = False
    locked: bool = False
    refuses: str = ""
    discoverable: bool = True
    indexable: bool = True
    same_as: tuple[str, ...] = ()
    moved: Ref | None = None
    since: float | None = None
    endpoint: str = ""
    mark: str = ""
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Ghost:
    """The account that stands for `owner` on the network of `ref`.

    `custody` is `hosted` (we made it and hold its key) or `linked` (the person's own). `generation` grows when
    a key is given up and a new ghost takes over. `first` is whom it was made for, when its owner has moved since.
    """

    owner: Ref
    ref: Ref
    handle: str
    custody: Custody = "hosted"
    generation: int = 0
    first: Ref | None = None

    @property
    def keyed(self) -> Ref:
        """The account that its keys are derived for."""
        return self.first or self.owner


@dataclass(frozen=True, slots=True)
class PostBody:
    """What a post says. `root` is the first post of its thread where the source network names it.

    `mentions` are accounts, and `tags` hashtags without `#`, beside those in the text. `detail` holds native facts
    that only adapters of `ref.network` read (a kind, a relay, a version hash). `mark` says which original this is a
    copy of, when another bridge made it. `summary` and `image` belong to what has a `title`: an abstract, and the
    picture at its head. From `expires` on (seconds) it is to be gone. `answers` are those who may answer it beside its
    author (None: everybody), and `quotable` whether others may quote it.
    """

    ref: Ref
    author: Ref
    text: Text
    at: float
    media: tuple[Media, ...] = ()
    reply_to: Ref | None = None
    root: Ref | None = None
    quote: Ref | None = None
    title: str = ""
    summary: str = ""
    image: str = ""
    poll: Poll | None = None
    warning: str = ""
    sensitive: bool = False
    lang: str = ""
    audience: Audience = "public"
    expires: float | None = None
    answers: tuple[Circle, ...] | None = None
    quotable: bool = True
    url: str = ""
    uri: str = ""
    mentions: tuple[Ref, ...] = ()
    tags: tuple[str, ...] = ()
    mark: str = ""
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def hashtags(self) -> tuple[str, ...]:
        """Every hashtag of the post, in the text first, each once whatever its case."""
        found: dict[str, str] = {}
        for tag in self.text.tags() + self.tags:
            found.setdefault(tag.lower(), tag)
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Copy:
    """Part `part` of what we said on `network` for `origin`.

    `ref` is None until a server that assigns ids has answered. `served` answers later reads (b"" once `gone`
    unless a tombstone is served). `detail` holds facts made there, such as a version hash.
    """

    origin: Ref
    network: str
    part: int
    ref: Ref | None
    served: bytes
    version: int = 1
    gone: bool = False
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)
