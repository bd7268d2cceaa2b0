"""For authors of adapters: the bridge without its daemon, stepped by hand, and suites to hold an adapter to.

harness     the three stations and the real store; the test moves the clock
network     a network in memory, to bridge to and from
world       a scripted outside for adapters that speak HTTP
fakehost    a `Host` without a core
golden      cases as files: what a native input means, and what it becomes elsewhere
conformance what every adapter must do, as a class to subclass (needs pytest and hypothesis)
"""

from bridged.testing.fakehost import FakeHost
from bridged.testing.harness import Clock, Harness
from bridged.testing.network import FakeNetwork, Told
from bridged.testing.world import Log, ScriptedHttp

__all__ = ["Clock", "FakeHost", "FakeNetwork", "Harness", "Log", "ScriptedHttp", "Told"]
