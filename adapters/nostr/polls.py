"""Polls, votes and results (NIP-88), both ways. Pure.

The options of what we publish are named by their place, "0", "1" and so on, whatever they are called at home.
"""

from typing import Final

from adapters.nostr import ids
from adapters.nostr.drafts import Draft, detail_of, provenance, there_for, time_of
from adapters.nostr.event import Event, first_tag, tag_values
from adapters.nostr.home import Home
from adapters.nostr.relays import public_relay
from adapters.nostr.replies import Tags, hint, kind_of
from bridged.api import HOME, Activity, Malformed, Option, Poll, Post, Ref, Rejected, View, Vote

KIND: Final = 1068
RESPONSE: Final = 1018
MAX_OPTIONS: Final = 100
MAX_RELAYS: Final = 4
_MAX_LABEL: Final = 500
_MAX_ID: Final = 100


def poll_of(event: Event, now: float) -> Poll:
    """The poll as it stands at `now`. Raises Malformed: poll, when there is nothing to choose from."""
    options: dict[str, Option] = {}
    for tag in event.tags:
        if tag[0] == "option" and len(tag) > 2 and 0 < len(tag[1]) <= _MAX_ID and (name := _label(tag[2])):
            options.setdefault(tag[1], Option(tag[1], name))
    if not options:
        raise Malformed("poll")
    kind = first_tag(event, "polltype")
    ends = _seconds(first_tag(event, "endsAt"))
    return Poll(
        tuple(options.values())[:MAX_OPTIONS],
        multiple=kind is not None and kind[1:2] == ("multiplechoice",),
        ends=ends,
        closed=ends is not None and ends <= now,
    )


def relays_of(event: Event) -> tuple[str, ...]:
    """Where the poll wants to have its votes."""
    urls = map(public_relay, tag_values(event, "relay")[:20])
    return tuple(dict.fromkeys(url for url in urls if url is not None))[:MAX_RELAYS]


def vote_of(event: Event) -> Vote:
    """Raises Malformed: target, choices."""
    target = next((text for text in tag_values(event, "e") if ids.is_hex(text)), "")
    choices = tuple(dict.fromkeys(text for text in tag_values(event, "response") if 0 < len(text) <= _MAX_ID))
    if not target:
        raise Malformed("target")
    if not choices:
        raise Malformed("choices")
    return Vote(Ref(ids.NETWORK, target), choices[:MAX_OPTIONS])


def tags_of(poll: Poll, question: str, home: Home) -> Tags:
    """What makes a note a poll; `alt` (NIP-31) is for clients that know no polls."""
    options = poll.options[:MAX_OPTIONS]
    tags: Tags = [("option", str(place), _label(option.name) or str(place)) for place, option in enumerate(options)]
    tags += [("relay", url) for url in home.public_relays]
    tags.append(("polltype", "multiplechoice" if poll.multiple else "singlechoice"))
    if poll.ends is not None:
        tags.append(("endsAt", str(max(0, int(poll.ends)))))
    lines = [f"{place}. {_label(option.name)}" for place, option in enumerate(options, 1)]
    tags.append(("alt", "\n".join(("Poll: " + question.strip()[:1000], *lines))))
    return tags


def results(poll: Poll) -> str:
    """What a closed poll came to, a line for each option."""
    total = sum(option.votes for option in poll.options)
    lines = [
        f"{_label(option.name)}: {option.votes}" + (f" ({100 * option.votes / total:.0f} %)" if total else "")
        for option in poll.options[:MAX_OPTIONS]
    ]
    return "\n".join(lines)


def vote(activity: Activity, act: Vote, view: View, home: Home) -> Draft:
    """Said for the bot, it is a secret ballot: nothing shows who voted. Raises Rejected."""
    there = there_for(view, act.target)
    if there.ref is None or kind_of(there) != str(KIND):
        raise Rejected("what it votes in is not a poll here")
    known = view.subject.act.body.poll if view.subject and isinstance(view.subject.act, Post) else None
    names = [_place(choice, known, by_place=bool(there.parts)) for choice in act.choices[:MAX_OPTIONS]]
    tags: Tags = [("e", there.ref.id, hint(there, view, home)), *(("response", name) for name in dict.fromkeys(names))]
    secret = activity.actor.network == HOME
    tags += [] if secret else provenance(activity.ref)
    at = time_of(activity, view)
    return Draft(
        activity.ref, RESPONSE, at, tuple(tags), detail=detail_of(RESPONSE, at), secret=secret, more=_relays(view, act)
    )


def _place(choice: str, poll: Poll | None, *, by_place: bool) -> str:
    """The id here of the option that `choice` names by id, else by name."""
    options = poll.options if poll else ()
    for number, option in enumerate(options):
        if choice == option.id:
            return str(number) if by_place else option.id
    for number, option in enumerate(options):
        if choice == option.name:
            return str(number) if by_place else option.id
    return choice


def _relays(view: View, act: Vote) -> tuple[str, ...]:
    """NIP-88: votes go to the relays that the poll names."""
    there = view.there.get(act.target)
    return tuple(there.detail.get("poll_relays", "").split()) if there is not None else ()


def _label(name: str) -> str:
    return " ".join(name.split())[:_MAX_LABEL]


def _seconds(tag: tuple[str, ...] | None) -> float | None:
    text = tag[1] if tag is not None and len(tag) > 1 else ""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
