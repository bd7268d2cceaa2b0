"""What a post says, as the content of a note or an article and the tags that belong to it. Pure.

Pictures and videos stay kind 1 with their addresses in the text and `imeta` tags (NIP-92), since every client shows
those; kinds 20 to 22 are seen only by readers of picture and video feeds.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from adapters.nostr import ids, nip19
from adapters.nostr.home import Home
from adapters.nostr.markdown_out import to_markdown
from adapters.nostr.media import imeta
from adapters.nostr.replies import MAX_KEYS, Tags, hint, kind_of, written_to
from adapters.nostr.text import VIEWER, same_address, to_note
from bridged.api import Media, PostBody, Ref, Span, Text, There, View, rewrite, truncate

MAX_CONTENT: Final = 48 * 1024
"""Bytes of content; the tags of an event of 64 KiB need room too."""
MAX_TAGS: Final = 50
"""Hashtags, and emoji, of one post."""

_WEB: Final = re.compile(r"https?://[^\s<>\"]{1,2040}")
_SHORTCODE: Final = re.compile("[A-Za-z0-9_-]{1,60}")
_LANGUAGE: Final = re.compile("([a-z]{2})(?:-.*)?")


Form = Literal["note", "article", "video"]
"""What a post is written as: a kind 1 and its like, a kind 30023, a kind 34235 or 34236."""


@dataclass(frozen=True, slots=True)
class Written:
    """`keys` are the accounts named, for `p` tags."""

    content: str
    keys: tuple[str, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    losses: tuple[str, ...] = ()


def note(body: PostBody, view: View, home: Home, *, form: Form) -> Written:
    """The text, with the addresses of its files and of what it quotes at the end.

    An article's is Markdown (NIP-23), and its title and summary are left to tags; so are the title of a video and
    the film itself (NIP-71).
    """
    say = markdown if form == "article" else plain
    content, losses = say(body.text, view, home), ()
    if len(content.encode()) > MAX_CONTENT:
        cut = say(truncate(body.text, max_bytes=MAX_CONTENT // 2), view, home)
        content, losses = f"{cut}\n\n{body.url}".rstrip(), ("the text was cut",)
    if form != "article":
        title = body.title if form == "note" else ""
        content = "\n\n".join(part for part in (title, body.summary, content) if part)
    return _finished(content, losses, body, view, home, form=form)


def plain(text: Text, view: View, home: Home) -> str:
    """The text alone; a mention of somebody without a ghost links to their page."""
    return to_note(_linked(text, view, home), _namer(view, home))


def markdown(text: Text, view: View, home: Home) -> str:
    """The same with everything that Markdown can show."""
    return to_markdown(_linked(text, view, home), _namer(view, home))


def _linked(text: Text, view: View, home: Home) -> Text:
    """The text with its links to what stands here pointing there: to events, and to accounts as mentions."""
    shown: dict[int, str] = {}
    spans: list[Span] = []
    for span in text.spans:
        there = view.links.get(span.target) if span.kind == "link" and isinstance(span.target, str) else None
        if isinstance(there, Ref) and there.network == ids.NETWORK and ids.is_hex(there.id):
            spans.append(Span(span.start, span.end, "mention", there))
        elif isinstance(there, There) and there.ref is not None and isinstance(span.target, str):
            link = VIEWER + event_uri(there, view, home).removeprefix(nip19.URI_SCHEME)
            if same_address(text.plain[span.start : span.end], span.target):
                shown[span.start] = link
            spans.append(replace(span, target=link))
        else:
            spans.append(span)

    def letters(span: Span, _: str) -> str | None:
        return shown.get(span.start) if span.kind == "link" else None

    return rewrite(Text(text.plain, tuple(spans)), letters)


def event_uri(there: There, view: View, home: Home) -> str:
    """The pointer to what stands there, with what helps to find it; there must be a ref."""
    assert there.ref is not None
    kind = kind_of(there)
    place = hint(there, view, home)
    return ids.post_uri(there.ref, author=there.author.id, kind=int(kind) if kind.isdigit() else None, relay=place)


def _namer(view: View, home: Home) -> Callable[[Ref], str | None]:
    def named(account: Ref) -> str | None:
        key = key_of(account, view)
        if key is not None:
            place = written_to(account, view) if account.network == ids.NETWORK else next(iter(home.public_relays), "")
            return pointer(key, place)
        known = view.accounts.get(account)
        return known.url or None if known is not None else None

    return named


def pointer(key: str, relay: str) -> str:
    try:
        return nip19.encode_uri(nip19.Nprofile(key, (relay,) if relay else ()))
    except nip19.BadIdentifier:
        return nip19.encode_uri(nip19.Nprofile(key))


def key_of(account: Ref, view: View) -> str | None:
    """The key of the account or its ghost."""
    if account.network == ids.NETWORK:
        return account.id if ids.is_hex(account.id) else None
    ghost = view.ghosts.get(account)
    return None if ghost is None else ghost.ref.id


def _finished(content: str, losses: tuple[str, ...], body: PostBody, view: View, home: Home, *, form: Form) -> Written:
    media = [item for item in body.media if _WEB.fullmatch(item.url)]
    tags: Tags = []
    quote, quote_tags, quoted = _quote(body, view, home)
    beside = [item for item in media if form != "video" or not item.type.startswith("video/")]
    ends = [_shown(item, is_article=form == "article") for item in beside if item.url not in content]
    if quote and quote not in content:
        ends.append(quote)
    content = "\n\n".join(part for part in (content, "\n".join(ends)) if part)
    tags += quote_tags
    tags += [("t", tag) for tag in _hashtags(body.hashtags())]
    tags += emoji_tags(body.text)
    tags += [tuple(imeta(item)) for item in _distinct(media)]
    if body.sensitive or body.warning:
        tags.append(("content-warning", body.warning))
    language = _LANGUAGE.fullmatch(body.lang.lower())
    if language is not None:
        tags += [("L", "ISO-639-1"), ("l", language[1], "ISO-639-1")]
    if body.expires is not None:
        tags.append(("expiration", str(max(0, int(body.expires)))))
    named = [key for account in (*body.text.mentions(), *body.mentions) if (key := key_of(account, view))]
    keys = tuple(dict.fromkeys((*named, *quoted)))
    losses = (*losses, *_lost(body, len(media), is_article=form == "article", quoted=bool(quote_tags)))
    return Written(content, keys[:MAX_KEYS], tuple(tags), losses)


def _lost(body: PostBody, files: int, *, is_article: bool, quoted: bool) -> Iterator[str]:
    """What an event has no place for."""
    if files < len(body.media):
        yield "a file has no address on the web"
    if any(item.focus not in (None, (0, 0)) for item in body.media):
        yield "which part of a picture must stay visible"
    if not is_article and any(span.kind in ("bold", "italic", "strike") for span in body.text.spans):
        yield "bold, italic and struck letters"
    if body.lang and _LANGUAGE.fullmatch(body.lang.lower()) is None:
        yield "the language, which has no name of two letters"
    elif len(body.lang) > 2:
        yield "which country's language it is"
    if body.audience == "unlisted":
        yield "that it is not for public timelines"
    if body.quote is not None and not quoted:
        yield "what it quotes is not here"
    if body.answers is not None or not body.quotable:
        yield "who may answer it, and who may quote it"


def _shown(item: Media, *, is_article: bool) -> str:
    """A file at the end of the text; a picture in Markdown shows itself."""
    if not is_article or not item.type.startswith("image/"):
        return item.url
    alt = re.sub(r"[\[\]\\\n]", " ", item.alt)
    return f"![{alt}](<{item.url}>)"


def _quote(body: PostBody, view: View, home: Home) -> tuple[str, Tags, tuple[str, ...]]:
    """NIP-18: what the text ends in, the `q` tag, and whom it quotes. A link where nothing stands here."""
    if body.quote is None:
        return "", [], ()
    there = view.there.get(body.quote)
    if there is None or there.ref is None:
        return (body.quote.id if _WEB.fullmatch(body.quote.id) else ""), [], ()
    uri, place = event_uri(there, view, home), hint(there, view, home)
    return uri, [("q", there.ref.id, place, there.author.id)], (there.author.id,)


def _hashtags(names: Iterable[str]) -> list[str]:
    """NIP-24: in lower case."""
    lowered = dict.fromkeys(name.lower() for name in names if name)
    return list(lowered)[:MAX_TAGS]


def emoji_tags(text: Text) -> Tags:
    """NIP-30."""
    found: dict[str, str] = {}
    for span in text.spans:
        code = _code(text, span)
        if code and isinstance(span.target, str):
            found.setdefault(code, span.target)
    return [("emoji", code, image) for code, image in list(found.items())[:MAX_TAGS]]


def _code(text: Text, span: Span) -> str:
    if span.kind != "emoji":
        return ""
    code = text.plain[span.start : span.end].strip(":")
    return code if _SHORTCODE.fullmatch(code) else ""


def _distinct(media: Iterable[Media]) -> list[Media]:
    return list({item.url: item for item in media}.values())
