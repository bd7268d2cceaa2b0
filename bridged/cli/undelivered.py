"""`bridged dead`: what could not be delivered, by host and reason. `bridged retry`: it is tried again.

Both work beside a running daemon: it finds what is due by itself.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from bridged.cli.members import parts
from bridged.cli.output import NO, USAGE, Failure, show
from bridged.cli.settled import carry_out
from bridged.config import Settings
from bridged.core import Core
from bridged.daemon import opened
from bridged.logs import plain
from bridged.model import Ref
from bridged.store import dead, hosts, identity
from bridged.store.dead import Group, Revived, Which
from bridged.store.engine import Tx

BATCH = 200
"""Letters put back in one transaction, so that a daemon beside us never waits long."""
DOWN = 20
"""Hosts named that are left alone."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_MEANINGS = (
    ("HTTP 3", "it redirects, and what is sent does not follow redirects"),
    ("HTTP 401", "it does not believe our signature: `bridged check` says whether it can fetch our keys"),
    ("HTTP 403", "it refuses us: perhaps this bridge is blocked there"),
    ("HTTP 404", "the inbox is not there"),
    ("HTTP 410", "the inbox is gone for good"),
    ("HTTP 413", "too large for it"),
    ("HTTP 429", "it would take no more from us"),
    ("HTTP 4", "it refuses what was sent"),
    ("HTTP 5", "it was out of order for a week"),
    ("dns ", "its name could not be resolved for a week"),
    ("connect ", "it could not be connected to for a week"),
    ("tls ", "its certificate was not valid for a week"),
    ("timeout ", "it did not answer in time for a week"),
    ("no answer in time", "it did not answer in time for a week"),
    ("protocol ", "it broke the rules of HTTP for a week"),
    ("address ", "we do not connect to such an address: see `egress.allow`"),
    ("port ", "we do not connect to such a port: see `egress.ports`"),
    ("internal error", "a fault of the bridge: see its log"),
    ("no-ghost", "who would have said it is no longer there"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says: `older` and `newer` are spans such as 90m, 12h or 3d."""

    host: str | None = None
    account: str | None = None
    reason: str | None = None
    older: str | None = None
    newer: str | None = None


def listing(file: Path, asked: Asked, limit: int, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=False) as daemon:
            core = daemon.core
            which = await core.store.read(lambda tx: _which(core, tx, asked))
            number, found, down = await core.store.read(
                lambda tx: (
                    dead.count(tx, which),
                    dead.groups(tx, which, limit),
                    hosts.shut(tx, core.now(), DOWN),
                )
            )
            document = {
                "dead": number,
                "groups": [asdict(group) | {"meaning": meaning(group.reason)} for group in found],
                "down": [
                    {"host": t.host, "since": t.since, "failures": t.failures, "next_try": t.until, "why": t.why}
                    for t in down
                ],
            }
            lines = [*_group_lines(number, found), *(_down_line(t.host, t.since, t.until, t.why) for t in down)]
            show(document, [plain(line) for line in lines], as_json)
            return 0

    return carry_out(file, work)


def retry(file: Path, asked: Asked, limit: int, dry: bool, as_json: bool) -> int:
    if asked == Asked():
        raise Failure("retry what? name a --host, an --account, a --reason, or how --older or --newer", USAGE)

    async def work(settings: Settings) -> int:
        async with opened(settings, mint=not dry) as daemon:
            core = daemon.core
            which = await core.store.read(lambda tx: _which(core, tx, asked))
            total, more = await _revive(core, which, limit, dry)
            # what still waits has no reason to be dead yet, nor an age
            hastened = 0
            if which == Which(which.host, which.actor):
                run = core.store.read if dry else core.store.write
                hastened = await run(lambda tx: dead.hasten(tx, which, core.now(), dry=dry))
            document = {
                "dry_run": dry,
                "retried": total.back.total(),
                "hosts": dict(total.back.most_common()),
                "left": dict(total.left.most_common()),
                "hastened": hastened,
                "more": more,
            }
            show(document, [plain(line) for line in _retry_lines(total, hastened, more, dry)], as_json)
            return 0 if total.back or hastened else NO

    return carry_out(file, work)


async def _revive(core: Core, which: Which, limit: int, dry: bool) -> tuple[Revived, int]:
    """At most `limit` dead letters, oldest first; what became of them, and how many more there are."""
    total, now = Revived(), core.now()
    run = core.store.read if dry else core.store.write
    while limit > 0:
        some = min(limit, BATCH)
        found = await run(lambda tx, n=some, after=total.last: dead.revive(tx, which, now, n, after, dry=dry))
        total.back += found.back
        total.left += found.left
        looked = found.back.total() + found.left.total()
        limit -= looked
        if not looked:
            return total, 0
        total.last = found.last
    return total, await core.store.read(lambda tx: dead.count(tx, which, total.last))


def _which(core: Core, tx: Tx, asked: Asked) -> Which:
    """Raises Failure."""
    now = core.now()
    older = None if asked.older is None else now - span("--older", asked.older)
    newer = None if asked.newer is None else now - span("--newer", asked.newer)
    actor = None if asked.account is None else _account(core, tx, asked.account)
    return Which((asked.host or "").lower(), actor, asked.reason or "", newer, older)


def _account(core: Core, tx: Tx, who: str) -> Ref:
    """An account that the store knows: its home need not be there any more. Raises Failure."""
    network, name = parts(core, who)
    named, handle = core.adapters[network].parse(name), name.removeprefix("@")
    known = [named] if named is not None else []
    known += identity.accounts_handled(tx, network, handle) + identity.accounts_called(tx, network, handle)
    if not known:
        raise Failure(f"nothing is known of {who}", NO)
    ghost = identity.ghost_at(tx, known[0])
    return ghost[0].owner if ghost is not None else known[0]


def span(option: str, text: str) -> float:
    """Seconds in `90m`, `12h`, `3d`, `1w`. Raises Failure."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if found is None:
        raise Failure(f"{option}: {text!r} is no span of time; write it like 90m, 12h, 3d or 1w", USAGE)
    return float(int(found[1]) * _UNITS[found[2]])


def meaning(reason: str) -> str:
    """What a reason means for people; "" where it speaks for itself."""
    return next((said for start, said in _MEANINGS if reason.startswith(start)), "")


def _group_lines(number: int, found: Sequence[Group]) -> list[str]:
    if not number:
        return ["Nothing is dead."]
    lines = [f"{number} dead letters" if number != 1 else "1 dead letter"]
    for (network, host), groups in groupby(sorted(found, key=_by_host), key=_by_host):
        lines.append(f"{host} ({network})")
        for group in sorted(groups, key=lambda g: -g.letters):
            said = meaning(group.reason)
            by = f"{group.accounts} account{'s' if group.accounts != 1 else ''}"
            lines.append(f"  {group.letters:>7}  {group.reason or 'no reason'}{': ' if said else ''}{said}")
            lines.append(f"           {_day(group.first)} to {_day(group.last)}, by {by}")
    left = number - sum(group.letters for group in found)
    if left:
        lines.append(f"… and {left} more; ask for one --host, or a higher --limit")
    return [*lines, "Once the cause is mended: bridged retry --host HOST (or --reason, --account, --older, --newer)"]


def _by_host(group: Group) -> tuple[str, str]:
    return group.network, group.host


def _down_line(host: str, since: float, until: float, why: str) -> str:
    return f"{host} has been down since {_day(since)} ({why}); it is tried again at {_day(until)}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _retry_lines(total: Revived, hastened: int, more: int, dry: bool) -> list[str]:
    would = "Would be tried" if dry else "Tried"
    lines = [f"{would} again, oldest first: {total.back.total()}", *_counted(total.back)]
    if hastened:
        lines.append(f"{would} now instead of later: {hastened} queues that wait")
    if total.left:
        lines += [f"Left as they are: {total.left.total()}", *_counted(total.left)]
    if more:
        lines.append(f"{more} more would do: run it once more, or with a higher --limit")
    if (total.back or hastened) and not dry:
        lines.append("The running daemon sends them, or the next `bridged run`; `bridged dead` says what failed again")
    elif not total.back and not hastened:
        lines.append("Nothing to try again; `bridged dead` lists what there is")
    return lines


def _counted(found: Counter[str]) -> list[str]:
    return [f"  {count:>7}  {what}" for what, count in found.most_common(50)]
