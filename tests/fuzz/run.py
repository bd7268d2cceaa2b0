"""Fuzzes one target for as long as one likes: `python -m tests.fuzz.run TARGET --minutes 10` (`all` for every one).

Guided by coverage where atheris can be imported (`pip install atheris`; it is no dependency of the project), else by
random changes of the corpus. What fails lands in tests/fuzz/corpus/TARGET, to be mended and kept: the tests replay it.
With `--keep`, inputs that reach new code are merged into the corpus, smallest first.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 4096
"""Bytes of an input that is kept; what takes long because it is long is the business of test_blowups.py."""
SLOW = 5
"""Seconds after which one input counts as hanging."""


def corpus(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def changed(seeds: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Random changes of what is known, for ever: bits, bytes, numbers, pieces of others, doubled and left out."""
    odd = [
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b'"',
        b"\\",
        b"\\ud800",
        b"\\u0000",
        b"{",
        b"[",
        b"<",
        b"&",
        b"-1",
        b"1e999",
    ]
    odd += [b"9" * 25, b"\xe2\x80\xae", b"\xf0\x9f\x91\xa8\xe2\x80\x8d", b"\n", b"\r", b":", b"//", b"@", b"#", b"%00"]
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at, until = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
            match chance.randrange(6):
                case 0 if data:
                    data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
                case 1:
                    data[at:at] = chance.choice(odd)
                case 2:
                    del data[at : min(until, at + 40)]
                case 3:
                    data[at:at] = data[at:until] * chance.choice((1, 1, 1, 30))
                case 4:
                    other = chance.choice(seeds)
                    start = chance.randint(0, len(other))
                    data[at:at] = other[start : start + chance.randint(1, 60)]
                case _:
                    data[at:until] = chance.choice(odd)
        yield bytes(data[: 4 * LONGEST])


def kept(target: str, data: bytes) -> Path:
    path = CORPUS / target / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def by_chance(target: str, seconds: float) -> None:
    from tests.fuzz.targets import TARGETS

    seed = int(os.environ.get("BRIDGED_SEED") or time.time_ns())
    print(f"{target}: BRIDGED_SEED={seed}")
    end, count = time.monotonic() + seconds, 0
    for data in changed(corpus(target), random.Random(seed)):
        try:
            TARGETS[target](data)
        except Exception:
            print(f"{target}: fails, see {kept(target, data)}")
            raise
        count += 1
        if time.monotonic() > end:
            break
    print(f"{target}: {count} inputs")


def guided(target: str, seconds: float, work: Path) -> None:
    """In a process of its own: libFuzzer never comes back."""
    import atheris

    with atheris.instrument_imports(include=["adapters", "bridged"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    run = TARGETS[target]
    limits = [f"-max_total_time={seconds:.0f}", f"-max_len={LONGEST}", f"-timeout={SLOW}", "-rss_limit_mb=1500"]
    quiet = ["-print_final_stats=1", "-close_fd_mask=0", f"-artifact_prefix={work}/failed-"]
    atheris.Setup(["run", *limits, *quiet, str(work / "new"), str(CORPUS / target)], run)
    atheris.Fuzz()


def merge(target: str, work: Path) -> None:
    """Keeps the smallest set of inputs that reaches what all of them reach."""
    import atheris

    with atheris.instrument_imports(include=["adapters", "bridged"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    folders = [str(work / "merged"), str(CORPUS / target), str(work / "new")]
    atheris.Setup(["run", "-merge=1", f"-max_len={LONGEST}", f"-timeout={SLOW}", *folders], TARGETS[target])
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--keep", action="store_true", help="merge what reaches new code into the corpus")
    parser.add_argument("--inner", choices=["guided", "merge"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner == "guided":
        return guided(options.target, options.minutes * 60, options.work)
    if options.inner == "merge":
        return merge(options.target, options.work)
    failed = False
    for target in sorted(p.name for p in CORPUS.iterdir()) if options.target == "all" else [options.target]:
        failed |= _one(target, options.minutes, options.keep)
    sys.exit(failed)


def _one(target: str, minutes: float, keep: bool) -> bool:
    try:
        import atheris  # noqa: F401  # pyright: ignore
    except ImportError:
        by_chance(target, minutes * 60)
        return False
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{target}-") as folder:
        work = Path(folder)
        for name in ("new", "merged"):
            (work / name).mkdir()
        inner = [sys.executable, "-m", "tests.fuzz.run", target, "--work", folder]
        done = subprocess.run([*inner, "--minutes", str(minutes), "--inner", "guided"], check=False)
        failures = list(work.glob("failed-*"))
        for path in failures:
            print(f"{target}: fails, see {kept(target, path.read_bytes())}")
        if keep and not failures and subprocess.run([*inner, "--inner", "merge"], check=False).returncode == 0:
            for old in (CORPUS / target).iterdir():
                old.unlink()
            for path in (work / "merged").iterdir():
                kept(target, path.read_bytes())
        return bool(failures) or done.returncode != 0


if __name__ == "__main__":
    main()
