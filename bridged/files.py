"""Which files and which page an activity shows, and what stands for them on a network that has to own them."""

from collections.abc import Mapping
from dataclasses import replace
from mimetypes import guess_type
from urllib.parse import urlsplit

from bridged.adapter import Blob, BlobLimit, Card, Use
from bridged.model import Activity, Media, Profile, Ref
from bridged.store import blobs
from bridged.store.engine import Tx
from bridged.words import body_of

FILES = 16
"""Files of one activity that are taken over."""
MAX_URL = 2000
"""Bytes of an address."""

Limits = Mapping[Use, BlobLimit]


def shown_in(activity: Activity, limits: Limits) -> dict[str, Use]:
    """Addresses of files -> what for, in order, without the picture of a card. Of two uses the first counts."""
    body, found = body_of(activity), list[tuple[str, Use | None]]()
    if isinstance(activity.act, Profile):
        account = activity.act.account
        found.extend([(account.avatar, "avatar"), (account.banner, "banner")])
    for media in body.media if body else ():
        found.extend([(media.url, _use(media)), (media.preview, "thumb")])
    if body is not None:
        found.append((body.image, "thumb"))
    wanted: dict[str, Use] = {}
    for url, use in found:
        if use is None or use not in limits or not fetchable(url) or len(wanted) == FILES:
            continue
        wanted.setdefault(url, use)
    return wanted


def _use(media: Media) -> Use | None:
    kind = (media.type or guess_type(urlsplit(media.url).path)[0] or "image/").partition("/")[0].lower()
    return "image" if kind == "image" else "video" if kind == "video" else None


def fetchable(url: str) -> bool:
    return url.startswith(("https://", "http://")) and len(url.encode(errors="replace")) <= MAX_URL


def link_in(activity: Activity, base_url: str) -> str | None:
    """The page to show a card of: the first link of a post that shows nothing else."""
    body = body_of(activity)
    if body is None or body.media or body.image or body.poll is not None or body.quote is not None:
        return None
    links = [t for t in body.text.targets("link") if isinstance(t, str)]
    url = links[0] if links else ""
    return url if fetchable(url) and not url.startswith(f"{base_url}/") else None


def origin_of(activity: Activity) -> Ref:
    """Whose copies show the files of an activity: the post's, or the account's own."""
    if isinstance(activity.act, Profile):
        return activity.act.account.ref
    body = body_of(activity)
    return body.ref if body is not None else activity.ref


def kept_for(
    tx: Tx, activity: Activity, network: str, limits: Limits | None, base_url: str
) -> tuple[dict[str, Blob | None], dict[str, Card | None]]:
    """`View.blobs` and `View.cards`."""
    if limits is None:
        return {}, {}
    wanted = shown_in(activity, limits)
    link = link_in(activity, base_url)
    card = blobs.card(tx, link) if link else None
    if card is not None and card.thumb and "thumb" in limits:
        wanted.setdefault(card.thumb, "thumb")
    files = {url: blobs.kept(tx, network, url, use) for url, use in wanted.items()}
    if card is not None and files.get(card.thumb) is None:
        card = replace(card, thumb="")
    return files, {link: card} if link else {}
