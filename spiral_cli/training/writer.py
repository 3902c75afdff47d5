"""Writing while training goes on: one job at a time, in one thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Writer:
    """Does one job in the background. Nothing is written any more once its ``with`` block is left.

    What a job raises is raised by the next `wait`, `begin`, or the end of the block, in the thread
    that calls; where the block raises itself, its error goes on and the job's is not told.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "spiral-writer")
        self._job: Future[None] | None = None

    def begin(self, job: Callable[[], None]) -> None:
        """Start ``job`` once the one before has ended, and return at once.

        Raises:
            Exception: whatever the job before raised; ``job`` is not begun then.
        """
        self.wait()
        self._job = self._thread.submit(job)

    def wait(self) -> None:
        """Return once nothing is being written.

        Raises:
            Exception: whatever the job raised, once.
        """
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if error is None:
            self.wait()
