"""The world's clock and its processes: an event loop in virtual time, and workers that can be killed and
stopped.

Promises: nothing waits in real time; the same seed gives the same run; a killed or frozen worker runs not
one callback more, no `except`, no `finally`, no timer, as after SIGKILL or during SIGSTOP. Refuses threads,
sockets and signals: they do not exist here. A run that nothing can wake any more raises `Deadlock` instead
of hanging.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import logging
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock

from aiokafka.producer import message_accumulator

T = TypeVar("T")

EPOCH_MS = 1_795_305_600_000
"""Virtual time 0 as milliseconds since 1970: 2026-11-22T00:00:00Z."""

CLEAN_UP_ROUNDS = 20
TURNS_PER_INSTANT_MAX = 200_000

WORKER: ContextVar[Worker | None] = ContextVar("worker")
"""The worker that a callback belongs to; tasks and timers inherit it from whoever creates them."""


class Deadlock(RuntimeError):
    """Everything waits and no timer is set: no event can ever happen again."""


class Livelock(RuntimeError):
    """Callbacks keep running while the clock stands still."""


class OutOfTime(RuntimeError):
    """The run passed its limit of virtual time."""


class Worker:
    """A process: what happens in its context stops when it is frozen, and for ever when it is killed."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.dead = False
        self.halted = False
        self.died: asyncio.Future[None] = loop.create_future()
        self.held: list[asyncio.Handle] = []
        self._loop = loop
        self._thawed: asyncio.Future[None] | None = None
        self._thaw: asyncio.TimerHandle | None = None
        loop.workers.append(self)

    def kill(self) -> None:
        """SIGKILL. What it had already sent may still reach the broker."""
        if self.dead:
            return
        self.dead = self.halted = True
        if self._thaw is not None:
            self._thaw.cancel()
        self.died.set_result(None)

    def freeze(self, for_ms: float) -> None:
        """SIGSTOP, and SIGCONT `for_ms` later; a second freeze replaces the time of the first."""
        if self.dead:
            return
        if self._thaw is not None:
            self._thaw.cancel()
        self.halted = True
        self._thaw = self._loop.later(for_ms / 1000, self._continue)

    def _continue(self) -> None:
        self.halted, self._thaw = False, None
        if self._thawed is not None:
            self._thawed.set_result(None)
            self._thawed = None
        self.release()

    def release(self) -> None:
        """Hand what was held back to the loop, in order."""
        self._loop.requeue(self.held)
        self.held = []

    async def checkpoint(self) -> None:
        """Return when the worker runs; never, if it is dead. For calls that may come from outside its
        context.
        """
        while self.halted:
            if self._thawed is None:
                self._thawed = self._loop.create_future()
            await asyncio.shield(self._thawed)

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this worker; all that it creates belongs to the worker as well."""
        context = copy_context()
        context.run(WORKER.set, self)
        return self._loop.create_task(coro, context=context)


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready."""

    def __init__(self, seed: int = 0, limit_s: float = 3600.0) -> None:
        super().__init__()
        self.seed = seed
        self.workers: list[Worker] = []
        self._errors: list[str] = []
        self.at_close: list[Callable[[], None]] = []
        self.nobody = Context()
        """The context of what no worker does: the broker and the network."""
        self._now = 0.0
        self._limit = limit_s
        self._turns = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._prune_at = 256
        self.set_exception_handler(_remember)

    def time(self) -> float:
        return self._now

    def now_ms(self) -> int:
        """Virtual time as milliseconds since 1970, for the product's `clock`."""
        return EPOCH_MS + int(self._now * 1000)

    def rng(self, purpose: str) -> random.Random:
        """A generator of its own for each purpose, so that one's draws do not shift another's."""
        return random.Random(f"{self.seed}/{purpose}")

    def later(self, delay_s: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """`call_later` outside of every worker: it happens whoever is killed or frozen."""
        return self.call_later(delay_s, callback, *args, context=self.nobody)

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        """Tasks are held until they are done: collected, a killed worker's would run their clean-up in
        mid-run.
        """
        task = super().create_task(coro, **options)
        self._tasks.append(task)
        if len(self._tasks) >= self._prune_at:
            self._tasks = [task for task in self._tasks if not task.done() or task._log_traceback]  # type: ignore[attr-defined]
            self._prune_at = 2 * len(self._tasks) + 256
        return task

    def unhandled(self) -> list[str]:
        """Errors of tasks and callbacks that nobody has looked at, aiokafka's own left out: a product's
        bugs.
        """
        crashed = [task for task in self._tasks if task.done() and task._log_traceback]  # type: ignore[attr-defined]
        errors = {task.get_coro().__qualname__: task._exception for task in crashed}  # type: ignore[attr-defined,union-attr]
        return self._errors + [f"{name}: {error!r}" for name, error in errors.items() if not _is_of_aiokafka(error)]

    def pending(self) -> list[asyncio.Task[Any]]:
        """Tasks that are not done, in the order of their creation."""
        return [task for task in self._tasks if not task.done()]

    def requeue(self, handles: list[asyncio.Handle]) -> None:
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def run_in_executor(self, *_: object) -> Any:
        raise RuntimeError("a thread in virtual time: nothing would be repeatable")

    def _run_once(self) -> None:
        """One turn: due timers, then what is ready. BaseEventLoop's own, without I/O and aware of workers."""
        ready, timers = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._advance(timers)
        while timers and timers[0]._when <= self._now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            worker = handle._context.get(WORKER)
            if worker is not None and worker.halted:
                worker.held.append(handle)
            else:
                handle._run()

    def _advance(self, timers: list[Any]) -> None:
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not timers:
            raise Deadlock(f"at {self._now:.3f} s nothing is scheduled, and these wait: {_waiting(self)}")
        if timers[0]._when > self._limit:
            raise OutOfTime(f"the next event is at {timers[0]._when:.3f} s, the limit is {self._limit:.3f} s")
        if timers[0]._when > self._now:
            self._now, self._turns = timers[0]._when, 0
        self._turns += 1
        if self._turns > TURNS_PER_INSTANT_MAX:
            raise Livelock(f"{self._turns} turns at {self._now:.3f} s; running: {_waiting(self)}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""


def run(main: Coroutine[Any, Any, T], seed: int = 0, *, limit_s: float = 3600.0) -> T:
    """Run `main` in a fresh world of virtual time, then end everything in it without a warning.

    Whatever tasks are left, also those of killed workers, are cancelled after the brokers have closed, so
    no clean-up code has an effect on what was observed. `time.monotonic` of the producer's accumulator is
    the virtual one. Cyclic garbage is collected after the run: a finalizer in mid-run would not come at the
    same point twice.
    """
    loop = VirtualLoop(seed, limit_s)
    log = logging.getLogger("aiokafka")
    level, clock = log.level, SimpleNamespace(monotonic=loop.time)
    log.setLevel(logging.CRITICAL + 1)
    collects = gc.isenabled()
    gc.disable()
    try:
        with mock.patch.object(message_accumulator, "time", clock):
            try:
                return loop.run_until_complete(loop.create_task(main))
            finally:
                _end(loop)
    finally:
        log.setLevel(level)
        loop.close()
        if collects:
            gc.enable()


def current_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), f"needs simulation.run(), runs in {loop!r}"
    return loop


def _end(loop: VirtualLoop) -> None:
    for close in loop.at_close:
        close()
    for worker in loop.workers:
        worker.halted = False
        worker.release()
    loop._limit = float("inf")
    for _ in range(CLEAN_UP_ROUNDS):
        tasks = loop.pending()
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=0.001))
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def _remember(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error is not None and "callback" in context["message"] and not _is_of_aiokafka(error):
        loop._errors.append(f"{context['message']}: {error!r}")  # type: ignore[attr-defined]


def _is_of_aiokafka(error: BaseException) -> bool:
    """One of its exception classes, or raised in its code."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    raised_in = frame.tb_frame.f_globals.get("__name__", "") if frame is not None else ""
    return f"{type(error).__module__} {raised_in}".count("aiokafka") > 0


def _waiting(loop: VirtualLoop) -> str:
    return ", ".join(task.get_coro().__qualname__ for task in loop.pending())  # type: ignore[union-attr]
