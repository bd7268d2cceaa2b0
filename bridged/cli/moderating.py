"""`bridged reports`: what people complained about. `bridged move`: who follows a ghost is sent to its owner."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridged.adapter import Unreachable
from bridged.cli.members import found, parts
from bridged.cli.output import NO, USAGE, Failure, show
from bridged.cli.settled import carry_out
from bridged.config import Settings
from bridged.core import Core
from bridged.daemon import opened
from bridged.logs import plain
from bridged.model import Ref, Report
from bridged.moves import NotProved
from bridged.store import acts, identity
from bridged.store.engine import Tx
from bridged.trace import named


def reports(file: Path, limit: int, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=False) as daemon:
            core = daemon.core
            listed = await core.store.read(lambda tx: [_told(core, tx, k) for k in acts.latest(tx, "Report", limit)])
            lines = [line for each in listed for line in _lines(each)] or ["Nobody has reported anything."]
            show({"reports": listed}, lines, as_json)
            return 0

    return carry_out(file, work)


def _told(core: Core, tx: Tx, known: acts.Known) -> dict[str, Any]:
    act = known.activity.act
    assert isinstance(act, Report)

    def who(ref: Ref) -> dict[str, str]:
        account = identity.account(tx, ref)
        name = named(core, ref, account=True).name
        return {"network": ref.network, "name": name, "handle": account.handle if account else name}

    return {
        "at": known.activity.at,
        "by": who(known.activity.actor),
        "about": who(act.target),
        "posts": [named(core, post).name for post in act.posts],
        "reason": act.reason,
        "text": act.text,
    }


def _lines(report: dict[str, Any]) -> list[str]:
    at = datetime.fromtimestamp(report["at"], UTC).strftime("%Y-%m-%d %H:%M")
    by, about = report["by"], report["about"]
    head = f"{at}  {about['network']} {about['handle']}: {report['reason']}, says {by['network']} {by['handle']}"
    words = [f"  {line}" for line in report["text"].splitlines()[:5]]
    return [plain(line) for line in (head, *words, *(f"  {post}" for post in report["posts"][:5]))]


def move(file: Path, who: str, to: str, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=True) as daemon:
            core = daemon.core
            owner, target = [await found(core, *parts(core, each)) for each in (who, to)]
            if owner.network == target.network:
                raise Failure(f"{to} is on the network of {who}: moves within one network are made there", USAGE)
            try:
                await daemon.bridge.acting.moves.out(owner, target)
            except NotProved as error:
                raise Failure(str(error), NO) from error
            except Unreachable as error:
                raise Failure(f"no answer about {to}: {error}; try again later", NO) from error
            lines = [
                f"followers of {who} on {target.network} are asked to follow {to} instead",
                "  it is sent by the running daemon, or the next `bridged run`",
            ]
            show({"moved": str(owner), "to": str(target)}, lines, as_json)
            return 0

    return carry_out(file, work)
