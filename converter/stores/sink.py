"""What sinks do alike that fill one target: begin it, and at the end commit or abort it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, Self, TypeVar


class Target(Protocol):
    """What is filled between ``begin`` and ``abort``, which does nothing after a commit."""

    def begin(self) -> None: ...

    def abort(self) -> None: ...


T = TypeVar("T", bound=Target)


class TargetSink(ABC, Generic[T]):
    """A sink of one target."""

    def __init__(self, target: T) -> None:
        self._target = target

    def __enter__(self) -> Self:
        self._target.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._target.abort()

    @abstractmethod
    def _commit(self) -> None:
        """Make visible what was written, all at once."""
