"""The `adapters.atproto` part of `bridge.yaml`."""

from typing import Annotated, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from adapters.atproto import crypto
from adapters.atproto.home import LongPosts
from adapters.atproto.identity import can_be
from bridged.api import Malformed

EMBEDDED: Final = "embedded"
_PLC: Final = "https://plc.directory"
_JETSTREAM: Final = "wss://jetstream2.us-east.bsky.network/subscribe"
_CRAWLERS: Final = ("https://bsky.network",)
_APPVIEW: Final = "https://public.api.bsky.app"
_MODERATION: Final = "https://mod.bsky.app"
_MODERATOR: Final = "did:plc:ar7c4by46qjdydhdevvrndac"
_MAX_URL: Final = 300


def _web(text: str) -> str:
    return _address(text, "https", "http")


def _socket(text: str) -> str:
    return _address(text, "wss", "ws")


def _directory(text: str) -> str:
    return text if text == EMBEDDED else _web(text)


def _optional(text: str) -> str:
    return _web(text) if text else ""


def _address(text: str, *schemes: str) -> str:
    """An address without a slash at its end. Raises ValueError."""
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError:
        raise ValueError(f"this is no address; one is like {schemes[0]}://host.example") from None
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.fragment or len(text) > _MAX_URL:
        raise ValueError(f"an address here is like {schemes[0]}://host.example")
    return text.strip().rstrip("/")


def _did_key(text: str) -> str:
    try:
        if text:
            crypto.parse_did_key(text)
    except Malformed:
        raise ValueError("a public key is written did:key:z…, for secp256k1 or P-256") from None
    return text


def _did(text: str) -> str:
    if not can_be(text):
        raise ValueError("this is no DID; one is like did:plc:… or did:web:host.example")
    return text


Web = Annotated[str, AfterValidator(_web)]
Socket = Annotated[str, AfterValidator(_socket)]


class IngestConfig(BaseModel):
    """Where others are heard: a Jetstream, or the raw stream of a relay or of one PDS, which is verified."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jetstream: Socket | None = None
    firehose: Socket | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.jetstream and self.firehose:
            raise ValueError("name a jetstream or a firehose, not both")
        return self


class PaceConfig(BaseModel):
    """How many events of ours relays are shown at most, by second, hour and day; what is more waits its turn.

    `accounts` is how many accounts of a host they take in: nothing is held back, but `bridged check` tells.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    second: Annotated[int, Field(ge=1, le=10_000)] = 50
    hour: Annotated[int, Field(ge=1, le=10_000_000)] = 2_500
    day: Annotated[int, Field(ge=1, le=100_000_000)] = 20_000
    accounts: Annotated[int, Field(ge=1)] = 100


class ModerationConfig(BaseModel):
    """The service that reports about people of this network go to, and the DID it is known by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Web
    did: Annotated[str, AfterValidator(_did)]


class AtprotoConfig(BaseModel):
    """`plc` is a directory's address, or `embedded`: then our own one serves a network that knows no other, and what
    is left out below is nothing. With the public directory it is what the public network has.

    `did_method` is for new accounts. `operator_key` (did:key) may change all identities made here, above our own keys.
    `articles`: they are published as site.standard.document beside the post that tells of them.
    `appview` answers for handles and threads. `firehose` is for how many days our events can be read again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    plc: Annotated[str, AfterValidator(_directory)] = _PLC
    did_method: Literal["plc", "web"] = "plc"
    operator_key: Annotated[str, AfterValidator(_did_key)] = ""
    ingest: IngestConfig = IngestConfig()
    crawlers: Annotated[list[Web], Field(max_length=20)] = []
    appview: Annotated[str, AfterValidator(_optional)] = ""
    moderation: ModerationConfig | None = None
    long_posts: LongPosts = "thread"
    articles: bool = False
    pace: PaceConfig = PaceConfig()
    firehose: Annotated[int, Field(ge=1, le=365)] = 3

    @classmethod
    def at_home(cls) -> Self:
        """For a bridge on localhost: nobody outside hears of those it makes."""
        return cls(plc=EMBEDDED)

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: object) -> object:
        """What the public network has, for who is on it."""
        if not isinstance(values, dict):
            return values
        said = cast("dict[str, object]", values)
        if str(said.get("plc", _PLC)).rstrip("/") != _PLC:
            return said
        usual = {
            "ingest": {"jetstream": _JETSTREAM},
            "crawlers": list(_CRAWLERS),
            "appview": _APPVIEW,
            "moderation": {"url": _MODERATION, "did": _MODERATOR},
        }
        return {**usual, **said}
