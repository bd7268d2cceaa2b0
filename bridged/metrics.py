"""What /metrics shows. One registry for each daemon, so that tests can run several."""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
LOOK_EVERY = 0.1
"""Seconds between two looks at the event loop."""


class Metrics:
    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.received = Counter("bridged_received_total", "Envelopes stored", ["network"], registry=r)
        self.refused = Counter(
            "bridged_refused_total", "Input refused before it was verified", ["network", "reason"], registry=r
        )
        self.dropped = Counter("bridged_dropped_total", "Verified input not carried", ["network", "reason"], registry=r)
        self.carried = Counter("bridged_carried_total", "Acts carried over", ["source", "to", "act"], registry=r)
        self.deliveries = Counter(
            "bridged_deliveries_total", "Delivery attempts by outcome", ["network", "outcome"], registry=r
        )
        self.queue = Gauge("bridged_queue_depth", "Deliveries waiting", ["network"], registry=r)
        self.queue_age = Gauge(
            "bridged_queue_age_seconds", "Age of the oldest delivery waiting", ["network"], registry=r
        )
        self.hosts_down = Gauge("bridged_hosts_down", "Hosts left alone because they are down", registry=r)
        self.backlog = Gauge("bridged_inbox_depth", "Envelopes waiting to be decided on", registry=r)
        self.latency = Histogram(
            "bridged_latency_seconds",
            "From hearing of an act to delivering it",
            ["network"],
            registry=r,
            buckets=BUCKETS,
        )
        self.lag = Histogram(
            "bridged_loop_lag_seconds",
            "How much later than it asked to be a task is woken: what everything here waits beside its own work",
            registry=r,
            buckets=LAG_BUCKETS,
        )
        self.egress = Counter("bridged_egress_refused_total", "Requests the guard refused", ["reason"], registry=r)
        self.media = Counter("bridged_media_total", "Files of others made ours, or not", ["outcome"], registry=r)
        self.pruned = Counter("bridged_pruned_total", "Rows kept long enough", ["table"], registry=r)
        self.size = Gauge("bridged_store_bytes", "Size of the database", registry=r)
        self._own: dict[str, Gauge] = {}

    def gauge(self, network: str, name: str, value: float, labels: dict[str, str]) -> None:
        """An adapter's own figure, named `bridged_<network>_<name>`."""
        full = f"bridged_{network}_{name}"
        if full not in self._own:
            self._own[full] = Gauge(full, f"{name} of {network}", sorted(labels), registry=self.registry)
        gauge = self._own[full]
        (gauge.labels(**labels) if labels else gauge).set(value)

    async def watch_loop(self) -> None:
        """Measures the event loop until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            asked = clock() + LOOK_EVERY
            await asyncio.sleep(LOOK_EVERY)
            self.lag.observe(max(0.0, clock() - asked))

    def render(self) -> bytes:
        return generate_latest(self.registry)
