"""Drives workers by Procrastinate, on any number of machines that share one PostgreSQL.

The receiver's wake-ups reach whichever worker is free; the sweep, reconciliation and tidying up run once for all of
them; what fails is tried again, and who has died is noticed by the heartbeat. None of its guarantees carries anything:
a job is only a reason to look, and the inbox's leases hold if two look at once. Mind three things. A job that waits
with the same queueing lock keeps a dead worker's job from being retried: that one is then let go. The sweep takes no
lock, or a worker that died in it would end all sweeps. Whoever cannot say how a job ended begins anew under another
name, so that the job counts as a dead worker's. https://procrastinate.readthedocs.io/en/stable/
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
import structlog
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from connector.driving.driver import Duties, Turn
from connector.driving.queue import DEAD_AFTER_S, DRAIN, QUEUE, RECONCILE, JobQueue
from connector.errors import DatabaseUnavailable
from connector.store.postgres import session_arguments

SWEPT_EVERY_S = 1
_HEARTBEAT_S = 1.0
_CLAIMS_OF_A_JOB = 4
"""Then it goes to the end of the queue, behind the other portals' jobs."""
_JOBS, _THREADS = 64, 16
"""How many jobs one worker holds, most of which wait for more to gather, and how many of them work at a time."""
_AGAIN = RetryStrategy(exponential_wait=2, max_attempts=5)
_LEAVE_S, _ANEW_S, _ROUND_S = 1.0, 1.0, 0.5
_TELL_OF_NEXT = """
    SELECT pg_notify(
      'procrastinate_queue_v1#' || queue_name, json_build_object('type', 'job_inserted', 'job_id', id)::text)
    FROM procrastinate_jobs
    WHERE lock = %(lock)s AND status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
    LIMIT 1
"""
_FIRST = 10
_log = structlog.get_logger()
T = TypeVar("T")


class ProcrastinateDriver:
    """Is driven by jobs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._queue = JobQueue(engine)
        self._session = {**engine.dialect.create_connect_args(engine.url)[1], **session_arguments()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = asyncio.Event()
        for noisy in ("procrastinate", "psycopg.pool"):  # what matters of it is told by our own events
            logging.getLogger(noisy).setLevel(logging.CRITICAL)

    def run(self, duties: Duties) -> None:
        """Drive until the worker is to stop; anew whenever the database has gone away."""
        while not duties.stopping.is_set():
            try:
                asyncio.run(self._serve(duties))
            except (ConnectorException, psycopg.Error) as error:
                duties.absence.notice(DatabaseUnavailable(f"database: {error.__cause__ or error}"))
            self._loop = None
            if not duties.stopping.wait(_ANEW_S):
                duties.go_round()
                _log.warning("driver.began_anew")

    def stop(self) -> None:
        """Leave soon."""
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(self._leaving.set)

    async def _serve(self, duties: Duties) -> None:
        """Work as one of Procrastinate's workers until told to leave, or until that cannot go on."""
        self._loop, self._leaving = asyncio.get_running_loop(), asyncio.Event()
        connector = PsycopgConnector(min_size=1, max_size=4, kwargs=self._session, configure=_without_fsync)
        app = App(connector=connector)
        app.job_manager = Jobs(connector, duties, cannot_go_on=self._leaving.set)
        _Tasks(duties, self._queue, app, self._leaving).register()
        if duties.stopping.is_set():  # before there was a loop to be told
            return
        working, leaving = asyncio.create_task(_work(app)), asyncio.create_task(self._leaving.wait())
        going = asyncio.create_task(_go_round(duties))
        await asyncio.wait({working, leaving, going}, return_when=asyncio.FIRST_COMPLETED)
        for task in (going, leaving, working):
            task.cancel()
        for task in (working, going):
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _go_round(duties: Duties) -> None:
    while True:
        await in_thread(duties.go_round)
        await asyncio.sleep(_ROUND_S)


async def _work(app: App) -> None:
    """Work until cancelled, or until one of Procrastinate's own tasks fails."""
    async with app.open_async():
        await app.run_worker_async(
            queues=[QUEUE], concurrency=_JOBS, delete_jobs="always", install_signal_handlers=False,
            update_heartbeat_interval=_HEARTBEAT_S, stalled_worker_timeout=DEAD_AFTER_S,
            shutdown_graceful_timeout=_LEAVE_S,
        )  # fmt: skip


async def _without_fsync(connection: psycopg.AsyncConnection[Any]) -> None:
    """Let what Procrastinate writes be lost at a crash of the server: the sweep finds the work all the same."""
    await connection.execute("SET synchronous_commit = off")
    await connection.commit()


class Jobs(JobManager):
    """Procrastinate's jobs, with what it leaves to its users: see the head of this module."""

    def __init__(self, connector: PsycopgConnector, duties: Duties, *, cannot_go_on: Callable[[], None]) -> None:
        super().__init__(connector)
        self._duties = duties
        self._cannot_go_on = cannot_go_on

    async def retry_job(
        self, job: Job, retry_at: datetime | None = None, priority: int | None = None, queue: str | None = None,
        lock: str | None = None,
    ) -> None:  # fmt: skip
        """Let a job wait again, or let it go when the like waits already."""
        try:
            await self._settle(super().retry_job(job, retry_at, priority, queue, lock), job)
        except UniqueViolation:
            await self.finish_job(job, Status.FAILED, delete_job=True)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Say how a job ended."""
        await self._settle(super().finish_job(job, status, delete_job), job)

    async def update_heartbeat(self, worker_id: int) -> None:
        """Show that this worker lives, and note that the database does."""
        await super().update_heartbeat(worker_id)
        self._duties.be_answered()

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Forget workers that have fallen silent, once each among all that look, and tell of them."""
        died = await super().prune_stalled_workers(seconds_since_heartbeat)
        if died:
            self._duties.tell_died(died, silent_for_s=seconds_since_heartbeat)
        return died

    async def _settle(self, settling: Awaitable[None], job: Job) -> None:
        """Settle a job, and have workers look for the one that waited for its lock: they were told of it too early."""
        try:
            await settling
            await self.connector.execute_query_async(_TELL_OF_NEXT, lock=job.lock)
        except UniqueViolation:
            raise
        except ConnectorException as error:
            if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                self._cannot_go_on()
            # Else somebody took the job from a worker that seemed dead, and has ended it.
            _log.warning("job.not_settled", error=str(error.__cause__))


class _Tasks:
    """What jobs do, for one worker."""

    def __init__(self, duties: Duties, queue: JobQueue, app: App, leaving: asyncio.Event) -> None:
        self._duties = duties
        self._queue = queue
        self._app = app
        self._leaving = leaving
        self._threads = asyncio.Semaphore(_THREADS)

    def register(self) -> None:
        """Tell Procrastinate which tasks there are, and when; in its crontab seconds stand last."""
        task, periodic = self._app.task, self._app.periodic
        task(name=DRAIN, queue=QUEUE, retry=_AGAIN)(self._drain)
        task(name=RECONCILE, queue=QUEUE)(self._reconcile)
        for name, cron, do in (
            ("stagekeeper.sweep", f"* * * * * */{SWEPT_EVERY_S}", self._sweep),
            ("stagekeeper.tidy", "* * * * *", self._tidy),
        ):
            periodic(cron=cron)(task(name=name, queue=QUEUE, queueing_lock=name, priority=_FIRST)(do))

    async def _drain(self, portal: int, lane: int) -> None:
        """Work off some claims of a portal; the first lane waits for what is due in a moment."""
        with self._telling():
            for _ in range(_CLAIMS_OF_A_JOB):
                async with self._threads:
                    turn = await in_thread(self._work_turn, portal, lane)
                if turn.again_in_ms is None or (lane and not turn.is_more):
                    return
                if await self._pause(turn.again_in_ms):
                    break
            await in_thread(self._queue.wake, portal, lane)

    def _work_turn(self, portal: int, lane: int) -> Turn:
        """Work off one claim; where there is more, another worker may take the next one meanwhile."""

        def open_lane() -> None:
            if lane + 1 < self._duties.lanes:
                with contextlib.suppress(DatabaseUnavailable):  # this claim finds out by itself
                    self._queue.wake(portal, lane + 1)

        return self._duties.work_turn(portal, at_more=open_lane)

    async def _pause(self, milliseconds: int) -> bool:
        """Wait; tell whether it is time to leave."""
        if milliseconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), milliseconds / 1_000)
        return self._leaving.is_set()

    async def _sweep(self, timestamp: int) -> None:  # noqa: ARG002 - the moment for which it was put there
        """Find the work of which no message tells: dead workers', timers', and that whose wake-up was lost."""
        with self._telling():
            jobs = self._app.job_manager
            for job in await jobs.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=DEAD_AFTER_S):
                _log.warning("job.taken_back", job=job.task_name, **job.task_kwargs)
                await jobs.retry_job(job)
            await jobs.prune_stalled_workers(DEAD_AFTER_S)
            for portal in await in_thread(self._duties.look_around):
                await in_thread(self._queue.wake, portal)
            for portal in await in_thread(self._duties.due_to_reconcile):
                await in_thread(self._queue.reconcile, portal)

    async def _reconcile(self, portal: int) -> None:
        with self._telling():
            await in_thread(self._duties.reconcile, portal)

    async def _tidy(self, timestamp: int) -> None:  # noqa: ARG002
        with self._telling():
            while await in_thread(self._duties.tidy) and not self._leaving.is_set():
                pass

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell what went wrong; Procrastinate does with the job what it does with one that failed."""
        try:
            yield
        except DatabaseUnavailable as error:
            self._duties.absence.notice(error)
            raise
        except Exception:
            _log.exception("job.failed")
            raise


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Have a thread do something; one that hangs in a call keeps no process from ending, as one of a pool would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]  # without an error there is a result
        else:
            done.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = work(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=getattr(work, "__name__", "job"), daemon=True).start()
    return await done
