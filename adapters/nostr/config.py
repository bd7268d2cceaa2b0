"""The `adapters.nostr` part of `bridge.yaml`."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from adapters.nostr.home import Edits
from adapters.nostr.relays import relay_url

MAX_RELAYS = 20
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,100}")


def _relay_path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError("a path begins with / and holds letters, digits and . _ ~ / -")
    return text


RelayUrl = Annotated[str, AfterValidator(relay_url)]


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


class OutboxConfig(BaseModel):
    """The outbox model: people are also read from the relays they say they write to (NIP-65).

    `max_relays` connections are kept for that at most; 0 reads from the configured relays alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_relays: Annotated[int, Field(ge=0, le=300)] = 30


class NostrConfig(BaseModel):
    """`relays` are read from and written to, beside the embedded one.

    `edits` says what becomes of a note that is edited elsewhere: "repost" deletes it and says it anew, "note" leaves
    it and adds the new text as an answer.
    `pow` is the proof of work (NIP-13) in all our events, in bits, for relays that ask for some. Each bit doubles
    the time: about 0.1 s an event for 16, 2 s for 20 and half a minute for 24, in which nothing else is written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    relays: Annotated[list[RelayUrl], Field(max_length=MAX_RELAYS)] = []
    outbox: OutboxConfig = OutboxConfig()
    pow: Annotated[int, Field(ge=0, le=24)] = 0
    relay: RelayConfig = RelayConfig()
    edits: Edits = "repost"

    @model_validator(mode="after")
    def _somewhere_to_publish(self) -> Self:
        if not self.relays and not self.relay.enabled:
            raise ValueError("name at least one relay, or enable the embedded one")
        if len(set(self.relays)) != len(self.relays):
            raise ValueError("a relay is named twice")
        return self
