"""Hooks with which tests replace calls of fakes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentrun.domain.errors import StoreUnavailableError

FOR_EVER = 10**9


@dataclass
class Hook:
    """Replaces a method for its first `times` calls; `hits` counts them."""

    call: Callable[..., Any]
    act: Callable[..., Any]
    times: int
    when: Callable[..., bool]
    hits: int = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.hits == self.times or not self.when(*args, **kwargs):
            return self.call(*args, **kwargs)
        self.hits += 1
        return self.act(self.call, *args, **kwargs)


def _always(*_: Any, **__: Any) -> bool:
    return True


class Hookable:
    """A fake whose methods tests can watch, or make fail; the latest hook is the outermost."""

    def around(
        self,
        name: str,
        act: Callable[..., Any],
        *,
        times: int = FOR_EVER,
        when: Callable[..., bool] = _always,
    ) -> Hook:
        """
        Call something in place of a method.

        Args:
            name: The method.
            act: Takes the method and its arguments; returns the answer.
            times: For how many calls.
            when: Takes the arguments; tells whether to replace this call.
        """
        hook = self.__dict__[name] = Hook(getattr(self, name), act, times, when)
        return hook

    def before(self, name: str, act: Callable[..., object], *, times: int = FOR_EVER) -> Hook:
        """Call something with the arguments before a method is called."""

        def first(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            act(*args, **kwargs)
            return call(*args, **kwargs)

        return self.around(name, first, times=times)

    def after(self, name: str, act: Callable[..., object], *, times: int = FOR_EVER) -> Hook:
        """
        Call something once a method has done its work; if it raises, the reply is lost.

        A call that the method refuses is not counted.
        """

        def then(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            try:
                answer = call(*args, **kwargs)
            except Exception:
                hook.hits -= 1
                raise
            act(*args, **kwargs)
            return answer

        hook = self.around(name, then, times=times)
        return hook

    def fails(
        self,
        *names: str,
        error: Exception | None = None,
        times: int = FOR_EVER,
        when: Callable[..., bool] = _always,
    ) -> Hook:
        """Raise in place of methods, by default as if the store were not available."""

        def fail(*_: Any, **__: Any) -> None:
            raise error or StoreUnavailableError("away")

        return [self.around(name, fail, times=times, when=when) for name in names][-1]

    def works(self) -> None:
        """Remove every hook."""
        for name in [name for name, hook in vars(self).items() if isinstance(hook, Hook)]:
            del self.__dict__[name]
