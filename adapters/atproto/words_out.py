"""Texts as they read here: mentions and links of bridged things point to what stands here for them. Pure."""

from dataclasses import replace
from typing import Final

from adapters.atproto import ids
from adapters.atproto.flat import flat
from adapters.atproto.syntax import is_did
from bridged.api import Ref, Span, SpanKind, Text, There, View, graphemes, rewrite, truncate

MAX_SHOWN: Final = 48
"""Graphemes of an address that are shown; the link has all of it."""


def localized(text: Text, view: View) -> Text:
    """The text for readers here, with nothing but letters, atoms and code.

    A mention has the name that its account has here. Somebody who is not here is a link to their page, or their
    letters alone.
    """
    spans: list[Span] = []
    letters: dict[tuple[int, SpanKind], str] = {}
    for span in text.spans:
        said = text.plain[span.start : span.end]
        if span.kind == "mention" and isinstance(span.target, Ref):
            spans += _mention(span, span.target, said, view, letters)
        elif span.kind == "link" and isinstance(span.target, str):
            spans.append(_link(span, span.target, said, view, letters))
        else:
            spans.append(span)

    def change(span: Span, _: str) -> str | None:
        return letters.get((span.start, span.kind))

    return flat(rewrite(Text(text.plain, tuple(spans)), change))


def whom(account: Ref, view: View) -> tuple[str, str] | None:
    """The DID and handle of the account or its ghost; the handle is "" where it is not known."""
    if account.network == ids.NETWORK:
        known = view.accounts.get(account)
        handle = known.handle if known is not None and not is_did(known.handle) else ""
        return (account.id, handle) if is_did(account.id) else None
    ghost = view.ghosts.get(account)
    return None if ghost is None else (ghost.ref.id, ghost.handle)


def line(url: str) -> Text:
    """An address as a link, shortened."""
    shown = _shortened(url)
    return Text(shown, (Span(0, len(shown), "link", url),))


def _mention(
    span: Span, target: Ref, said: str, view: View, letters: dict[tuple[int, SpanKind], str]
) -> tuple[Span, ...]:
    found = whom(target, view)
    if found is None:
        known = view.accounts.get(target)
        return (replace(span, kind="link", target=known.url),) if known is not None and known.url else ()
    did, handle = found
    if handle and said.lstrip("@") != handle:
        letters[span.start, "mention"] = f"@{handle}"
    return (replace(span, target=ids.account_ref(did)),)


def _link(span: Span, target: str, said: str, view: View, letters: dict[tuple[int, SpanKind], str]) -> Span:
    bare = _bare(said) == _bare(target)
    there = view.links.get(target)
    if isinstance(there, Ref) and there.network == ids.NETWORK and is_did(there.id):
        found = whom(there, view)
        handle = found[1] if found else next((g.handle for g in view.ghosts.values() if g and g.ref == there), "")
        if bare and handle:
            letters[span.start, "mention"] = f"@{handle}"
        elif bare:
            letters[span.start, "mention"] = _shortened(_of_viewer(target) or ids.VIEWER + there.id)
        return replace(span, kind="mention", target=there)
    if isinstance(there, There) and there.ref is not None:
        target = _of_viewer(target) or ids.page(there.ref.id)
    if bare:
        letters[span.start, "link"] = _shortened(target)
    return replace(span, target=target)


def _of_viewer(url: str) -> str:
    """An address that is one for readers here already, with the handle that its writer saw; "" for others."""
    return url if url.startswith(ids.VIEWER) else ""


def _bare(address: str) -> str:
    return address.removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")


def _shortened(url: str) -> str:
    """An address as it is shown; all of it where it is short."""
    shown = url if graphemes(url) <= MAX_SHOWN else url.removeprefix("https://").removeprefix("http://")
    return truncate(Text(shown), max_graphemes=MAX_SHOWN).plain
