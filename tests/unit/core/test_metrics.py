"""Figures the daemon measures by itself."""

import asyncio
import time

import pytest

from bridged.metrics import Metrics


def _later_than(metrics: Metrics, seconds: float) -> float:
    """How many looks found the loop busy for longer."""
    within = metrics.registry.get_sample_value("bridged_loop_lag_seconds_bucket", {"le": str(seconds)})
    count = metrics.registry.get_sample_value("bridged_loop_lag_seconds_count")
    assert within is not None
    assert count is not None
    return count - within


async def test_loop_lag_shows_what_keeps_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridged.metrics.LOOK_EVERY", 0.01)
    metrics = Metrics()
    watch = asyncio.create_task(metrics.watch_loop())
    await asyncio.sleep(0.05)
    before = _later_than(metrics, 0.5)
    time.sleep(0.6)  # noqa: ASYNC251 — somebody does not give way
    await asyncio.sleep(0.05)
    watch.cancel()
    assert _later_than(metrics, 0.5) > before
