"""Acts played from network to network without a store: pure decoders and encoders, and a memory of what was said.

It does what the stations do (`acting.py`, `following.py`, `tell.py`) for people who are all bridged and whose
accounts are all known: refs are made canonical, policy is asked, views are made and copies kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridged.adapter import Blob, Capabilities, Card, Envelope, Outgoing, Part, Rejected, There, View
from bridged.model import (
    BOT,
    Accept,
    Account,
    Act,
    Activity,
    Approve,
    Block,
    BlockList,
    Copy,
    Delete,
    Edit,
    Follow,
    FollowList,
    Gate,
    Ghost,
    Move,
    Pin,
    PinList,
    Post,
    Profile,
    QuoteRequest,
    Ref,
    Reject,
    Report,
    Repost,
    Tally,
    Vote,
)
from bridged.policy import Facts, refuse
from bridged.polls import chosen
from bridged.testing.dialect import Dialect
from bridged.words import body_of, canonical, people_in, posts_in


@dataclass(slots=True)
class Heard:
    """What one activity came to: why it is not carried at all, or what was said on each network."""

    activity: Activity
    refused: str = ""
    said: dict[str, Outgoing] = field(default_factory=dict[str, Outgoing])


class Rehearsal:
    """`people` by name, `ghosts` by (owner, network); `fans` hear everything that followers hear."""

    def __init__(self, dialects: Mapping[str, Dialect]) -> None:
        self.dialects = dialects
        self.people: dict[str, Account] = {}
        self.ghosts: dict[tuple[Ref, str], Ghost] = {}
        self.fans: list[Account] = []
        self.names: dict[str, Ref] = {}
        self.blobs, self.cards = dict[str, Blob](), dict[str, Card]()
        self._accounts: dict[Ref, Account] = {}
        self._known: dict[Ref, Activity] = {}
        self._roots: dict[Ref, Ref] = {}
        self._copies: dict[tuple[Ref, str], dict[int, Copy]] = {}
        self._origins: dict[Ref, Ref] = {}
        self._owners: dict[Ref, Ref] = {}
        self._pages: dict[str, Ref] = {}
        self._lists: dict[tuple[str, Ref], dict[Ref, Ref]] = {}

    async def join(self, name: str, account: Account, *, fan: bool = False, only: Iterable[str] | None = None) -> None:
        """Somebody becomes known, with a ghost on every other network (or `only` on those)."""

        async def free(_: str) -> bool:
            return False

        self.people[name] = account
        self._accounts[account.ref] = account
        if account.url:
            self._pages[account.url] = account.ref
        if fan:
            self.fans.append(account)
        for network, dialect in self.dialects.items():
            if network != account.ref.network and (only is None or network in only):
                ghost = await dialect.sink.mint(account, free)
                self.ghosts[account.ref, network] = ghost
                self._owners[ghost.ref] = account.ref

    def id(self, name: str, network: str, part: int = 0) -> Ref:
        """The ref on `network` of somebody, or of a post named earlier: the original, the ghost, or a copy's part."""
        if name in self.people:
            owner = self.people[name].ref
            return owner if owner.network == network else self.ghosts[owner, network].ref
        origin = self.names[name]
        if origin.network == network:
            return origin
        copy = self._copies.get((origin, network), {}).get(part)
        if copy is None or copy.ref is None:
            raise KeyError(f"{name} does not stand on {network}")
        return copy.ref

    def read(self, envelope: Envelope) -> Sequence[Activity]:
        """Raises Malformed."""
        return self.dialects[envelope.network].sink.decode(envelope)

    def play(self, raw: Activity, heard_at: float) -> list[Heard]:
        """Everything that follows from one decoded activity, in order."""
        activity = self.resolved(raw)
        why = self._refused(raw, activity)
        if why:
            return [Heard(activity, refused=why)]
        return [self._heard(each, heard_at) for each in self._single(activity)]

    def resolved(self, raw: Activity) -> Activity:
        """`raw` in home refs, its actor and the target of a Delete too."""
        activity = canonical(raw, self._person, self._thing)
        if isinstance(activity.act, Delete):
            activity = replace(activity, act=Delete(self._person(self._thing(activity.act.target))))
        return replace(activity, actor=self._person(activity.actor))

    def _person(self, ref: Ref) -> Ref:
        return self._owners.get(ref, ref)

    def _thing(self, ref: Ref) -> Ref:
        return self._origins.get(ref, ref)

    def _refused(self, raw: Activity, activity: Activity) -> str:
        ours = raw.actor in self._owners or raw.ref in self._origins
        known = self._known.get(activity.ref)
        actor = activity.act.account if isinstance(activity.act, Profile) else self._accounts.get(activity.actor)
        refuses = actor is not None and actor.refuses != ""
        why = refuse(Facts(activity, ours=ours, seen="live" if known else None, refuses=refuses))
        why = why or ("copy-of-another-bridge" if actor and actor.mark else "")
        act = activity.act
        if why or not isinstance(act, Edit | Delete | Gate | Tally | Vote) or act == Delete(activity.actor):
            return why
        about = self._known.get(act.body.ref if isinstance(act, Edit) else act.target)
        if isinstance(act, Vote) and about is not None:
            return ""
        return "unknown-target" if about is None else "" if about.actor == activity.actor else "not-yours"

    def _single(self, activity: Activity) -> list[Activity]:
        """Whole lists as what changed by them; a newer version of a known post as an edit."""
        act = activity.act
        if isinstance(act, FollowList | BlockList | PinList):
            return self._difference(activity, act)
        known = self._known.get(activity.ref)
        if isinstance(act, Post) and known is not None:
            name = f"{activity.ref.id}@{activity.at:.0f}"
            return [replace(activity, ref=Ref(activity.ref.network, name), act=Edit(act.body))]
        return [activity]

    def _difference(self, activity: Activity, act: FollowList | BlockList | PinList) -> list[Activity]:
        """As `Following.whole_list` names them. Pins stay on their author's own network; the rest crosses."""
        kind = type(act).__name__.removesuffix("List")
        home = activity.actor.network
        had = dict(self._lists.get((kind, activity.actor), {}))
        want = [ref for ref in act.targets if kind == "Pin" or ref.network != home]
        found: list[Activity] = []
        for target in reversed(want) if kind == "Pin" else want:
            if target not in had:
                made: Act = Follow(target) if kind == "Follow" else Block(target) if kind == "Block" else Pin(target)
                ref = Ref(home, f"{activity.ref.id}:{target.network}:{target.id}")
                found.append(replace(activity, ref=ref, act=made))
        for target, made_by in had.items():
            if target not in want:
                gone: Act = Pin(target, False) if kind == "Pin" else Delete(made_by)
                ref = Ref(home, f"{activity.ref.id}:-{target.network}:{target.id}")
                found.append(replace(activity, ref=ref, act=gone))
        return found

    def _heard(self, activity: Activity, heard_at: float) -> Heard:
        heard, subject = Heard(activity), self._subject(activity)
        self._note(activity, subject)
        for spoken, network in self._spoken(activity, subject, heard_at):
            heard.said[network] = self._tell(spoken, self._subject(spoken), network, heard_at)
        return heard

    def _spoken(self, activity: Activity, subject: Activity | None, heard_at: float) -> Iterator[tuple[Activity, str]]:
        """What is said because of it, and where: on every other network, or where those concerned are at home."""
        act, actor = activity.act, activity.actor
        named = subject.act if isinstance(act, Delete) and subject is not None else act
        match named:
            case Accept() | Reject():
                asker = subject.actor.network if subject is not None else actor.network
                if asker != actor.network and self._capabilities(asker).follows == "request":
                    yield activity, asker
            case Follow(target) | Block(target):
                if target.network != actor.network:
                    yield activity, target.network
                    if isinstance(act, Follow) and self._capabilities(target.network).follows == "open":
                        yield from self._granted(activity, target, heard_at)
            case QuoteRequest(target):
                yield from self._granted(activity, self._known[target].actor, heard_at)
            case Approve(target):
                yield replace(activity, actor=self._known[target].actor), actor.network
            case Report(target, text=text):
                if target.network != actor.network:
                    hushed = "Report" in self._capabilities(actor.network).discreet
                    hushed = hushed and "Report" not in self._capabilities(target.network).discreet
                    told = replace(named, text="" if hushed else text)
                    yield replace(activity, actor=BOT, act=told), target.network
            case Vote(target):
                if target.network != actor.network:
                    here, there = (self._capabilities(n).discreet for n in (actor.network, target.network))
                    asked = body_of(self._known[target])
                    if asked is not None and asked.poll is not None:
                        voted = Vote(target, tuple(asked.poll.options[n].id for n in chosen(asked.poll, named)))
                        by = BOT if "Vote" in here - there else actor
                        yield replace(activity, actor=by, act=voted), target.network
            case Move(target):
                yield from self._moved(activity, target)
            case _:
                yield from ((activity, network) for network in self.dialects if network != actor.network)

    def _granted(self, asked: Activity, by: Ref, heard_at: float) -> Iterator[tuple[Activity, str]]:
        """The answer in the name of whom it is aimed at, where its network expects one."""
        network = asked.actor.network
        if self._capabilities(network).follows == "request":
            ref = Ref(by.network, f"accept:{asked.ref.network}:{asked.ref.id}")
            yield Activity(ref, by, heard_at, Accept(asked.ref)), network

    def _moved(self, activity: Activity, target: Ref) -> Iterator[tuple[Activity, str]]:
        """What stood for the old account stands for the new one from now on."""
        for (owner, network), ghost in list(self.ghosts.items()):
            if owner == activity.actor:
                self.ghosts[target, network] = replace(ghost, owner=target, first=ghost.keyed)
                self._owners[ghost.ref] = target
                yield replace(activity, actor=target, act=Profile(self._accounts[target])), network

    def _capabilities(self, network: str) -> Capabilities:
        return self.dialects[network].sink.capabilities

    def _note(self, activity: Activity, subject: Activity | None) -> None:
        act, actor = activity.act, activity.actor
        body = body_of(activity)
        if isinstance(act, Edit):
            self._known[act.body.ref] = replace(activity, ref=act.body.ref, act=Post(act.body))
        elif isinstance(act, Tally | Gate):
            asked = self._known[act.target]
            assert isinstance(asked.act, Post)
            self._known[act.target] = replace(asked, act=Post(act.on(asked.act.body)))
        else:
            self._known[activity.ref] = activity
        if body is not None:
            if body.url:
                self._pages[body.url] = body.ref
            above = self._roots.get(body.reply_to) if body.reply_to else None
            root = above or body.root or body.reply_to
            if root is not None:
                self._roots[body.ref] = root
        if isinstance(act, Profile):
            self._accounts[actor] = act.account
        if isinstance(act, Follow | Block | Pin):
            kept = self._lists.setdefault((type(act).__name__, actor), {})
            if isinstance(act, Pin) and not act.pinned:
                kept.pop(act.target, None)
            else:
                kept[act.target] = activity.ref
        if isinstance(act, Delete) and subject is not None and isinstance(subject.act, Follow | Block):
            self._lists.get((type(subject.act).__name__, actor), {}).pop(subject.act.target, None)

    def _tell(self, activity: Activity, subject: Activity | None, network: str, heard_at: float) -> Outgoing:
        sink = self.dialects[network].sink
        kind = type(activity.act).__name__
        if kind not in sink.capabilities.acts:
            return Outgoing(losses=(f"{network} has no {kind}",))
        try:
            out = sink.encode(activity, self._view(activity, subject, network, heard_at))
        except Rejected as error:
            return Outgoing(losses=(error.why,))
        for part in out.parts:
            self._keep(part, network)
        return out

    def _keep(self, part: Part, network: str) -> None:
        kept = self._copies.setdefault((part.of, network), {})
        before = kept.get(part.number)
        kept[part.number] = Copy(
            part.of,
            network,
            part.number,
            part.ref,
            part.served,
            before.version + 1 if before else 1,
            part.gone,
            part.detail,
        )
        if part.ref is not None and part.ref not in self._owners:
            self._origins.setdefault(part.ref, part.of)

    def _subject(self, activity: Activity) -> Activity | None:
        act = activity.act
        if isinstance(act, Vote | Tally | Gate):
            return self._known.get(act.target)
        if not isinstance(act, Accept | Reject | Delete):
            return None
        known = self._known.get(act.target)
        return None if known is None or isinstance(known.act, Post | Delete) else known

    def _about(self, act: Act) -> Ref | None:
        match act:
            case Edit(body):
                return body.ref
            case Delete(target) | Tally(target) | Approve(target) | Gate(target):
                return target
            case _:
                return None

    def _view(self, activity: Activity, subject: Activity | None, network: str, heard_at: float) -> View:
        act, actor = activity.act, activity.actor
        posts = posts_in(activity)
        if isinstance(act, Delete):
            posts = (act.target,)
        elif isinstance(act, Edit):
            posts += (act.body.ref,)
        concerned = (activity, *([subject] if subject else []))
        people = dict.fromkeys(who for each in concerned for who in people_in(each))
        if subject is not None:
            people[subject.actor] = None
            posts += posts_in(subject)
        for ref in posts:
            if ref in self._known:
                people[self._known[ref].actor] = None
        roots = [self._roots[ref] for ref in posts if ref in self._roots]
        there = {ref: self._there(ref, network) for ref in (*posts, *roots)}
        accounts = {ref: self._accounts[ref] for ref in people if ref in self._accounts}
        about = self._about(act)
        return View(
            at=heard_at,
            actor=self.ghosts[actor, network],
            account=self._accounts[actor],
            ghosts={ref: self.ghosts.get((ref, network)) for ref in people if ref.network != network},
            accounts=accounts,
            there=there,
            recipients=self._recipients(act, network, accounts, subject),
            previous=self._copies_of(about, network) if about else (),
            own=self._copies_of(actor, network),
            follows=self._named("Follow", actor, network),
            blocks=self._named("Block", actor, network),
            pins=tuple(
                stands.ref
                for ref in self._lists.get(("Pin", actor), {})
                if (stands := self._there(ref, network)) and stands.ref
            ),
            links=self._links(activity, network),
            subject=subject,
            blobs=self.blobs,
            cards=self.cards,
        )

    def _links(self, activity: Activity, network: str) -> dict[str, There | Ref]:
        """What stands there for posts and accounts that a text links to."""
        body = body_of(activity)
        found: dict[str, There | Ref] = {}
        for url in body.text.targets("link") if body else ():
            named = [self._pages.get(str(url)), *(d.sink.parse(str(url)) for d in self.dialects.values())]
            for ref in dict.fromkeys(self._person(self._thing(each)) for each in named if each is not None):
                if there := self._there(ref, network):
                    found[str(url)] = there
                elif ghost := self.ghosts.get((ref, network)):
                    found[str(url)] = ghost.ref
                elif ref.network == network and ref in self._accounts:
                    found[str(url)] = ref
                else:
                    continue
                break
        return found

    def _recipients(
        self, act: Act, network: str, accounts: Mapping[Ref, Account], subject: Activity | None
    ) -> tuple[Account, ...]:
        if isinstance(act, Accept | Reject):
            return (self._accounts[subject.actor],) if subject else ()
        found = {ref: account for ref, account in accounts.items() if ref.network == network}
        if isinstance(act, Post | Edit | Repost | Profile | Delete | Tally | Gate | Pin | Move):
            found |= {fan.ref: fan for fan in self.fans if fan.ref.network == network}
        return tuple(found.values())

    def _named(self, kind: str, actor: Ref, network: str) -> tuple[Ref, ...]:
        return tuple(ref for ref in self._lists.get((kind, actor), {}) if ref.network == network)

    def _copies_of(self, origin: Ref, network: str) -> tuple[Copy, ...]:
        return tuple(copy for _, copy in sorted(self._copies.get((origin, network), {}).items()))

    def _there(self, ref: Ref, network: str) -> There | None:
        known = self._known.get(ref)
        if known is None:
            return None
        body = body_of(known)
        if ref.network == network:
            return There(ref, ref, known.actor, self._roots.get(ref), body.url, body.detail) if body else None
        copies = tuple(copy for copy in self._copies_of(ref, network) if not copy.gone)
        ghost = self.ghosts.get((known.actor, network))
        if not copies or ghost is None:
            return None
        return There(ref, copies[0].ref, ghost.ref, self._roots.get(ref), "", copies[0].detail, copies)
