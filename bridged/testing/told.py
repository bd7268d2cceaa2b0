"""The wire format of the network in memory: one JSON object for each act."""

from typing import Any, Literal

import msgspec

from bridged.model import (
    Accept,
    Account,
    Act,
    Approve,
    Audience,
    Block,
    BlockList,
    Circle,
    Delete,
    Edit,
    Follow,
    FollowList,
    Gate,
    Media,
    Message,
    Move,
    Option,
    Pin,
    PinList,
    Poll,
    Post,
    PostBody,
    Profile,
    QuoteRequest,
    React,
    Ref,
    Reject,
    Report,
    Repost,
    Span,
    Tally,
    Text,
    Vote,
    Zap,
)


class Told(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One act on the wire. `target` is what it is about: a post answered, liked or taken back, an account followed.

    `parent` is what an edited post answers. `targets` are several, `mentions` whom it names, or for a message to whom
    it goes. `options` make a post a poll, `votes` are their counts. `links` are found in the text. `files`
    are addresses of what a post shows; in a copy, hashes of those that were made ours, and `cards` of its links. `what`
    and `circles` are a gate's, `answers` and `quotable` what a copy says of both.
    """

    kind: str
    id: str
    by: str
    at: float
    text: str = ""
    target: str = ""
    parent: str = ""
    mentions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    mark: str = ""
    audience: Audience = "public"
    quote: str = ""
    links: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    votes: tuple[int, ...] = ()
    multiple: bool = False
    ends: float | None = None
    closed: bool = False
    choices: tuple[str, ...] = ()
    named: bool = False
    expires: float | None = None
    pinned: bool = True
    proof: str = ""
    msats: int = 0
    refuses: str = ""
    files: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()
    what: Literal["answers", "quotes"] = "answers"
    circles: tuple[Circle, ...] | None = None
    answers: tuple[Circle, ...] | None = None
    quotable: bool = True

    def poll(self) -> Poll | None:
        """Options are named by their letters: a, b, c …"""
        if not self.options:
            return None
        votes = self.votes or (0,) * len(self.options)
        options = (Option(chr(97 + n), name, votes[n]) for n, name in enumerate(self.options))
        return Poll(tuple(options), self.multiple, self.ends, self.closed)


_told = msgspec.json.Decoder(Told)


def read(body: bytes) -> Told:
    """Raises msgspec.MsgspecError."""
    return _told.decode(body)


def act_of(told: Told, ref: Ref, by: Ref) -> Act | None:
    """The act that was told, in neutral words; None for a kind that is none."""
    network = ref.network

    def target() -> Ref:
        return Ref(network, told.target)

    match told.kind:
        case "Post":
            mentions = tuple(Ref(network, m) for m in told.mentions)
            answers = target() if told.target else None
            return Post(
                PostBody(
                    ref, by, _text(told), told.at, quote=Ref(network, told.quote) if told.quote else None,
                    poll=told.poll(), expires=told.expires, reply_to=answers, mentions=mentions, mark=told.mark,
                    audience=told.audience, media=tuple(Media(url) for url in told.files),
                    url=f"https://{network}.example/{told.id}", uri=f"{network}://{ref.id}",
                )
            )  # fmt: skip
        case "Edit":
            parent = Ref(network, told.parent) if told.parent else None
            media = tuple(Media(url) for url in told.files)
            return Edit(PostBody(target(), by, Text(told.text), told.at, reply_to=parent, media=media))
        case "FollowList":
            return FollowList(tuple(Ref(network, t) for t in told.targets))
        case "Profile":
            return Profile(Account(by, by.id, name=told.text, refuses=told.refuses))
        case "Delete" | "Follow" | "Accept" | "Reject" | "Repost" | "Block" | "Move":
            return _about[told.kind](target())
        case "React":
            return React(target(), told.text)
        case "BlockList" | "PinList":
            targets = tuple(Ref(network, t) for t in told.targets)
            return BlockList(targets) if told.kind == "BlockList" else PinList(targets)
        case "Vote":
            return Vote(target(), told.choices, told.named)
        case "Tally" if poll := told.poll():
            return Tally(target(), poll)
        case "Zap":
            return Zap(target(), told.msats, told.text)
        case "Report":
            return Report(target(), tuple(Ref(network, t) for t in told.targets), "spam", told.text)
        case "Pin":
            return Pin(target(), told.pinned)
        case "Message":
            return Message(tuple(Ref(network, m) for m in told.mentions), Text(told.text))
        case "QuoteRequest":
            return QuoteRequest(target(), Ref(network, told.quote))
        case "Approve":
            return Approve(target(), told.proof)
        case "Gate":
            return Gate(target(), told.what, told.circles)
        case _:
            return None


def _text(told: Told) -> Text:
    return Text(told.text, tuple(Span(told.text.index(u), told.text.index(u) + len(u), "link", u) for u in told.links))


def controls_told(body: PostBody) -> dict[str, Any]:
    """The members of `Told` that say who may answer and quote it."""
    return {"answers": body.answers, "quotable": body.quotable}


def poll_told(poll: Poll | None) -> dict[str, Any]:
    """The members of `Told` that say it."""
    if poll is None:
        return {}
    options = tuple(o.name for o in poll.options)
    votes = tuple(o.votes for o in poll.options)
    return {"options": options, "votes": votes, "closed": poll.closed, "ends": poll.ends}


_about: dict[str, type[Delete | Follow | Accept | Reject | Repost | Block | Move]] = {
    c.__name__: c for c in (Delete, Follow, Accept, Reject, Repost, Block, Move)
}
