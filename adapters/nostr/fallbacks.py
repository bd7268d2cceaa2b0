"""What is no post but worth showing as one: events of a calendar, live streams, wiki pages, highlights, offers, files.

Each becomes a title, what its tags say of it, and its text; readers follow the link to it for the rest. Pure.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from adapters.nostr import ids
from adapters.nostr.event import Event, first_tag, tag_values
from adapters.nostr.markdown import from_markdown
from adapters.nostr.media import MAX_MEDIA, file_of, type_of
from adapters.nostr.text import VIEWER, Reader
from bridged.api import Media, Ref, Span, Text, find_links, web_url

FILE, ZAP_POLL, HIGHLIGHT, LIVE, OFFER, WIKI, DAY, HOUR = 1063, 6969, 9802, 30311, 30402, 30818, 31922, 31923
MARKDOWN: Final = frozenset({OFFER, WIKI})

MAX_TEXT: Final = 20_000
_MAX_LINE: Final = 500
_SECONDS: Final = re.compile("[0-9]{1,12}")


def shown(event: Event, link: str) -> tuple[Text, tuple[Media, ...]]:
    """The text, which ends in `link`, and the files of an event of these kinds."""
    title = _line(event, "title") or _line(event, "name")
    lines, media = _FACTS[event.kind](event)
    content = event.content[:MAX_TEXT].strip()
    if event.kind in MARKDOWN:
        text, pictures = from_markdown(content, event.tags)
        media = (*media, *pictures)[:MAX_MEDIA]
    else:
        reader = Reader(event.tags)
        for line in content.split("\n"):
            reader.line(line)
        text = reader.text()
        if event.kind == HIGHLIGHT and text.plain:
            text = Text(text.plain, (Span(0, len(text.plain), "quote"), *text.spans))
    if not text.plain and not title:
        text = Text(_line(event, "summary") or _line(event, "alt"))
    head = Text(title, (Span(0, len(title), "bold"),) if title else ())
    facts = find_links(Text("\n".join(line for line in lines if line and line not in text.plain)))
    end = Text(link, (Span(0, len(link), "link", link),))
    return joined((head, facts, text, end), "\n\n"), media


def joined(texts: Sequence[Text], between: str) -> Text:
    """Those of the texts that are not empty, one after another."""
    plain, spans = "", list[Span]()
    for text in texts:
        if text.plain:
            plain += between if plain else ""
            spans += [Span(s.start + len(plain), s.end + len(plain), s.kind, s.target) for s in text.spans]
            plain += text.plain
    return Text(plain, tuple(spans))


Facts = tuple[list[str], tuple[Media, ...]]


def _file(event: Event) -> Facts:
    media = file_of(event)
    return [_line(event, "summary")], (media,) if media else ()


def _zap_poll(event: Event) -> Facts:
    options = [f"{tag[1]}. {tag[2]}"[:_MAX_LINE] for tag in event.tags if tag[0] == "poll_option" and len(tag) > 2]
    return options[:20], ()


def _highlight(event: Event) -> Facts:
    """NIP-84: where it was found, an address or an event."""
    source = next((url for value in tag_values(event, "r") if (url := web_url(value))), "")
    if not source:
        values = (*tag_values(event, "a"), *tag_values(event, "e"))
        known = next((value for value in values if ids.is_post_id(value)), "")
        source = VIEWER + ids.post_word(Ref(ids.NETWORK, known)) if known else ""
    return [_line(event, "comment"), source], ()


def _live(event: Event) -> Facts:
    stream = web_url(_line(event, "streaming")) or ""
    return [_line(event, "summary"), stream if _line(event, "status") == "live" else ""], _image(event, "image")


def _offer(event: Event) -> Facts:
    price = " ".join((first_tag(event, "price") or ("",))[1:4])[:_MAX_LINE]
    return [price, _line(event, "location"), _line(event, "summary")], _image(event, "image")


def _wiki(event: Event) -> Facts:
    return [_line(event, "summary")], ()


def _calendar(event: Event) -> Facts:
    """NIP-52."""
    start, end = _moment(_line(event, "start")), _moment(_line(event, "end"))
    when = f"{start} – {end}" if end and end != start else start
    return [when, _line(event, "location"), _line(event, "summary")], _image(event, "image")


_FACTS: Final[dict[int, Callable[[Event], Facts]]] = {
    FILE: _file,
    ZAP_POLL: _zap_poll,
    HIGHLIGHT: _highlight,
    LIVE: _live,
    OFFER: _offer,
    WIKI: _wiki,
    DAY: _calendar,
    HOUR: _calendar,
}
KINDS: Final = frozenset(_FACTS)


def _image(event: Event, name: str) -> tuple[Media, ...]:
    urls = dict.fromkeys(url for value in tag_values(event, name) if (url := web_url(value)))
    return tuple(Media(url, type_of(url) or "image/jpeg") for url in list(urls)[:MAX_MEDIA])


def _moment(text: str) -> str:
    """A day as it is written, or seconds as a time of day in UTC."""
    if _SECONDS.fullmatch(text) is None:
        return text[:50]
    try:
        return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return ""


def _line(event: Event, name: str) -> str:
    tag = first_tag(event, name)
    return " ".join(tag[1].split())[:_MAX_LINE] if tag is not None and len(tag) > 1 else ""
