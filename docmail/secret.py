"""A password that nothing can show, log or save; whose it is and where it is kept is for `docmail.credentials`."""

from __future__ import annotations

import functools
import hmac
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Secret", "frames_hidden", "unseen"]

_T = TypeVar("_T")
_P = ParamSpec("_P")


class Secret:
    """A password that shows itself as `•••` in every repr, traceback and log, and cannot be pickled.

    Its methods never fail: a traceback of theirs could show the value. An interrupt can come anywhere, so what works on
    the value itself goes through `shown_to()`.

    >>> Secret("correct horse")
    •••
    """

    __slots__ = ("_made", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._made: Any = None

    def reveal(self) -> str:
        """Return the password. Use it in an expression: a local variable would stand in verbose tracebacks.

        >>> docmail.credentials.Secret("correct horse").reveal()
        'correct horse'
        """
        return self._value

    def shown_to(self, work: Callable[[str], _T]) -> _T:
        """Return what `work` makes of the password; no error or interrupt in it shows the frames that hold it.

        >>> docmail.credentials.Secret("correct horse").shown_to(len)
        13
        """
        try:
            return work(self._value)
        except BaseException as exc:
            # Verbose tracebacks print the variables of all frames; what was being handled there has frames of its own.
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None
            raise

    def octets(self) -> bytes:
        """Return the password in UTF-8.

        >>> docmail.credentials.Secret("correct horse").octets()
        b'correct horse'
        """
        return self._value.encode("utf-8", "surrogatepass")

    def forms(self, make: Callable[[Secret], _T]) -> _T:
        """Return what `make`, always the same, makes of the password; only the first time does it make it.

        >>> docmail.credentials.Secret("correct horse").forms(lambda secret: len(secret.octets()))
        13
        """
        if self._made is None:
            self._made = make(self)
        return cast("_T", self._made)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.octets(), other.octets())

    __hash__ = None  # type: ignore[assignment]  # a secret is no key

    def __repr__(self) -> str:
        return "•••"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password cannot be pickled or copied out of this process")  # noqa: EM101, TRY003


class _FramesHidden(AbstractContextManager[None]):
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            error.__context__ = None  # which "from None" would leave for whoever looks
            raise error.with_traceback(None) from None


frames_hidden = _FramesHidden()
"""In `with frames_hidden:` an error, or an interrupt, loses the frames in which it arose, and the exceptions behind it.

They may hold a secret in clear, and verbose tracebacks print the variables of all frames.
"""


def unseen(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have an error, or an interrupt, in a function show neither its frames nor its arguments, which may be secret."""

    @functools.wraps(function)
    def hidden(*arguments: _P.args, **options: _P.kwargs) -> _T:
        try:
            with frames_hidden:
                return function(*arguments, **options)
        finally:
            arguments = options = None  # type: ignore[assignment] # a traceback would show them in this frame

    return hidden
