"""The content of a kind 1, read into spans and written from them.

A kind 1 is plain text, shown as it is by most clients: read are NIP-27 mentions, addresses, hashtags, NIP-30
emoji, and of Markdown only what nobody writes by chance (fenced and back-quoted code, `> ` lines). Bold, italic
and struck letters are written as plain letters.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

from adapters.nostr.nip19 import (
    URI_SCHEME,
    BadIdentifier,
    Identifier,
    Naddr,
    Nevent,
    Note,
    Nprofile,
    Npub,
    decode,
    encode,
)
from bridged.api import (
    Piece,
    Ref,
    Section,
    Text,
    TextBuilder,
    bare_url,
    blocks,
    find_emojis,
    find_links,
    find_tags,
    known_tags,
    pieces,
    web_url,
)

VIEWER: Final = "https://njump.me/"
"""Where people without a Nostr client see an event: links to events go there."""

MAX_POINTER: Final = 1000
"""Longest pointer put into a link; longer ones lose their relay hints."""

_FENCE: Final = "```"
_BECH32: Final = "[02-9ac-hj-np-z]"
_POINTER: Final = (
    rf"(?<![\w/:.=&-])(?:@?nostr:|@(?=npub1))(?P<pointer>(?:npub|note)1{_BECH32}{{58}}"
    rf"|(?:nprofile|nevent|naddr)1{_BECH32}++)(?!{_BECH32})"
    r"|#\[(?P<place>\d{1,4})\]"
)
_TOKEN: Final = re.compile(r"(?<!`)`(?P<code>[^`\s](?:[^`\n]*[^`\s])?)`(?!`)|" + _POINTER)
_BARE_TOKEN: Final = re.compile(_POINTER)
_HEX: Final = re.compile("[0-9a-f]{64}")
_SCHEME: Final = re.compile(r"https?://(?:www\.)?", re.IGNORECASE)
# What may stand right before or right after each thing and leave it whole to a reader.
_BEFORE: Final = re.compile(r"(?:^|\s)[(\[{\"'“‘«]*\Z")
_AFTER_LINK: Final = re.compile(r"[.,;:!?')\]}\"”’»…]*(?:\s|\Z)")
AFTER_WORD: Final = re.compile(r"[^\w#·・\u200c\u200d-]|\Z")


def from_note(content: str, tags: Sequence[Sequence[str]], *, quoted: Iterable[str] = ()) -> Text:
    """The text of a kind 1's content and tags, as NIP-01 lists them; never raises.

    Mentions are `Ref("nostr", hex key)` with the letters `@npub1…`, shortened. Pointers to events become links
    to VIEWER; those to the ids in `quoted` are left out at the end of a line, where nobody misses them. Emoji come
    from `emoji` tags, and hashtags with unusual characters from `t` tags.
    """
    reader = Reader(tags, quoted)
    lines = content.replace("\r\n", "\n").split("\n")
    fences = [n for n, line in enumerate(lines) if line.strip() == _FENCE]
    number = 0
    while number < len(lines):
        line = lines[number]
        while fences and fences[0] <= number:
            fences.pop(0)
        if line.startswith(_FENCE) and "`" not in line.lstrip("`") and fences:
            reader.fenced(lines[number + 1 : fences[0]])
            number = fences[0] + 1
        elif line.startswith("> "):
            last = number
            while last < len(lines) and (lines[last].startswith("> ") or lines[last] == ">"):
                last += 1
            reader.quote(lines[number:last])
            number = last
        else:
            reader.line(line)
            number += 1
    return reader.text()


class Reader:
    """Letters written into a builder, with what `tags` say of them."""

    def __init__(self, tags: Sequence[Sequence[str]], quoted: Iterable[str] = ()) -> None:
        self.builder = TextBuilder()
        self._tags = tags
        self._quoted = frozenset(quoted)

    def text(self) -> Text:
        """What was written, with its links, emoji and hashtags found."""
        tags = self._tags
        emojis = {f":{t[1]}:": url for t in tags if len(t) > 2 and t[0] == "emoji" and (url := web_url(t[2]))}
        text = find_emojis(find_links(self.builder.build()), emojis)
        return find_tags(known_tags(text, (t[1] for t in tags if len(t) > 1 and t[0] == "t")))

    def fenced(self, lines: Iterable[str]) -> None:
        with self.builder.span("pre"):
            for line in lines:
                self.builder.add(line)
                self.builder.newline()

    def quote(self, lines: Iterable[str]) -> None:
        with self.builder.span("quote"):
            for line in lines:
                self.line(line[2:])

    def line(self, line: str) -> None:
        self.words(line)
        self.builder.newline()

    def words(self, letters: str, *, code: bool = True) -> None:
        """Letters of one line; with `code`, back-quotes are read."""
        position = 0
        for token in (_TOKEN if code else _BARE_TOKEN).finditer(letters):
            self.builder.add(letters[position : token.start()])
            position = token.end()
            if code and token["code"]:
                with self.builder.span("code"):
                    self.builder.add(token["code"])
            elif not self.pointer(self._pointer(token), token["pointer"] or "", last=not letters[position:].strip()):
                self.builder.add(token.group())
        self.builder.add(letters[position:])

    def pointer(self, pointer: Identifier | None, written: str, *, last: bool = True) -> bool:
        """A mention, or a link to an event unless it is quoted anyway, `last` on its line; False for no pointer."""
        if pointer is None:
            return False
        if isinstance(pointer, Npub | Nprofile):
            with self.builder.span("mention", Ref("nostr", pointer.pubkey)):
                self.builder.add(f"@{encode(Npub(pointer.pubkey))[:12]}…")
        elif _id(pointer) not in self._quoted or not last:
            link = VIEWER + _written(pointer, written)
            with self.builder.span("link", link):
                self.builder.add(link)
        return True

    def _pointer(self, token: re.Match[str]) -> Identifier | None:
        if token["pointer"]:
            try:
                return decode(token["pointer"])
            except BadIdentifier:
                return None
        place = int(token["place"])
        tag = self._tags[place] if place < len(self._tags) else ()
        if len(tag) < 2 or tag[0] not in ("p", "e") or _HEX.fullmatch(tag[1]) is None:
            return None
        return Npub(tag[1]) if tag[0] == "p" else Note(tag[1])


def _id(pointer: Note | Nevent | Naddr) -> str:
    """As a `q` tag names it."""
    return f"{pointer.kind}:{pointer.pubkey}:{pointer.identifier}" if isinstance(pointer, Naddr) else pointer.id


def _written(pointer: Note | Nevent | Naddr, written: str) -> str:
    """The pointer as it was written if short enough, else without relays."""
    if written and len(written) <= MAX_POINTER:
        return written
    match pointer:
        case Note():
            return encode(pointer)
        case Nevent(id_, _, author, kind):
            return encode(Nevent(id_, (), author, kind))
        case Naddr(name, pubkey, kind):
            return encode(Naddr(name, pubkey, kind))


def to_note(text: Text, account: Callable[[Ref], str | None]) -> str:
    """The content of a kind 1.

    `account` gives the `nostr:nprofile1…` URI of an account mentioned; None leaves the letters. A link is its
    address, after its letters where they say something else. Quotes are `> ` lines, items `- ` lines, code is
    back-quoted or fenced.
    """
    return _Writer(text, account).sections(blocks(text)).strip()


class _Writer:
    def __init__(self, text: Text, account: Callable[[Ref], str | None]) -> None:
        self._text = text
        self._account = account

    def sections(self, sections: Iterable[Section]) -> str:
        out = ""
        own_line = False
        for section in sections:
            block = section.kind is not None
            written = self._block(section) if block else self._inline(pieces(self._text, section))
            if out and (block or own_line) and not out.endswith("\n") and not written.startswith("\n"):
                out += "\n"
            out += written
            own_line = block
        return out

    def _block(self, section: Section) -> str:
        run = pieces(self._text, section)
        if section.kind == "pre":
            letters = self._text.plain[section.start : section.end]
            if _FENCE in letters or any(piece.atom for piece in run):
                return self._inline(run)
            return "\n".join((_FENCE, letters.strip("\n"), _FENCE))
        lines = (self.sections(section.inner) if section.inner else self._inline(run)).strip("\n").split("\n")
        if section.kind == "item":
            return "- " + "\n  ".join(lines)
        return "\n".join(f"> {line}".rstrip() for line in lines)

    def _inline(self, run: Iterable[Piece]) -> str:
        out = ""
        # What the letters since the last thing must match to leave it whole; None once they surely do.
        after: re.Pattern[str] | None = None
        since = ""
        for is_code, group in groupby(run, key=lambda piece: "code" in piece.styles):
            alike = list(group)
            letters = self._text.plain[alike[0].start : alike[-1].end]
            plain = "`" in letters or "\n" in letters or letters != letters.strip()
            if is_code and not plain and not any(piece.atom for piece in alike):
                written = [(f"`{letters}`", None)]
            else:
                written = [self._piece(piece) for piece in alike]
            for letters, pattern in written:
                loose = pattern is not None and _BEFORE.search(out[-100:]) is None
                since = since + letters if after else ""
                if loose or (after is not None and after.match(since) is None):
                    out += " "
                    after = None
                out += letters
                if pattern is not None:
                    after, since = pattern, ""
                elif since[-1:].isspace():
                    after = None
        return out

    def _piece(self, piece: Piece) -> tuple[str, re.Pattern[str] | None]:
        """What stands for a piece, and the pattern that what comes next must match to leave it whole."""
        letters = self._text.plain[piece.start : piece.end]
        atom = piece.atom
        if atom is None or atom.target is None:
            return letters, None
        if isinstance(atom.target, Ref):
            uri = self._account(atom.target)
            return (uri, AFTER_WORD) if uri else (letters, None)
        if atom.kind == "tag":
            return (letters if letters[0] in "#＃" else f"#{atom.target}"), AFTER_WORD
        if atom.kind == "link":
            return _link(letters, atom.target)
        return letters, None


def _link(letters: str, target: str) -> tuple[str, re.Pattern[str] | None]:
    url = web_url(target)
    if url is None:
        return letters, None
    letters = " ".join(letters.split())
    same = same_address(letters, target)
    pointer = url.removeprefix(VIEWER)
    event = pointer != url and is_event(pointer)
    if same and event:
        return URI_SCHEME + pointer, AFTER_WORD
    written = URI_SCHEME + pointer if event else bare_url(url)
    return (written if same or not letters else f"{letters} ({written})"), _AFTER_LINK


def same_address(letters: str, target: str) -> bool:
    """Whether the letters of a link say no more than its address."""
    return _SCHEME.sub("", letters, count=1).rstrip("/") == _SCHEME.sub("", target, count=1).rstrip("/")


def is_event(pointer: str) -> bool:
    """Whether it is a NIP-19 identifier of an event."""
    try:
        return isinstance(decode(pointer), Note | Nevent | Naddr)
    except BadIdentifier:
        return False
