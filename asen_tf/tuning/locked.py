"""KerasTuner's lock around an oracle, let go also by a method that raises."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras_tuner


def locked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time into a method of an oracle, like `keras_tuner.synchronized`.

    That one keeps the lock when the method raises, a full disk say, and every other thread then
    waits for ever: the chief's watch over its workers, and the end of the chief itself.
    """

    @keras_tuner.synchronized
    def inside(*arguments: Any, **options: Any) -> tuple[Any, BaseException | None]:
        try:
            return method(*arguments, **options), None
        except BaseException as error:  # raised again below, without the lock
            return None, error

    @functools.wraps(method)
    def outside(*arguments: Any, **options: Any) -> Any:
        result, error = inside(*arguments, **options)
        if error is not None:
            raise error
        return result

    return outside
