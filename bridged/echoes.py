"""The same words from many accounts that are new here: how spam comes. Remembered in bounded memory.

Each process has a memory of its own, and a restart empties it: this is a brake, not a record.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

from bridged.model import PostBody, Ref

FRESH = 86400.0
"""Seconds for which somebody counts as new after we first made a ghost of theirs."""
WITHIN = 3600.0
"""Seconds without another echo after which words are forgotten."""
SHORT = 16
"""Letters up to which words that lead nowhere are anybody's: greetings, thanks, applause."""
MAX_WORDS = 4096
"""Different words remembered, the least recently heard forgotten first: about 2 MiB at ten accounts each."""


@dataclass(slots=True)
class _Said:
    last: float
    by: set[bytes] = field(default_factory=set[bytes])


class Echoes:
    """`most` accounts that are new here may say the same words; 0 for any number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._said: OrderedDict[bytes, _Said] = OrderedDict()

    def too_many(self, actor: Ref, body: PostBody, now: float) -> bool:
        """Whether enough others said the same lately. The actor's own repetitions count once."""
        words = _words(body)
        if self._most <= 0 or not words:
            return False
        said = self._said.pop(words, None)
        if said is None or now - said.last > WITHIN:
            said = _Said(now)
        said.last = now
        self._said[words] = said
        if len(self._said) > MAX_WORDS:
            self._said.popitem(last=False)
        who = _digest(str(actor))
        if who not in said.by and len(said.by) >= self._most:
            return True
        said.by.add(who)
        return False


def _words(body: PostBody) -> bytes:
    """What stays the same when only those who are mentioned differ, digested; b"" for what is too short to tell."""
    mentions = sorted((s.start, s.end) for s in body.text.spans if s.kind == "mention")
    kept, at = "", 0
    for start, end in mentions:
        kept += body.text.plain[at:start]
        at = max(at, end)
    plain = " ".join((kept + body.text.plain[at:]).casefold().split())
    leads = [*map(str, body.text.targets("link")), *(media.url for media in body.media)]
    if len(plain) <= SHORT and not leads:
        return b""
    return _digest("\n".join((body.title, plain, *leads)))


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
