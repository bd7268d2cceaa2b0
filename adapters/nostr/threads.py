"""What an event answers: NIP-10 for notes, marked or by position, and NIP-22 for comments. Pure."""

from dataclasses import dataclass, field
from typing import Final

from adapters.nostr import ids
from adapters.nostr.event import Event
from bridged.api import Ref

_NO_DETAIL: Final[dict[str, str]] = {}
_SCOPE: Final = frozenset("AEIKPaeik")


@dataclass(frozen=True, slots=True)
class Parents:
    """`detail` is what an answer to this event must repeat of the thread's root."""

    reply_to: Ref | None = None
    root: Ref | None = None
    detail: dict[str, str] = field(default_factory=lambda: _NO_DETAIL)


def parents(event: Event) -> Parents:
    """The post an event answers and the first post of its thread."""
    if event.kind == 1:
        return _of_note(event)
    if event.kind == 1111:
        return _of_comment(event)
    return Parents()


def _of_note(event: Event) -> Parents:
    marked: dict[str, tuple[str, ...]] = {}
    plain: list[tuple[str, ...]] = []
    for tag in event.tags:
        if len(tag) < 2 or tag[0] not in ("e", "a"):
            continue
        if not (ids.is_hex(tag[1]) if tag[0] == "e" else ids.split_address(tag[1]) is not None):
            continue
        marker = tag[3] if len(tag) > 3 else ""
        if marker in ("root", "reply"):
            # Where both an `e` and an `a` are given for an article, the address is its ref.
            if marker not in marked or (marked[marker][0] == "e" and tag[0] == "a"):
                marked[marker] = tag
        elif marker == "" and tag[0] == "e":
            plain.append(tag)
    if marked:
        reply = marked.get("reply") or marked["root"]
        root = marked.get("root") or reply
    elif plain:
        reply, root = plain[-1], plain[0]
    else:
        return Parents()
    detail: dict[str, str] = {}
    root_id = root[1]
    if root[0] == "e":
        detail["root"] = root_id
        if len(root) > 4 and ids.is_hex(root[4]):
            detail["root_author"] = root[4]
    return Parents(Ref(ids.NETWORK, reply[1]), Ref(ids.NETWORK, root_id), detail)


def _of_comment(event: Event) -> Parents:
    values: dict[str, tuple[str, ...]] = {}
    for tag in event.tags:
        if len(tag) > 1 and tag[0] in _SCOPE:
            values.setdefault(tag[0], tag)
    reply, root = _scope(values, "a", "e"), _scope(values, "A", "E")
    detail: dict[str, str] = {}
    for name in ("A", "E", "I"):
        if name in values and len(values[name][1]) <= ids.MAX_ADDRESS:
            detail = {"root_tag": name, "root_id": values[name][1]}
            break
    kind, author = (values[name][1] if name in values else "" for name in "KP")
    if detail and len(kind) <= 100:
        detail["root_kind"] = kind
    if detail and ids.is_hex(author):
        detail["root_author"] = author
    return Parents(reply, root, detail)


def _scope(values: dict[str, tuple[str, ...]], by_address: str, by_id: str) -> Ref | None:
    if by_address in values and ids.split_address(values[by_address][1]) is not None:
        return Ref(ids.NETWORK, values[by_address][1])
    if by_id in values and ids.is_hex(values[by_id][1]):
        return Ref(ids.NETWORK, values[by_id][1])
    return None
