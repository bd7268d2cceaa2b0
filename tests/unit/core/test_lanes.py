import asyncio

from bridged.lanes import Lanes


async def test_jobs_of_one_key_run_in_order_and_one_at_a_time() -> None:
    lanes, log = Lanes(10), list[str]()

    async def job(name: str) -> None:
        log.append(f"{name} begins")
        await asyncio.sleep(0)
        log.append(f"{name} ends")

    for name in "abc":
        lanes.add("key", lambda n=name: job(n))
    await lanes.drain()
    assert log == [f"{n} {what}" for n in "abc" for what in ("begins", "ends")]
    assert len(lanes) == 0


async def test_jobs_of_other_keys_do_not_wait() -> None:
    lanes, gate, done = Lanes(10), asyncio.Event(), asyncio.Event()

    async def stuck() -> None:
        await gate.wait()

    async def free() -> None:
        done.set()

    lanes.add("a", stuck)
    lanes.add("b", free)
    async with asyncio.timeout(60):
        await done.wait()
    gate.set()
    await lanes.drain()


async def test_no_more_run_at_once_than_the_limit() -> None:
    lanes, running, most = Lanes(3), 0, 0

    async def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    for number in range(20):
        lanes.add(number, job)
    await lanes.drain()
    assert most == 3


async def test_failed_job_is_reported_and_the_next_runs() -> None:
    lanes, ran, reports = Lanes(2), list[str](), list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    async def bad() -> None:
        raise ValueError("no")

    async def good() -> None:
        ran.append("good")

    lanes.add("key", bad)
    lanes.add("key", good)
    await lanes.drain()
    await asyncio.sleep(0)
    assert ran == ["good"]
    assert [type(r["exception"]) for r in reports] == [ValueError]


async def test_stop_cancels_what_is_left() -> None:
    lanes, ran = Lanes(1), list[str]()

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def never() -> None:
        ran.append("never")

    lanes.add("a", stuck)
    lanes.add("a", never)
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await lanes.stop()
    assert ran == []
