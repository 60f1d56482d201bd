"""Runs a template without trusting it: it sees its fields, formats them, and comes to an end.

Jinja2's sandbox decides what may be seen. What it does not decide is how much: so loops, filters and calls draw on one
budget of steps, a text never grows beyond what a mail can hold, and statements that a mail does not need (macros,
includes, recursion) do not exist.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sized
from decimal import Decimal
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.filters import FILTERS
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from docmail.text import ENGLISH, digits, grouped, is_missing, localised, plain, text_given

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2.runtime import Context

    from docmail.text import Signs

__all__ = ["BUDGET", "MAX_TEXT", "Budget", "Language", "MissingError", "TooMuchError"]

MAX_TEXT = 250_000
"""Characters: what a template may be long, and what it may become."""

BUDGET = "\x00budget"  # no template can write this name
_STEPS = 50_000
_MAX_NUMBER = 1_000  # as an argument: of the width of a column, of decimals
_MAX_BITS = 10_000

# What a template may call: methods that look at a text, a number, a date or a row, and filters.
_METHODS = {
    *(
        "capitalize",
        "casefold",
        "center",
        "count",
        "endswith",
        "find",
        "format",
        "isalpha",
        "isdigit",
        "ljust",
        "lower",
    ),
    *("lstrip", "partition", "removeprefix", "removesuffix", "replace", "rjust", "rpartition", "rstrip", "split"),
    *("splitlines", "startswith", "strip", "title", "upper", "zfill", "is_integer", "quantize", "get", "items", "keys"),
    *("values", "date", "day_name", "isoformat", "isoweekday", "month_name", "strftime", "time", "total_seconds"),
    "weekday",
}
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length"),
    *("list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select"),
    *("selectattr", "sort", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"),
)
_HANDED_ON = {"_loop_vars", "_block_vars"}  # Jinja's own arguments inside loops
_VALUES = (str, int, float, Decimal, dt.date, dt.time, dt.timedelta)


class MissingError(Exception):
    """A field that the template needs is not there: `name` (None for a value without one), among those of `row`."""

    def __init__(self, name: Any = None, row: Any = None) -> None:
        super().__init__(name)
        self.name = name
        self.row = row


class TooMuchError(Exception):
    """The template runs too long, or its text grows too large."""


class Budget:
    """The steps that one filling may take; `shown` is the value that was put into the text just now.

    `differs` says whether 0.1.0 wrote one of the values otherwise.
    """

    def __init__(self) -> None:
        self._left = _STEPS
        self.shown: Any = None
        self.differs = False

    def spend(self, *values: Any) -> None:
        """Take a step, and one more for each item of a list and for every hundred characters of a text."""
        self._left -= 1
        for value in values:
            if isinstance(value, str):
                self._left -= len(value) // 100
            elif isinstance(value, Sized) and not isinstance(value, Undefined):
                self._left -= len(value)
        if self._left < 0:
            raise TooMuchError


class _Field(StrictUndefined):
    """What a name without a value is: an error as soon as it is used."""

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:
        row = None if obj is missing else obj
        error: Any = exc or (lambda _message: MissingError(name, row))  # called like a class, to be raised
        super().__init__(hint, obj, name, error)


class Language(ImmutableSandboxedEnvironment):
    """The language of docmail's templates; `escape` is applied to each value that stands in the text.

    `signs` are those of its numbers. With `former`, values are written as 0.1.0 wrote them.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, escape: Callable[[str], str], signs: Signs = ENGLISH, *, former: bool = False) -> None:
        self._signs = signs
        self._former = former

        @pass_context
        def shown(context: Context, value: Any) -> Any:
            text = self._written(context, value)
            if isinstance(value, Markup):
                return text
            context[BUDGET].shown = value
            return escape(text)

        # Line breaks are the writer's, also the last one; `cut_blocks` takes away those of lines that hold a tag only.
        super().__init__(undefined=_Field, finalize=shown, keep_trailing_newline=True, cache_size=0)
        self.globals = {"range": _range}
        self.filters = {name: _on_budget(FILTERS[name]) for name in _FILTERS}
        own: dict[str, Callable[..., Any]] = {
            "string": self._written,
            "join": self._joined,
            "format": self._formatted,
            "\x00joined": self._joined,
        }
        self.filters |= {name: _on_budget(function) for name, function in own.items()} | {"\x00each": _each}

    def compiled(self, text: str) -> Any:
        """Return the template; raises `TemplateSyntaxError` and `SecurityError`."""
        if len(text) > MAX_TEXT:
            raise TooMuchError
        try:
            tree = _Rewriter().visit(self.parse(cut_blocks(text)))
            return self.template_class.from_code(self, self.compile(tree), dict(self.globals))
        except (SyntaxError, RecursionError, MemoryError, ValueError) as exc:
            # Python's compiler has limits of its own: a hundred brackets, twenty loops in each other.
            raise TemplateSyntaxError(getattr(exc, "msg", None) or "it is nested too deeply", 1) from exc

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an attribute; of a row its field first, so that a column may be called “items”."""
        if isinstance(obj, dict) and attribute in obj:
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item; one without a value is missing."""
        found = super().getitem(obj, argument)
        return self.undefined(obj=obj, name=argument) if found is None else found

    def is_safe_callable(self, obj: Any) -> bool:
        """Say whether it is one of the methods that only look at a value."""
        if obj is _range:
            return True
        method = getattr(obj, "__wrapped__", obj)  # the sandbox wraps str.format
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, LoopContext):
            return name in {"cycle", "changed"}
        return name in _METHODS and isinstance(owner, (*_VALUES, dict))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, if what it makes cannot be large."""
        if isinstance(obj, Undefined):
            obj()  # raises
        if not self.is_safe_callable(obj):
            called = f"{getattr(obj, '__name__', type(obj).__name__)}()"
            raise SecurityError(called)
        method = getattr(obj, "__wrapped__", obj)
        owner, name = getattr(method, "__self__", None), method.__name__
        # Inside loops Jinja hands its own variables on in the same way.
        given = (*args, *(value for key, value in kwargs.items() if key not in _HANDED_ON))
        context[BUDGET].spend(owner, *given)
        if obj is not _range:
            _check_numbers(given)
        if name in {"format", "strftime"}:
            _check_format(owner if name == "format" else "".join(map(str, args)))
            _scalars(given)
        if name == "format" and not self._former:
            number = partial(_Number, self._signs, context[BUDGET])
            args = tuple(number(value) if _is_number(value) else value for value in args)
            kwargs = {
                key: number(value) if _is_number(value) and key not in _HANDED_ON else value
                for key, value in kwargs.items()
            }
        if name == "replace" and isinstance(owner, str) and len(args) > 1:
            _replaced_size(owner, args[0], args[1])
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate, if the result cannot be large."""
        context[BUDGET].spend(left, right)
        if operator == "%" and isinstance(left, str):
            return self._formatted(context, left, *(right if isinstance(right, tuple) else (right,)))
        if operator in {"*", "**"}:
            if not all(isinstance(each, (int, float, Decimal)) for each in (left, right)):
                raise TypeError(f"{operator} needs two numbers")  # noqa: EM102, TRY003 - becomes part of a sentence
            if operator == "**" and abs(right) * max(1, int(abs(left)).bit_length()) > _MAX_BITS:
                raise TooMuchError
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, Sized) and len(result) > MAX_TEXT:
            raise TooMuchError
        if isinstance(result, int) and result.bit_length() > _MAX_BITS:
            raise TooMuchError
        return result

    @pass_context
    def _written(self, context: Context, value: Any) -> str:
        former = text_of(value, text_given)
        text = former if self._former else text_of(value, self._signed)
        context[BUDGET].differs |= text != former
        return text

    def _signed(self, value: Any) -> str:
        return _signed(value, self._signs)

    @pass_context
    def _joined(self, context: Context, values: Any, separator: str = "", attribute: Any = None) -> str:
        parts = list(values)
        if attribute is not None:
            parts = [part[attribute] for part in parts]
        texts = [self._written(context, part) for part in parts]
        if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT:
            raise TooMuchError
        return separator.join(texts)

    @pass_context
    def _formatted(self, context: Context, value: Any, *args: Any) -> str:
        text = str(value)
        _check_format(text)
        former = text % _scalars(args)
        if self._former:
            return former
        values = iter(args)
        pieces = re.split(r"(%[^a-zA-Z%]*[hlL]?[a-zA-Z%])", text)
        for place, piece in enumerate(pieces):
            if place % 2:
                pieces[place] = "%" if piece.endswith("%") else self._converted(piece, next(values))
        context[BUDGET].differs |= "".join(pieces) != former
        return "".join(pieces)

    def _converted(self, conversion: str, value: Any) -> str:
        """Return a value in one place of a text with “%”."""
        if not _is_number(value):
            return conversion % (value,)
        if conversion.endswith("s"):
            return conversion % (self._signed(plain(value)),)
        return localised(conversion % (value,), self._signs)


class _Number:
    """A number that `str.format` writes as docmail does, with the signs of a language."""

    def __init__(self, signs: Signs, budget: Budget, value: Any) -> None:
        self._signs = signs
        self._budget = budget
        self._value = value

    def __format__(self, form: str) -> str:
        former = format(self._value, form)
        text = localised(former, self._signs) if form else _signed(plain(self._value), self._signs)
        self._budget.differs |= text != former
        return text

    def __str__(self) -> str:
        return format(self, "")

    __repr__ = __str__


class _Rewriter(NodeTransformer):
    """Leaves the few statements that a mail needs, and lets loops and “~” draw on the budget."""

    _STATEMENTS = (nodes.Output, nodes.For, nodes.If, nodes.Assign)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, nodes.Stmt) and not isinstance(node, self._STATEMENTS):
            raise SecurityError(type(node).__name__.lower())
        return super().generic_visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the library's name
        node.iter = nodes.Filter(node.iter, "\x00each", [], [], None, None, lineno=node.lineno)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as above
        parts = nodes.List([self.visit(part) for part in node.nodes], lineno=node.lineno)
        return nodes.Filter(parts, "\x00joined", [], [], None, None, lineno=node.lineno)


def cut_blocks(text: str) -> str:
    """Return a template in which a line that holds only a tag leaves no line in the text.

    Jinja's own `trim_blocks` would also join the lines around “{% endif %}” at the end of a sentence. The line end
    moves into a comment, so that errors still name the right line.
    """
    return re.sub(r"^[ \t]*(\{%(?:(?!%\}).)*%\})[ \t]*(\r\n|\n|\r)", r"\1{#\2#}", text, flags=re.MULTILINE)


def _on_budget(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that draws on the budget, and never hands an endless thing on."""
    kind = getattr(function, "jinja_pass_arg", None)
    first: dict[str, Callable[[Context], Any]] = {
        "context": lambda context: context,
        "eval_context": lambda context: context.eval_ctx,
        "environment": lambda context: context.environment,
    }

    @pass_context
    @wraps(function, assigned=("__name__", "__doc__"), updated=())
    def filtered(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        context[BUDGET].spend(value, *args, *kwargs.values())
        _check_numbers((*args, *kwargs.values()))
        if function.__name__ == "do_replace" and args[1:]:
            _replaced_size(str(value), args[0], args[1])
        result = function(*([first[kind.name](context)] if kind else []), value, *args, **kwargs)
        if isinstance(result, Iterable) and not isinstance(result, (Sized, Undefined)):
            result = list(result)
            context[BUDGET].spend(result)
        return result

    return filtered


@pass_context
def _each(context: Context, values: Any) -> list[Any]:
    """Return what a loop goes through, once it is paid for."""
    items = list(values)
    context[BUDGET].spend(items)
    return items


def _range(*arguments: int) -> range:
    found = range(*arguments)
    if len(found) > _STEPS:
        raise TooMuchError
    return found


_range.__name__ = "range"


def text_of(value: Any, written: Callable[[Any], str] | None = None) -> str:
    """Return a value as it stands in a text; a list or a row cannot."""
    if isinstance(value, Undefined):
        str(value)  # raises
    if is_missing(value):
        raise MissingError
    if not isinstance(value, _VALUES):
        kind = "a function" if callable(value) else f"a {type(value).__name__}"
        raise TypeError(f"{kind} cannot stand in a text")  # noqa: EM102, TRY003 - becomes part of a sentence
    return (written or _signed)(plain(value))


def _signed(value: Any, signs: Signs = ENGLISH) -> str:
    if _is_number(value):
        text = digits(value)
        return localised(text if isinstance(value, int) or signs == ENGLISH else grouped(text), signs)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()  # a data set has no other way to say "this day"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _scalars(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values that a format may take; a list in it could be shown many times larger than it is."""
    for value in values:
        text_of(value)
    return tuple(values)


def _check_format(text: Any) -> None:
    """Refuse widths that only fill memory: of four digits, or taken from another value."""
    if re.search(r"\{[^{}]*(?:\d{4}|\{)|%[^a-zA-Z%]*(?:\d{4}|\*)", str(text)):
        raise TooMuchError


def _check_numbers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > _MAX_NUMBER:
            raise TooMuchError


def _replaced_size(text: str, old: Any, new: Any) -> None:
    times = text.count(str(old)) if isinstance(old, str) else 0
    if len(text) + times * len(str(new)) > MAX_TEXT:
        raise TooMuchError
