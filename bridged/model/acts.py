"""What people do: the acts, and the activity that is one of them done by somebody."""

from dataclasses import dataclass, replace
from typing import Literal

from bridged.model.things import Account, Circle, Poll, PostBody, Ref, Text


@dataclass(frozen=True, slots=True)
class Post:
    """A new post; the activity's ref is the post's."""

    body: PostBody


@dataclass(frozen=True, slots=True)
class Edit:
    """The post `body.ref` now reads like this; the activity has a ref of its own."""

    body: PostBody


@dataclass(frozen=True, slots=True)
class Delete:
    """What `target` did is taken back: a post, but also a like, a repost, a follow or a block.

    With `target` the actor itself, the account is gone; `final`: for ever, nothing will stand for it there again.
    """

    target: Ref
    final: bool = False


@dataclass(frozen=True, slots=True)
class Follow:
    """The actor wants to hear the account `target`."""

    target: Ref


@dataclass(frozen=True, slots=True)
class FollowList:
    """The actor follows just these accounts from `Activity.at` on; the core finds the difference."""

    targets: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    """The follow `target` is granted by the actor."""

    target: Ref


@dataclass(frozen=True, slots=True)
class Reject:
    """The follow `target` is refused, or ended, by the actor."""

    target: Ref


@dataclass(frozen=True, slots=True)
class React:
    """A like (`content` empty) or an emoji reaction to the post `target`; `emoji` is a custom emoji's image."""

    target: Ref
    content: str = ""
    emoji: str = ""


@dataclass(frozen=True, slots=True)
class Repost:
    """The actor shows the post `target` to their followers."""

    target: Ref


@dataclass(frozen=True, slots=True)
class Profile:
    """How the actor's account looks now."""

    account: Account


@dataclass(frozen=True, slots=True)
class Block:
    """The actor wants nothing to do with the account `target`."""

    target: Ref


@dataclass(frozen=True, slots=True)
class BlockList:
    """The actor has blocked just these accounts from `Activity.at` on; the core finds the difference."""

    targets: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    """The actor chooses among the answers of the poll `target`: by their ids, or with `named` by their names.

    Encoders get ids as the poll has them at home.
    """

    target: Ref
    choices: tuple[str, ...]
    named: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes of the poll `target`, counted anew."""

    target: Ref
    poll: Poll

    def on(self, body: PostBody) -> PostBody:
        """The post as this has it."""
        return replace(body, poll=self.poll)


@dataclass(frozen=True, slots=True)
class Zap:
    """The actor paid for the post `target`: thousandths of a satoshi, with a few words."""

    target: Ref
    msats: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The actor complains about the account `target` and its `posts`, to those who moderate. `reason` is a category:
    spam, nudity, illegal, impersonation, profanity, malware or other."""

    target: Ref
    posts: tuple[Ref, ...] = ()
    reason: str = "other"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """The actor goes on as the account `target`, on the same network; followers are to follow there."""

    target: Ref


@dataclass(frozen=True, slots=True)
class Pin:
    """The actor keeps their own post `target` at the top of their profile, or no longer does."""

    target: Ref
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class PinList:
    """The actor keeps just these posts at the top from `Activity.at` on, first to last; the core diffs it."""

    targets: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """Words for the accounts `to` alone. The core takes and says them only between a person and the bot."""

    to: tuple[Ref, ...]
    text: Text
    reply_to: Ref | None = None


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """The actor asks whether their post `quote` may quote the post `target`. Answered with Accept or Reject."""

    target: Ref
    quote: Ref


@dataclass(frozen=True, slots=True)
class Approve:
    """The actor lets the post `target` quote theirs; `proof` is where that can be checked: "" takes it back."""

    target: Ref
    proof: str


@dataclass(frozen=True, slots=True)
class Gate:
    """From `Activity.at` on the actor's post `target` may be answered by `circles` alone, beside the actor; None: by
    everybody. With `what` "quotes" it is about who may quote it.

    For networks where that is said beside a post, and may be heard before it; others say it in the post.
    """

    target: Ref
    what: Literal["answers", "quotes"]
    circles: tuple[Circle, ...] | None = None

    def on(self, body: PostBody) -> PostBody:
        """The post as this has it."""
        if self.what == "answers":
            return replace(body, answers=self.circles)
        return replace(body, quotable=self.circles is None)


Act = (
    Post
    | Edit
    | Delete
    | Follow
    | FollowList
    | Accept
    | Reject
    | React
    | Repost
    | Profile
    | Block
    | BlockList
    | Vote
    | Tally
    | Zap
    | Report
    | Move
    | Pin
    | PinList
    | Message
    | QuoteRequest
    | Approve
    | Gate
)


@dataclass(frozen=True, slots=True)
class Activity:
    """`actor` did `act` at `at`. `ref` is the native id of the doing. `mark` as in `PostBody`."""

    ref: Ref
    actor: Ref
    at: float
    act: Act
    mark: str = ""
