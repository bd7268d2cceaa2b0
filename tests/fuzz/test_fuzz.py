"""Every way in takes any bytes: what fuzzing found is replayed, and a few random changes of it are tried each time."""

import os
import random
import time
from collections import Counter

import pytest

from tests.fuzz.run import CORPUS, LONGEST, changed, corpus
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("BRIDGED_FUZZ_SECONDS", "0.5"))


def test_every_target_has_a_corpus_and_every_corpus_a_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_are_taken_or_refused(target: str):
    ends = Counter(TARGETS[target](data) for data in corpus(target))
    assert ends["taken"], "nothing here gets through"
    assert len(ends) > 1 or target == "markdown", f"nothing here is refused: {ends}"


@pytest.mark.parametrize("target", TARGETS)
def test_random_changes_of_them_are_taken_or_refused(target: str):
    seed = int(os.environ.get("BRIDGED_SEED") or time.time_ns())
    print(f"BRIDGED_SEED={seed}")
    end = time.process_time() + SECONDS
    for data in changed(corpus(target), random.Random(seed)):
        try:
            TARGETS[target](data)
        except Exception as fault:
            pytest.fail(f"BRIDGED_SEED={seed}: {target} of {data[:LONGEST]!r}: {type(fault).__name__}: {fault}")
        if time.process_time() > end:
            break


def test_a_fault_of_a_target_is_a_failure_here(monkeypatch: pytest.MonkeyPatch):
    """Random changes do reach what only a changed input can reach."""

    def fragile(data: bytes) -> str:
        assert b"\xed\xa0\x80" not in data
        return "taken"

    monkeypatch.setitem(TARGETS, "names", fragile)
    with pytest.raises(pytest.fail.Exception, match="BRIDGED_SEED"):
        test_random_changes_of_them_are_taken_or_refused("names")
