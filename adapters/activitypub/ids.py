"""Our addresses on ActivityPub, made from refs, and handles. Pure.

/users/{network}/{slug}        a ghost; below it inbox, outbox, followers, following
/objects/{network}/{slug}      what a post became; the activity that made it: /activities/…/create
/activities/{network}/{slug}   what any other act became; …/{verb}: an activity about something, because of another
/actor, /inbox                 the instance's own actor, and the shared inbox
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from adapters.activitypub.shapes import MAX_ID, origin
from bridged.api import HOME, Account, Ref

NETWORK = "activitypub"

Verb = Literal["accept", "approval", "delete", "follow", "quote", "reject", "undo", "update"]

_SLUG = re.compile(r"[A-Za-z0-9._~:-]{1,120}")
# Dot segments are resolved by every client, so such an id would name another page.
_DOTS = frozenset({".", ".."})
_USERNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,198}[A-Za-z0-9_])?")
_NAME = re.compile(r"@?([^@\s/?#]{1,200})@([A-Za-z0-9.:\[\]-]{1,253})")
_ACCT = re.compile(r"(?:acct:)?@?([^@\s/?#]{1,400})@([^@\s/?#]{1,253})")


def slug(ref: Ref) -> str:
    """One path segment for a ref: its id where that is short and plain, else a hash of the ref."""
    return ref.id if _SLUG.fullmatch(ref.id) and ref.id not in _DOTS else digest(f"{ref.network}:{ref.id}")


def digest(text: str) -> str:
    """32 characters of base64url that stand for `text`."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:32].decode()


def native(url: str) -> Ref:
    """The ref of an ActivityPub id."""
    return Ref(NETWORK, url)


@dataclass(frozen=True, slots=True)
class Urls:
    """Makes our addresses. `base` has no slash at its end."""

    base: str

    @property
    def instance(self) -> str:
        """The actor that signs fetches."""
        return f"{self.base}/actor"

    @property
    def shared_inbox(self) -> str:
        return f"{self.base}/inbox"

    @property
    def bot(self) -> str:
        """The actor of the bridge's own bot."""
        return self.user(Ref(HOME, "bot"))

    def user(self, account: Ref) -> str:
        """The ghost of an account at home on another network."""
        return f"{self.base}/users/{account.network}/{slug(account)}"

    def object(self, post: Ref) -> str:
        """What a post became."""
        return f"{self.base}/objects/{post.network}/{slug(post)}"

    def activity(self, act: Ref) -> str:
        """What an act other than a post became."""
        return f"{self.base}/activities/{act.network}/{slug(act)}"

    def ballot(self, vote: Ref, number: int) -> str:
        """The note that names one choice of a vote."""
        return f"{self.object(vote)}/votes/{number}"

    def create(self, object_url: str) -> str:
        """The Create of one of our objects."""
        return f"{self.base}/activities{object_url.removeprefix(f'{self.base}/objects')}/create"

    def created(self, activity_url: str) -> str | None:
        """The object that one of our Creates made: the inverse of `create`."""
        rest = activity_url.removeprefix(f"{self.base}/activities")
        if rest == activity_url or not rest.endswith("/create"):
            return None
        return f"{self.base}/objects{rest.removesuffix('/create')}"

    def caused(self, verb: Verb, target: Ref, cause: Ref) -> str:
        """An activity about `target` because of `cause`: like, unlike and like again are three of them."""
        return f"{self.base}/activities/{cause.network}/{digest(f'{target} {cause}')}/{verb}"

    def tag(self, name: str) -> str:
        """Where a hashtag leads: readers show their own page of it, so ours is the front page."""
        return f"{self.base}/?tag={quote(name, safe='')}"

    def owns(self, url: str) -> bool:
        """Whether an address is one of ours."""
        return url == self.base or url.startswith((f"{self.base}/", f"{self.base}#", f"{self.base}?"))


def collection(actor: str, name: Literal["inbox", "outbox", "followers", "following"]) -> str:
    """A collection of one of our actors."""
    return f"{actor}/{name}"


def key_id(actor: str) -> str:
    """The id of an actor's key."""
    return f"{actor}#main-key"


def parse(text: str) -> Ref | None:
    """The ref that an http(s) address of a post or an account stands for."""
    text = text.strip()
    if not origin(text) or len(text) > MAX_ID or any(c.isspace() for c in text):
        return None
    # A bare host names a server, not somebody.
    return native(text) if urlsplit(text).path.strip("/") or urlsplit(text).query else None


def split_name(name: str) -> tuple[str, str] | None:
    """(user, host) of `user@host` or `@user@host`; the host in lower case."""
    match = _NAME.fullmatch(name.strip())
    return (match[1], match[2].lower()) if match else None


def split_acct(resource: str) -> tuple[str, str] | None:
    """(user, host) of a WebFinger resource `acct:user@host` (RFC 7565), also without `acct:`."""
    match = _ACCT.fullmatch(resource.strip())
    return (match[1], match[2].lower()) if match else None


def usernames(account: Account) -> list[str]:
    """What a ghost may be called, best first: by the verified name, the plain handle, and one nobody has.

    `@` becomes `_at_`, and is found again at the last `_at_`, since hosts hold no underscore.
    """
    plain = account.handle.replace("@", "_at_").lower()
    wanted = [account.alias.replace("@", "_at_").lower(), plain]
    found = [name for name in wanted if _USERNAME.fullmatch(name)]
    stem = plain if _USERNAME.fullmatch(plain) else account.ref.network
    short = digest(str(account.ref)).replace("-", "x").replace("_", "x")[:8].lower()
    return [*dict.fromkeys(found), f"{stem[:100].rstrip('.-')}_{short}"]


def instance_name(domain: str) -> str:
    """The username of the instance actor, as Mastodon has it: the domain, without a port."""
    return domain.partition(":")[0].lower()


def name_elsewhere(username: str) -> str:
    """The name on its own network that one of our usernames stands for: the inverse of `usernames`."""
    user, at, host = username.rpartition("_at_")
    return f"{user}@{host}" if at and user and host else username
