"""Who is bridged: joining, leaving, and what a profile says about it.

What was decided about an account stands in `members`. A profile that says no counts for more than anybody's word: it
puts the account out (`profile`) wherever it is seen, and once it says no more, nothing is decided again. The same goes
for accounts that are gone from their home (`gone`).
"""

from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

import msgspec

from bridged.adapter import Envelope
from bridged.core import Core
from bridged.model import BOT, HOME, Account, Ref
from bridged.store import identity, inboxes, notices
from bridged.store.engine import Tx
from bridged.store.signals import EARS, INBOX

LEFT = "left"
LISTED = "not-listed"
REMOVED = "removed-by-operator"
REFUSES = "profile-says-no"
ENDED = "ended-for-good"


@dataclass(frozen=True)
class Chore:
    """Work the bridge gives itself about an account; done in `chores.py`. Who leaves `for_good` cannot come back."""

    do: Literal["join", "leave"]
    account: Ref
    for_good: bool = False


def order(tx: Tx, chore: Chore, now: float) -> None:
    """Puts a chore into the inbox."""
    body = msgspec.json.encode(chore)
    # each order is one of its own: who leaves and joins again wants both done
    inboxes.add(tx, Envelope(HOME, uuid4().hex, body, "chore", Ref(HOME, str(chore.account)), now))


def hindrance(core: Core, tx: Tx, ref: Ref, by: str) -> str | None:
    """Why the account cannot join on the word of `by` (person, operator, config); None when it can."""
    standing, decided = identity.standing(tx, ref), identity.decided_by(tx, ref)
    if identity.refuses(tx, ref):
        return REFUSES
    if decided == ENDED:
        return ENDED
    if by != "person":
        return LEFT if standing == "out" and decided == "person" else None
    if core.consent(ref.network) == "listed" and standing != "in":
        return LISTED
    return REMOVED if standing == "out" and decided in ("operator", "config") else None


def join(core: Core, tx: Tx, ref: Ref, by: str) -> str | None:
    """The account is bridged from now on; or the reason why not, and nothing is changed."""
    why = hindrance(core, tx, ref, by)
    if why is not None:
        return why
    if identity.standing(tx, ref) != "in":
        identity.set_standing(tx, ref, "in", by, core.now())
    _ordered(core, tx, Chore("join", ref))
    return None


def leave(core: Core, tx: Tx, ref: Ref, by: str) -> None:
    """The account is bridged no longer: nothing more leaves, and what was made is deleted.

    With `by` ENDED the identities that stood for it end as well, also of who has left before.
    """
    assert ref != BOT
    identity.set_standing(tx, ref, "out", by, core.now())
    _ordered(core, tx, Chore("leave", ref, for_good=by == ENDED))
    core.log.info("leaves", account=str(ref), by=by)


def _ordered(core: Core, tx: Tx, chore: Chore) -> None:
    order(tx, chore, core.now())
    tx.signal(INBOX)
    tx.signal(EARS)


def keep(core: Core, tx: Tx, account: Account, due_at: float) -> None:
    """Saves an account as its home shows it, to be looked at again at `due_at`, and does what its profile says."""
    ref = account.ref
    standing, by = identity.standing(tx, ref), identity.decided_by(tx, ref)
    old = identity.account(tx, ref)
    if old is not None and old.indexable != account.indexable:
        tx.signal(EARS)
    identity.save_account(tx, account, core.now(), due_at)
    notices.drop(tx, ref, "gone")
    if account.refuses and standing != "out":
        if standing == "in" or identity.ghosts_of(tx, ref):
            leave(core, tx, ref, "profile")
        else:
            identity.set_standing(tx, ref, "out", "profile", core.now())
    elif not account.refuses and standing == "out" and by in identity.UNDONE:
        identity.forget_standing(tx, ref)
        notices.drop(tx, ref, REFUSES)
        tx.signal(EARS)
