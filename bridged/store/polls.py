"""Polls that stand on more than one network, and the votes in them that we have heard."""

from collections.abc import Sequence

from sqlalchemy import case, select, update

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import copies, polls, votes
from bridged.store.sql import upsert

LISTENED = 200
"""Open polls that are listened for at a time, the newest."""


def put(tx: Tx, poll: Ref, at: float, *, is_open: bool) -> None:
    upsert(tx, polls, network=poll.network, id=poll.id, open=int(is_open), at=at)


def close(tx: Tx, poll: Ref) -> None:
    tx.execute(update(polls).where(polls.c.network == poll.network, polls.c.id == poll.id).values(open=0))


def standing(tx: Tx, network: str) -> list[str]:
    """The open polls that are listened for, as they stand on a network: their ids there."""
    listened = select(polls).where(polls.c.open == 1).order_by(polls.c.at.desc()).limit(LISTENED).subquery()
    copy = (
        select(case((copies.c.gone == 0, copies.c.ref)))
        .where(copies.c.origin_network == listened.c.network, copies.c.origin_id == listened.c.id)
        .where(copies.c.network == network, copies.c.part == 0)
        .order_by(copies.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    here = case((listened.c.network == network, listened.c.id), else_=copy).label("here")
    return [id for id in tx.execute(select(here)).scalars() if id is not None]


def choices_of(tx: Tx, poll: Ref, voter: Ref) -> tuple[int, ...]:
    """Places in the poll's options that the voter has chosen."""
    text = tx.execute(
        select(votes.c.choices)
        .where(votes.c.network == poll.network, votes.c.poll == poll.id)
        .where(votes.c.voter_network == voter.network, votes.c.voter_id == voter.id)
    ).scalar()
    return tuple(map(int, text.split(","))) if text else ()


def cast(tx: Tx, poll: Ref, voter: Ref, choices: Sequence[int], at: float) -> None:
    """The voter's choice, in place of what they chose before."""
    upsert(
        tx,
        votes,
        network=poll.network,
        poll=poll.id,
        voter_network=voter.network,
        voter_id=voter.id,
        choices=",".join(map(str, choices)),
        at=at,
    )


def count(tx: Tx, poll: Ref, options: int) -> tuple[list[int], int]:
    """How often each option was chosen, and by how many voters in all."""
    counts, voters = [0] * options, 0
    for (text,) in tx.execute(select(votes.c.choices).where(votes.c.network == poll.network, votes.c.poll == poll.id)):
        voters += 1
        for place in map(int, text.split(",")):
            if place < options:
                counts[place] += 1
    return counts, voters
