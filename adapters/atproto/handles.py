"""Handles of our ghosts on AT: one label below `handle_domain`, as wildcard certificates cover one. Pure.

A name from elsewhere is written so that it can be read, and read back. Runs of `a-z0-9` stand as they are; a point
between two of them becomes `-`, and the rest words between hyphens:

    @  at      -  h      _  u      a point elsewhere  p      any other character  0 and its hexadecimal number

A run that looks like such a word, or begins with 0, gets `0z` before it. So `alice@mastodon.social` is
`alice-at-mastodon-social`, `a.b@c.d` and `a@b.c.d` differ, and an npub is what it was. What is too long for a label
is cut, and ends in `0y` and a hash, which no other name does.

Names that differ only in the case of their ASCII letters are one name here.
"""

import base64
import hashlib
import re
from typing import Final

from bridged.api import Account

MAX_LABEL: Final = 63
"""Octets (RFC 1035 section 2.3.4)."""
MAX_NAME: Final = 1000
"""Characters of a name that is looked at."""

_WORDS: Final = {"@": "at", "-": "h", "_": "u", ".": "p"}
_CHARACTERS: Final = {word: character for character, word in _WORDS.items()}
_PIECES: Final = re.compile("[a-z0-9]+|.", re.DOTALL)
_RUN: Final = re.compile("[a-z0-9]+")
_LABEL: Final = re.compile("[a-z0-9]+(?:-[a-z0-9]+)*")
_NUMBER: Final = re.compile("0(0|[1-9a-f][0-9a-f]{0,5})")
_ASIS: Final = "0z"
_CUT: Final = "0y"
_DIGEST: Final = 16
"""Characters of base32: 80 bits."""
_UPPER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def label(name: str) -> str | None:
    """The label for `user@host` or another name; None when it would be too long, or the name is empty."""
    if not 0 < len(name) <= MAX_NAME:
        return None
    escaped = _escaped(name)
    return escaped if len(escaped) <= MAX_LABEL else None


def shortened(name: str, source: str) -> str:
    """A label for a name that has none of its own, or not to itself; different for every `source`."""
    digest = base64.b32encode(hashlib.sha256(source.encode(errors="surrogatepass")).digest())[:_DIGEST].decode().lower()
    room = MAX_LABEL - len(_CUT) - _DIGEST - 1
    stem = _escaped(name[:room])[:room].rstrip("-")
    return f"{stem}-{_CUT}{digest}" if stem else f"{_CUT}{digest}"


def name_of(label: str) -> str | None:
    """The name that `label` wrote as this; None for what it never writes, shortened ones included."""
    if _LABEL.fullmatch(label) is None or len(label) > MAX_LABEL:
        return None
    found: list[str] = []
    after_run = False
    for token in label.split("-"):
        character = _character(token)
        if character is not None:
            found.append(character)
        else:
            run = token.removeprefix(_ASIS)
            if after_run:
                found.append(".")
            found.append(run)
        after_run = character is None
    name = "".join(found)
    return name if _escaped(name) == label else None


def labels(account: Account) -> list[str]:
    """What the ghost of an account may be called, best first: by the verified name, the handle, and one of its own."""
    named = (label(name) for name in (account.alias, account.handle))
    return [*dict.fromkeys(found for found in named if found), shortened(account.handle, str(account.ref))]


def under(domain: str, label: str) -> str:
    """The handle with this label below `handle_domain`; a port, which only localhost has, is no part of it."""
    return f"{label}.{_host(domain)}"


def label_under(domain: str, handle: str) -> str | None:
    """The label of a handle directly below `handle_domain`, the inverse of `under`; None for any other handle."""
    found = handle.lower().removesuffix(f".{_host(domain)}")
    return found if found != handle.lower() and len(found) <= MAX_LABEL and _LABEL.fullmatch(found) else None


def _host(domain: str) -> str:
    return domain.partition(":")[0].lower()


def _escaped(name: str) -> str:
    pieces: list[str] = _PIECES.findall(name.translate(_UPPER))
    runs = [_RUN.fullmatch(piece) is not None for piece in pieces]
    tokens: list[str] = []
    for at, piece in enumerate(pieces):
        if runs[at]:
            tokens.append(f"{_ASIS}{piece}" if piece in _CHARACTERS or piece.startswith("0") else piece)
        elif piece != "." or not (0 < at < len(pieces) - 1 and runs[at - 1] and runs[at + 1]):
            tokens.append(_WORDS.get(piece) or f"0{ord(piece):x}")
    return "-".join(tokens)


def _character(token: str) -> str | None:
    """What a word stands for; None when it is no such word."""
    if token in _CHARACTERS:
        return _CHARACTERS[token]
    number = _NUMBER.fullmatch(token)
    return chr(int(number[1], 16)) if number and int(number[1], 16) <= 0x10FFFF else None
