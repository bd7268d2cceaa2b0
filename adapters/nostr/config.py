"""The `adapters.nostr` part of `bridge.yaml`."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from adapters.nostr.home import Edits

MAX_RELAYS = 20
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,100}")


def _relay_url(text: str) -> str:
    """A ws or wss URL in the one spelling used as endpoint, cursor key and label."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("not a relay URL") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("a relay URL is like wss://relay.example")
    if not text.isascii() or len(text) > 255:
        raise ValueError("a relay URL has at most 255 ASCII characters")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"ws": 80, "wss": 443}[parts.scheme]
    netloc = host if port in (None, default) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}{query}"


def _relay_path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError("a path begins with / and holds letters, digits and . _ ~ / -")
    return text


RelayUrl = Annotated[str, AfterValidator(_relay_url)]


class StrangersConfig(BaseModel):
    """What is kept at most of those who are not bridged; beyond, the oldest goes first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    each: Annotated[int, Field(ge=1)] = 500
    """Events of one key."""
    events: Annotated[int, Field(ge=1)] = 20_000
    """Events of all together."""
    megabytes: Annotated[int, Field(ge=1)] = 200
    """Of JSON text of all together."""


class RelayConfig(BaseModel):
    """The embedded relay, served at `path` under the bridge's own address.

    `min_pow` is the proof of work (NIP-13) asked of those who are not bridged, in bits. `contact` and
    `posting_policy` are told to clients (NIP-11) as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    path: Annotated[str, AfterValidator(_relay_path)] = "/relay"
    min_pow: Annotated[int, Field(ge=0, le=64)] = 0
    strangers: StrangersConfig = StrangersConfig()
    contact: Annotated[str, Field(max_length=200)] = ""
    posting_policy: Annotated[str, Field(max_length=200)] = ""


class NostrConfig(BaseModel):
    """`relays` are read from and written to, beside the embedded one.

    `edits` says what becomes of a note that is edited elsewhere: "repost" deletes it and says it anew, "note" leaves
    it and adds the new text as an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    relays: Annotated[list[RelayUrl], Field(max_length=MAX_RELAYS)] = []
    relay: RelayConfig = RelayConfig()
    edits: Edits = "repost"

    @model_validator(mode="after")
    def _somewhere_to_publish(self) -> Self:
        if not self.relays and not self.relay.enabled:
            raise ValueError("name at least one relay, or enable the embedded one")
        if len(set(self.relays)) != len(self.relays):
            raise ValueError("a relay is named twice")
        return self
