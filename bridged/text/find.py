"""Links, hashtags and emoji codes found in plain letters.

Every function returns the text with spans added where no link, mention, tag, emoji, code or pre is yet.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

import regex

from bridged.model import Span, Text
from bridged.text.shape import overlay

MAX_URL: Final = 2048
MAX_TAG: Final = 100
"""Longest hashtag found, in code points without its sign."""

MAX_KNOWN_TAGS: Final = 100
MAX_HASHES: Final = 500
"""How many `#` of one text are held against the tags known."""

# Quotes, angle brackets, white space, controls and full-width punctuation end an address.
_NO_URL_LETTER: Final = r"\s\p{C}\p{Z}<>\"`\\^{|}“”„«»‹›‘’…、。，；：！？（）「」『』【】《》〈〉"
_URL: Final = regex.compile(rf"(?<![A-Za-z0-9@/.])https?://[^{_NO_URL_LETTER}]++", regex.IGNORECASE)
_NOT_URL_LETTER: Final = regex.compile(rf"[{_NO_URL_LETTER}]")
_TRAILING: Final = ".,;:!?'*"
_PAIRS: Final = {")": "(", "]": "["}
_WEB: Final = regex.compile(
    r"https?://(?:[^\s/?#@<>\"\\]*+@)?+(?:\[[0-9a-f:.]{2,45}\]|[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}._~-]*+))(?::\d{1,5})?+"
    r"(?:[/?#].*+)?+",
    regex.IGNORECASE,
)
# What most addresses are, and needs no second look: a host of ASCII letters, and nothing that may not stand as it is.
_USUAL: Final = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9._~-]*(?::[0-9]{1,5})?(?:[/?#][!#-;=?-\[\]_a-z~]*)?")
# Browsers read an address as if these were not there.
_FOLDED: Final = dict.fromkeys(map(ord, "\t\r\n"))
_UNSAFE: Final = regex.compile(r"[\s\p{C}\p{Z}<>\"`\\^{|}]")
# Signs that join the parts of a word in some scripts, never at its end.
_TAG: Final = regex.compile(
    rf"(?<![\w&/#＃])[#＃](?=[\w·・\u200C\u200D]*?\p{{L}})[\w·・\u200C\u200D]{{1,{MAX_TAG}}}+(?![\w])"
)
_TAG_JOINERS: Final = "·・\u200c\u200d"
_HASH: Final = regex.compile(r"(?<![\w&/#＃])[#＃]")
_WORD: Final = regex.compile(r"\w")
_CODE: Final = regex.compile(r":[\w.+-]{1,100}+(?=:)")


def web_url(address: str) -> str | None:
    """The http or https address, characters no address may hold percent-encoded; None for any other."""
    if len(address) <= MAX_URL and _USUAL.fullmatch(address):
        return address
    address = address.strip().translate(_FOLDED)
    if len(address) > MAX_URL or _WEB.fullmatch(address) is None:
        return None
    encoded = _UNSAFE.sub(lambda m: _percent(m.group()), address)
    try:
        urlsplit(encoded)  # whoever takes it apart later may rely on it: `[bad]` is no host
    except ValueError:
        return None
    return encoded if len(encoded) <= MAX_URL else None


def bare_url(address: str) -> str:
    """The address written so that `find_links` finds all of it in running text."""
    address = _NOT_URL_LETTER.sub(lambda m: _percent(m.group()), address)
    for closing, opening in _PAIRS.items():
        if address.count(opening) > address.count(closing):
            address = address.replace(opening, _percent(opening))
    end = _end_of_url(address)
    return address[:end] + _percent(address[end:])


def find_links(text: Text) -> Text:
    """Add a link over each bare http or https address.

    Punctuation after an address is left out of it, and so is a closing bracket that was not opened in it.
    """
    return overlay(text, _links(text.plain))


def find_tags(text: Text) -> Text:
    """Add a tag over each `#word` of any script that holds at least one letter."""
    return overlay(text, _tags(text.plain))


def known_tags(text: Text, names: Iterable[str]) -> Text:
    """Add a tag over each `#name` whose name is among those given, whatever its characters and case."""
    folded = {n.lstrip("#＃").casefold() for n in names if len(n) <= MAX_TAG}
    known = sorted(folded - {""}, key=lambda n: (-len(n), n))
    return overlay(text, _known(text.plain, known[:MAX_KNOWN_TAGS])) if known else text


def find_emojis(text: Text, emojis: Mapping[str, str]) -> Text:
    """Add an emoji over each `:code:` that is a key of `emojis`, its image address as target."""
    return overlay(text, _emojis(text.plain, emojis)) if emojis else text


def _percent(letters: str) -> str:
    return "".join(f"%{octet:02X}" for octet in letters.encode("utf-8", "replace"))


def _end_of_url(address: str) -> int:
    """How much of the address is left when trailing punctuation is taken off."""
    end = len(address)
    spare = {closing: address.count(closing) - address.count(opening) for closing, opening in _PAIRS.items()}
    while end:
        last = address[end - 1]
        if spare.get(last, 0) > 0:
            spare[last] -= 1
        elif last not in _TRAILING:
            break
        end -= 1
    return end


def _links(plain: str) -> Iterator[Span]:
    for match in _URL.finditer(plain):
        if match.end() - match.start() <= MAX_URL:
            address = match.group()[: _end_of_url(match.group())]
            if target := web_url(address):
                yield Span(match.start(), match.start() + len(address), "link", target)


def _tags(plain: str) -> Iterator[Span]:
    for match in _TAG.finditer(plain):
        name = match.group()[1:].rstrip(_TAG_JOINERS)
        yield Span(match.start(), match.start() + 1 + len(name), "tag", name)


def _known(plain: str, names: list[str]) -> Iterator[Span]:
    longest = len(names[0]) if names else 0
    for match in islice(_HASH.finditer(plain), MAX_HASHES):
        folded, ends = _folded(plain, match.end(), longest)
        for name in names:
            end = ends.get(len(name))
            if end is not None and folded.startswith(name) and not _WORD.match(plain, end):
                yield Span(match.start(), end, "tag", plain[match.end() : end])
                break


def _folded(plain: str, start: int, length: int) -> tuple[str, dict[int, int]]:
    """Letters from `start` on, folded, and where each length of them ends: folding makes some letters two or three."""
    folded, ends = "", dict[int, int]()
    for end in range(start, min(start + length, len(plain))):
        folded += plain[end].casefold()
        ends[len(folded)] = end + 1
    return folded, ends


def _emojis(plain: str, emojis: Mapping[str, str]) -> Iterator[Span]:
    end = 0
    for match in _CODE.finditer(plain):
        # The closing colon of a text like 12:30:wave: opens the next code, that of a known one does not.
        if match.start() >= end and (image := emojis.get(match.group() + ":")):
            end = match.end() + 1
            yield Span(match.start(), end, "emoji", image)
