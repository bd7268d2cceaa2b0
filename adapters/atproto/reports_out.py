"""Reports, as com.atproto.moderation.createReport takes them. Pure."""

from typing import Any, Final

import msgspec

from adapters.atproto import ids
from adapters.atproto.home import Home
from adapters.atproto.threads_out import strong
from adapters.atproto.words_out import whom
from bridged.api import Activity, Outgoing, Part, Ref, Rejected, Report, Text, View, truncate

METHOD: Final = "com.atproto.moderation.createReport"
MAX_POSTS: Final = 20
"""Posts of one report: each is one of its own here."""

_REASONS: Final = {
    "spam": "reasonSpam",
    "nudity": "reasonSexual",
    "illegal": "reasonViolation",
    "malware": "reasonViolation",
    "impersonation": "reasonMisleading",
    "profanity": "reasonRude",
}


def report(activity: Activity, act: Report, view: View, home: Home) -> Outgoing:
    """One report for each post, or one about the account. Each is the JSON body of a call, for `home.moderation`.

    Raises Rejected.
    """
    if not home.moderation:
        raise Rejected("no service is named that reports go to")
    found = whom(act.target, view)
    if found is None:
        raise Rejected("nothing stands here for the account that is reported")
    posts = [there.record() for post in act.posts[:MAX_POSTS] if (there := strong(view.there.get(post)))]
    subjects: list[dict[str, Any]] = [{"$type": "com.atproto.repo.strongRef", **post} for post in posts]
    if not subjects:
        subjects.append({"$type": "com.atproto.admin.defs#repoRef", "did": found[0]})
    said: dict[str, Any] = {"reasonType": f"com.atproto.moderation.defs#{_REASONS.get(act.reason, 'reasonOther')}"}
    if act.text.strip():
        said["reason"] = truncate(Text(act.text.strip()), max_graphemes=2000, max_bytes=20_000).plain
    endpoint = f"{home.moderation}/xrpc/{METHOD}"
    bodies = [msgspec.json.encode({**said, "subject": subject}) for subject in subjects]
    name = f"{view.actor.ref.id}#report:{activity.ref.network}:{activity.ref.id}"  # the service's own is not told to us
    return Outgoing(
        tuple(
            Part(activity.ref, Ref.made(ids.NETWORK, f"{name}:{number}"), body, b"", (endpoint,), number)
            for number, body in enumerate(bodies)
        )
    )
