"""Which of all that happens on the network is for us: a look at the bytes first, then at what they say. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from bridged.api import Heard

PROFILE: Final = "app.bsky.actor.profile"
POST: Final = "app.bsky.feed.post"

GATES: Final = ("app.bsky.feed.threadgate", "app.bsky.feed.postgate")

ARTICLE: Final = "site.standard.document"

COLLECTIONS: Final = (
    POST,
    ARTICLE,
    "app.bsky.feed.like",
    "app.bsky.feed.repost",
    *GATES,
    "app.bsky.graph.follow",
    "app.bsky.graph.block",
    PROFILE,
)
"""Those whose records are listened for."""

_COLLECTIONS: Final = frozenset(COLLECTIONS)
_PLC: Final = re.compile(rb"did:plc:[a-z2-7]{24}")
_OF_WHAT_IS_KNOWN: Final = frozenset({PROFILE, *GATES})
"""Collections whose new records say something of what is on other networks already."""


class Wanted:
    """What follows from whom the bridge listens for."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self.theirs: Final = heard.full | heard.known
        """Accounts of the network that something of is on other networks, or will be."""
        everybody = [did.encode() for did in self.theirs | heard.ghosts]
        self._plc = frozenset(did for did in everybody if did.startswith(b"did:plc:"))
        others = sorted(did for did in everybody if not did.startswith(b"did:plc:"))
        self._others = re.compile(b"|".join(map(re.escape, others))) if others else None

    def names(self, frame: bytes) -> bool:
        """Whether these bytes, JSON or CBOR, hold the DID of anybody we care for, wherever."""
        if not self._plc.isdisjoint(_PLC.findall(frame)):
            return True
        return self._others is not None and self._others.search(frame) is not None

    def is_own(self, did: str) -> bool:
        """Whether it is one of our ghosts, come back to us."""
        return did in self._heard.ghosts

    def wants(self, did: str, collection: str, operation: str, record: Any) -> bool:
        """Whether one operation on a repo is for us; `record` as JSON has it, None for a delete."""
        heard = self._heard
        if collection not in _COLLECTIONS or did in heard.ghosts:
            return False
        if did in heard.full:
            return True
        if did in heard.known and (operation != "create" or collection in _OF_WHAT_IS_KNOWN):
            return True
        return any(other in heard.ghosts for other in concerned(collection, record))


def concerned(collection: str, record: Any) -> Iterator[str]:
    """DIDs of those whom a record is about: mentioned, answered, quoted, liked, reposted, followed, blocked."""
    if collection == POST:
        yield from _mentioned(record)
        reply, embed = _field(record, "reply"), _field(record, "embed")
        quoted = _field(embed, "record")
        for strong in (_field(reply, "parent"), _field(reply, "root"), quoted, _field(quoted, "record")):
            yield from _owner(strong)
    else:
        subject = _field(record, "subject")
        if isinstance(subject, str):
            yield subject
        yield from _owner(subject)


def _mentioned(record: Any) -> Iterator[str]:
    for facet in _list(_field(record, "facets")):
        for feature in _list(_field(facet, "features")):
            did = _field(feature, "did")
            if isinstance(did, str):
                yield did


def _owner(strong: Any) -> Iterator[str]:
    """Whose repo a strong reference leads to."""
    uri = _field(strong, "uri")
    if isinstance(uri, str) and uri.startswith("at://"):
        yield uri[5:].partition("/")[0]


def _field(value: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", value).get(name) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
