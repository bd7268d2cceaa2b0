"""`make bench`: what bridged does in a second, beside what this machine could do at best.

    python -m tests.bench [NAME…] [--quick] [--json] [--strict]

Other work on a machine moves every figure, so none is judged by itself where that can be helped: each comes with a
ceiling measured in the same run, by turns with it, and the bar is on the ratio. A ceiling is the least that
anybody could do: a bare client or server around the one operation that cannot be left out (a signature). The
daemon, what loads it and what stands for other servers are processes of their own.

A bench is a module `bench_NAME.py` here, with `def bench(run: Run) -> Iterator[Figure]` (frame.py). What it needs
running it starts through `run`, which ends it again: the daemon (daemon.py), peers and load (child.py).
"""
