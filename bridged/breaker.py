"""When a host is left alone because it is down: a pure function of how its last deliveries went.

A host is shut once several deliveries in a row failed there. From then on its lanes wait without an attempt of their
own; when the time is up, one of them is the probe. If that gets any answer the others follow, else all wait longer. A
host that answers, but fails for one lane only, is not shut: the others may be doing well.
"""

from dataclasses import dataclass, replace

from bridged.retry import LONGEST_WAIT, delay

THRESHOLD = 3
"""Failures in a row after which a host is shut."""
LONGEST = 10800.0
"""Seconds between two probes at most, unless the host itself asked for more."""
PROBE = 60.0
"""Seconds a probe has: then, if nobody has heard of it, another one may go. Longer than any attempt takes."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A host whose last delivery failed.

    failures  how many in a row; from one lane only those count in which the host did not answer at all
    since     when the first of them was (seconds since 1970)
    at        when the last was
    until     once shut: nothing goes there before, and then a probe
    lane      whose delivery failed last
    why       the last reason
    """

    host: str
    failures: int
    since: float
    at: float
    until: float
    lane: int
    why: str

    @property
    def shut(self) -> bool:
        return self.failures >= THRESHOLD

    def waits(self, now: float) -> bool:
        """Whether nothing may go there now, not even a probe."""
        return self.shut and now < self.until


def failed(
    before: Trouble | None,
    host: str,
    lane: int,
    now: float,
    why: str,
    *,
    silent: bool,
    probe: bool,
    after: float | None = None,
) -> Trouble:
    """What is known of a host after one more failure there.

    `silent`: it was not reached, or gave no answer in time. `after`: the seconds it asked us to wait.
    """
    if before is None:
        return Trouble(host, 1, now, now, 0.0, lane, why)
    if before.shut and not probe:
        # under way when it was shut: known already
        return before
    more = silent or probe or lane != before.lane
    trouble = replace(before, failures=before.failures + more, at=now, lane=lane, why=why)
    if not trouble.shut:
        return trouble
    wait = min(delay(trouble.failures - THRESHOLD), LONGEST)
    asked = min(after, LONGEST_WAIT) if after is not None else 0.0
    return replace(trouble, until=now + max(wait, asked))
