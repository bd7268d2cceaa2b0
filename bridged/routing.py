"""Who hears of an activity: the networks it goes to, each with the reason (pure).

- `member`    the actor is bridged: everything public goes everywhere
- `followed`  the network's consent is open, and somebody over there follows the actor
- `answer`    it is aimed at a bridged account over there
- `copies`    something over there is changed or taken back
"""

from collections.abc import Mapping

from bridged.model import Delete, Edit, Pin, Post, Profile, Repost
from bridged.policy import Facts


def destinations(f: Facts) -> Mapping[str, str]:
    """Network -> reason. Empty when nobody over there is concerned."""
    act = f.activity.act
    if isinstance(act, Edit | Delete):
        return dict.fromkeys(f.present & f.sinks, "copies")
    if isinstance(act, Profile):
        return dict.fromkeys(f.ghosts & f.sinks, "copies")
    # where somebody has an account of their own they speak for themselves
    sinks = f.sinks - f.own
    found: dict[str, str] = {}
    if f.bridged or f.answers == "bridge":
        found |= dict.fromkeys(f.aimed & sinks, "answer")
    if f.bridged:
        # whatever is about something can be shown only where that something is
        reach = sinks if isinstance(act, Post | Repost | Pin) else f.present
        if f.standing == "in":
            found |= dict.fromkeys(reach & sinks, "member")
        else:
            found |= dict.fromkeys(reach & f.audience & sinks, "followed")
    return found
