"""Fills a template with the fields of a row, or says in a sentence why that cannot be done.

A template is Jinja2: `Dear {{ name }}`, `{{ row['E-mail'] }}` for a name that is no word, `{{ due.strftime("%d %B") }}`
for a date, `{% for line in lines %}`. A field that is missing is an error, never an empty place in a mail.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import lru_cache, partial, wraps
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, meta, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.filters import FILTERS
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter, safe_range
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from docmail.errors import MessageError
from docmail.language import _
from docmail.text import (
    ENGLISH,
    Given,
    TooManyError,
    digits,
    escape,
    grouped,
    is_missing,
    localised,
    margin_of,
    plain,
    signs_of,
    text_given,
    value_given,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2.runtime import Context

    from docmail.text import Signs

__all__ = ["check", "fields_of", "fill", "text_of"]

# The limits are for mistakes, such as a loop over all rows inside another one, and not against malice: who writes a
# template can write Python in the next cell.
_MAX_TEXT = 250_000  # characters: what a template may be long, and what it may become
_STEPS = 50_000
_MAX_WIDTH = 1_000  # of a text that is filled up with blanks
_MAX_BITS = 10_000  # of an integer; turning one of a million digits into text takes minutes
_MAX_EXPONENT = 3_000  # of a decimal, which becomes such an integer

_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length"),
    *("list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "safe", "select"),
    *("selectattr", "sort", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"),
)
_CONVERSION = re.compile(r"%[^a-zA-Z%]*[hlL]?[a-zA-Z%]")  # in a text with “%”
_VALUES = (str, int, float, Decimal, dt.date, dt.time, dt.timedelta)
_MANY = 12  # names in a hint
_MAY_BE_EMPTY = {"cc", "bcc", "reply_to", "in_reply_to", "send_at"}


class _MissingError(Exception):
    """A field that the template needs is not there: `name` (None for a value without one), among those of `row`."""

    def __init__(self, name: Any = None, row: Any = None) -> None:
        super().__init__(name)
        self.name = name
        self.row = row


class _TooMuchError(Exception):
    """The template runs too long, or its text grows too large."""


# --- what others call -------------------------------------------------------------------------------------------------


def fill(
    text: str, fields: Mapping[str, Any], *, field: str = "body", markdown: bool = False, locale: str | None = None
) -> str:
    """Return a template's text with these fields in it.

    The fields are those of a row: numbers, texts, dates, lists of rows; NaN, NaT, NA and None are missing, and 12.0
    is 12. `row` is the whole row, for names such as `{{ row['E-mail'] }}`. With `markdown`, a value is shown as it
    is, whatever signs it holds (`{{ value | safe }}` lets its Markdown work). `locale` ("de", "en-ZA") sets the signs
    in numbers. The text knows which values are in it (`Given`). Raises `MessageError`, with the name of the message's
    `field`, for a template that cannot be understood, that misses a field, or that does not end.
    """
    signs_of(locale)  # raises in a sentence of its own
    known = dict(fields)
    with _explained(field, known):
        used = _compiled(text, markdown=markdown, locale=locale)[0]
        values = _values(known, used)
        filled, given, exact, differs = _filled(text, values, markdown=markdown, locale=locale)
        trimmed = {name: value.source for name, value in values.items() if isinstance(value, Given)}
        if differs or trimmed:
            # What 0.1.0 made of it is what a key compares; a filter may have hidden the values.
            _text, given, exact, _differs = _filled(text, values | trimmed, markdown=markdown, former=True)
    return Given(filled, given, exact) if markdown or filled != given else filled


def check(text: str, *, field: str = "body") -> None:
    """Raise `MessageError` for a template that cannot be understood, whatever the fields."""
    with _explained(field):
        _compiled(text, markdown=field == "body")


def fields_of(text: str) -> frozenset[str]:
    """Return the names of the fields that a template uses, also as `row['E-mail']`."""
    with _explained("body"):
        return _compiled(text, markdown=False)[0] - {"row"}


def text_of(value: Any, written: Callable[[Any], str] | None = None) -> str:
    """Return a value as it stands in a text; raises `TypeError` for a list or a row."""
    if isinstance(value, Undefined):
        str(value)  # raises
    if is_missing(value):
        raise _MissingError
    if not isinstance(value, _VALUES):
        kind = "a function" if callable(value) else f"a {type(value).__name__}"
        raise TypeError(f"{kind} cannot stand in a text")  # noqa: EM102, TRY003 - becomes part of a sentence
    return (written or _signed)(plain(value))


# --- filling ----------------------------------------------------------------------------------------------------------


class _Filling:
    """One filling: the steps that are left, the value that was shown last, and whether 0.1.0 wrote one otherwise."""

    def __init__(self) -> None:
        self.steps = _STEPS
        self.shown: Any = None
        self.differs = False


_filling: ContextVar[_Filling] = ContextVar("docmail_filling")


def _spend(*values: Any) -> None:
    """Take a step, and one more for each item of a list and for every hundred characters of a text."""
    filling = _filling.get()
    filling.steps -= 1
    for value in values:
        if isinstance(value, str):
            filling.steps -= len(value) // 100
        elif isinstance(value, Sized) and not isinstance(value, Undefined):
            filling.steps -= len(value)
        elif isinstance(value, int):
            if value.bit_length() > _MAX_BITS:
                raise _TooMuchError
        elif isinstance(value, Decimal) and value.is_finite() and value.adjusted() > _MAX_EXPONENT:
            raise _TooMuchError
    if filling.steps < 0:
        raise _TooMuchError


def _filled(
    text: str, values: dict[Any, Any], *, markdown: bool, locale: str | None = None, former: bool = False
) -> tuple[str, str, bool, bool]:
    """Return a filled template, its text as it was given, whether that is exact, and whether 0.1.0 wrote another."""
    margin = margin_of(text) if markdown else ""
    template = _compiled(text, markdown=markdown, locale=locale, former=former)[1]
    pieces: list[str] = []
    given: list[str] = []
    length, exact, filling = 0, True, _Filling()
    token = _filling.set(filling)
    try:
        for piece in template.generate({**values, "row": values}):
            pieces.append(piece)
            given.append(piece)
            if markdown and filling.shown is not None:
                # The lines of a value stand below each other where those of an indented template do.
                pieces[-1] = piece.replace("\n", f"\n{margin}")
                given[-1], surely = value_given(filling.shown)
                exact, filling.shown = exact and surely, None
            length += len(piece)
            if length > _MAX_TEXT:
                raise _TooMuchError
    finally:
        _filling.reset(token)
    return "".join(pieces), "".join(given), exact, filling.differs


@lru_cache(256)
def _language(*, markdown: bool, locale: str | None = None, former: bool = False) -> _Language:
    return _Language(escape if markdown else str, signs_of(locale), former=former)


@lru_cache(256)
def _compiled(
    text: str, *, markdown: bool, locale: str | None = None, former: bool = False
) -> tuple[frozenset[str], Any]:
    """Return the names in a template (with "row" if it is used in a way that names no field) and its program."""
    language = _language(markdown=markdown, locale=locale, former=former)
    template = language.compiled(text)
    tree = language.parse(text)
    names = {name for name in meta.find_undeclared_variables(tree) if name != "row"}
    names.discard("range")
    rows = [node for node in tree.find_all(nodes.Name) if node.name == "row" and node.ctx == "load"]
    named: list[str] = []
    accesses: Any = tree.find_all((nodes.Getitem, nodes.Getattr))
    for node in accesses:
        if isinstance(node.node, nodes.Name) and node.node.name == "row":
            if isinstance(node, nodes.Getattr):
                named.append(node.attr)
            elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                named.append(node.arg.value)
    if len(named) < len(rows):
        names.add("row")
    return frozenset({*names, *named}), template


def _values(fields: dict[Any, Any], used: frozenset[str]) -> dict[Any, Any]:
    """Return the fields that the template uses, as far as they have a value."""
    chosen = fields if "row" in used else {name: fields[name] for name in used if name in fields}
    for name in used - chosen.keys():
        # The names of a merge have no blanks around them; a template may still have them as the data set does.
        if (short := str(name).strip()) in fields:
            chosen = {**chosen, name: fields[short]}
    values = {name: plain(value) for name, value in chosen.items()}
    return {name: value for name, value in values.items() if value is not None}


# --- the language -----------------------------------------------------------------------------------------------------


class _Field(StrictUndefined):
    """What a name without a value is: an error as soon as it is used."""

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:
        row = None if obj is missing else obj
        error: Any = exc or (lambda _message: _MissingError(name, row))  # called like a class, to be raised
        super().__init__(hint, obj, name, error)


class _Language(ImmutableSandboxedEnvironment):
    """Jinja2 with docmail's way to write numbers; `escape` is applied to each value that stands in the text.

    `signs` are those of its numbers. With `former`, values are written as 0.1.0 wrote them.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, escape: Callable[[str], str], signs: Signs, *, former: bool) -> None:
        self._escape = escape
        self._signs = signs
        self._former = former
        # Line breaks are the writer's, also the last one; `_cut_blocks` takes away those of lines that hold a tag only.
        # Not optimized: what Jinja calculates while it compiles would not be noted in the filling.
        super().__init__(
            undefined=_Field, finalize=self._shown, keep_trailing_newline=True, cache_size=0, optimized=False
        )
        self.globals = {"range": safe_range}
        own: dict[str, Callable[..., Any]] = {
            "string": self._written,
            "join": self._joined,
            "format": self._formatted,
            "replace": _replaced,
            "\x00each": list,
        }
        self.filters = {name: _paid(function) for name, function in ({n: FILTERS[n] for n in _FILTERS} | own).items()}

    def compiled(self, text: str) -> Any:
        """Return the template; raises `TemplateSyntaxError` and `SecurityError`."""
        if len(text) > _MAX_TEXT:
            raise _TooMuchError
        try:
            tree = _Rewriter().visit(self.parse(_cut_blocks(text)))
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

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return what takes the place of `str.format`; None for anything else."""
        if isinstance(text := getattr(value, "__self__", None), str) and value.__name__ == "format":
            formatter = _Formatter(self)
            return lambda *args, **fields: formatter.vformat(text, args, fields)
        return super().wrap_str_format(value)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, if what it makes cannot be large."""
        owner = getattr(obj, "__self__", None)
        _spend(owner, *args)
        if isinstance(owner, str):
            if obj.__name__ == "replace":
                return _replaced(owner, *args)
            if any(isinstance(value, int) and value > _MAX_WIDTH for value in args):
                raise _TooMuchError
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate, if the result cannot be large."""
        _spend(left, right)
        if operator == "%" and isinstance(left, str):
            return self._formatted(left, *(right if isinstance(right, tuple) else (right,)))
        if operator in {"*", "**"} and not all(isinstance(each, (int, float, Decimal)) for each in (left, right)):
            raise TypeError(f"{operator} needs two numbers")  # noqa: EM102, TRY003 - becomes part of a sentence
        if operator == "**" and abs(right) * max(1, int(abs(left)).bit_length()) > _MAX_BITS:
            raise _TooMuchError
        result = super().call_binop(context, operator, left, right)
        _spend(result)
        return result

    @pass_context  # otherwise Jinja would write constants while it compiles
    def _shown(self, _context: Context, value: Any) -> str:
        text = self._written(value)
        if isinstance(value, Markup):
            return text
        _filling.get().shown = value
        return self._escape(text)

    def _written(self, value: Any) -> str:
        return self._either(text_of(value, text_given), lambda: text_of(value, partial(_signed, signs=self._signs)))

    def _joined(self, values: Any, separator: str = "", attribute: Any = None) -> str:
        parts = values if attribute is None else [part[attribute] for part in values]
        return separator.join(map(self._written, parts))

    def _formatted(self, value: Any, *args: Any) -> str:
        text, values = str(value), iter(args)
        _check_widths(*_CONVERSION.findall(text))
        for each in args:
            text_of(each)  # raises for a list, which could be shown many times larger than it is
        return self._either(text % args, lambda: _CONVERSION.sub(lambda found: self._converted(found[0], values), text))

    def _converted(self, conversion: str, values: Iterator[Any]) -> str:
        """Return the next value as one place of a text with “%” shows it."""
        if conversion.endswith("%"):
            return "%"
        value = next(values)
        if _is_number(value) and conversion.endswith("s"):
            return conversion % (_signed(plain(value), self._signs),)
        text = conversion % (value,)
        return localised(text, self._signs) if _is_number(value) else text

    def formatted_field(self, value: Any, form: str) -> str:
        """Return a value as one place of `str.format` shows it."""
        _check_widths(form)
        text_of(value)  # raises for a list
        former = format(value, form)
        if not _is_number(value):
            return former
        return self._either(
            former, lambda: localised(former, self._signs) if form else _signed(plain(value), self._signs)
        )

    def _either(self, former: str, now: Callable[[], str]) -> str:
        """Return what 0.1.0 wrote, or what is written now, and note whether they differ."""
        text = former if self._former else now()
        _filling.get().differs |= text != former
        return text


class _Formatter(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        language: Any = self._env
        return str(language.formatted_field(value, format_spec))


class _Rewriter(NodeTransformer):
    """Leaves the few statements that a mail needs, whose text is counted, and lets loops and “~” take steps."""

    _STATEMENTS = (nodes.Output, nodes.For, nodes.If, nodes.Assign)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, nodes.Stmt) and not isinstance(node, self._STATEMENTS):
            raise SecurityError(type(node).__name__.lower())
        return super().generic_visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the library's name
        if node.recursive:
            raise SecurityError("recursive")  # noqa: EM101 - becomes part of a sentence
        node.iter = nodes.Filter(node.iter, "\x00each", [], [], None, None, lineno=node.lineno)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as above
        parts = nodes.List([self.visit(part) for part in node.nodes], lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)


def _paid(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that takes steps, and makes a list where Jinja makes a generator."""
    passed = hasattr(function, "jinja_pass_arg")  # the context, or what else Jinja hands it first

    @wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        _spend(*args[passed:])
        result = function(*args, **kwargs)
        result = list(result) if isinstance(result, Iterator) else result
        _spend(result)
        return result

    return filtered


def _replaced(value: Any, old: str, new: str, count: int = -1) -> str:
    text = str(value)
    if len(text) + text.count(old) * len(new) > _MAX_TEXT:
        raise _TooMuchError
    return text.replace(old, new, count)


def _check_widths(*places: str) -> None:
    """Refuse widths of four digits, or taken from another value."""
    if any(re.search(r"\d{4}|\*", place) for place in places):
        raise _TooMuchError


def _cut_blocks(text: str) -> str:
    """Return a template in which a line that holds only a tag leaves no line in the text.

    Jinja's own `trim_blocks` would also join the lines around “{% endif %}” at the end of a sentence. The line end
    moves into a comment, so that errors still name the right line.
    """
    return re.sub(r"^[ \t]*(\{%(?:(?!%\}).)*%\})[ \t]*(\r\n|\n|\r)", r"\1{#\2#}", text, flags=re.MULTILINE)


def _signed(value: Any, signs: Signs = ENGLISH) -> str:
    if _is_number(value):
        text = digits(value)
        return localised(text if isinstance(value, int) or signs == ENGLISH else grouped(text), signs)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()  # a data set has no other way to say "this day"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


# --- what is said when it cannot be filled ----------------------------------------------------------------------------


@contextmanager
def _explained(field: str, fields: Mapping[Any, Any] | None = None) -> Iterator[None]:
    """Raise what Jinja2 and the limits raise as a sentence about one field of the message."""
    try:
        yield
    except MessageError:
        raise
    except _MissingError as exc:
        raise _missing(exc.name, dict(fields or {}), exc.row, field) from None
    except Exception as exc:
        raise _error(exc, field) from exc


def _error(exc: Exception, field: str) -> MessageError:
    said = " ".join(str(getattr(exc, "message", None) or exc or type(exc).__name__).split()).rstrip(".")
    said = "".join(character if character.isprintable() else "·" for character in said)[:200]
    if isinstance(exc, TemplateSyntaxError):
        sentence = _("The template of the {field} cannot be understood in line {line}: {reason}.")
        hint = _("Write fields as {{ name }}, and text with such brackets as {% raw %}…{% endraw %}.")
    elif isinstance(exc, SecurityError):
        sentence = _("The template of the {field} uses something that templates may not use: {reason}.")
        hint = _("A template may show fields, format them, and use {% if %}, {% for %} and {% set %}.")
    elif isinstance(exc, (_TooMuchError, TooManyError, RecursionError, MemoryError, OverflowError)):
        sentence = _("The template of the {field} does not end, or its text grows too large for a mail.")
        hint = _("Shorten its loops, or attach the list as a document.")
    else:
        sentence = _("The template of the {field} cannot be filled in: {reason}.")
        hint = _("Correct the place in the template, or the value in the row.")
    return MessageError(
        sentence.format(field=field, reason=said, line=getattr(exc, "lineno", 0)), field=field, hint=hint
    )


def _missing(name: Any, fields: dict[Any, Any], row: Any, field: str) -> MessageError:
    """Return the error for a name that is missing among the fields, or in a row of a list (`row`)."""
    if isinstance(row, dict) and not row.keys() <= fields.keys():
        fields = row
    if name is None or (row is not None and not isinstance(row, dict)):
        return MessageError(
            _("The template of the {field} uses a value that is empty.").format(field=field),
            field=field,
            hint=_("Fill it in, or write {{ value | default('-') }} in the template."),
        )
    if name in fields:
        return MessageError(
            _("“{field}” needs the field “{name}”, which has no value here.").format(field=field, name=name),
            field=field,
            hint=_("Fill it in.")
            if field == "to"
            else _("Fill it in, or write {place} in the template.").format(
                # An address may be left out, but a hyphen is not one.
                place=f"{{{{ {_place(name)} | default({'' if field in _MAY_BE_EMPTY else '-'!r}) }}}}"
            ),
        )
    known = [str(each) for each in fields]
    # By the usual 0.6, “number” would be taken for a typing error of “name”.
    near = difflib.get_close_matches(str(name).casefold(), [each.casefold() for each in known], n=1, cutoff=0.75)
    meant = next((each for each in known if near and each.casefold() == near[0]), None)
    if meant is not None:
        hint = _("Write {place}.").format(place=f"{{{{ {_place(meant)} }}}}")
    elif known:
        listed = ", ".join(known[:_MANY]) + (", …" if len(known) > _MANY else "")
        hint = _("Use one of these fields: {names}.").format(names=listed)
    else:
        hint = _("Give its value, or take it out of the template.")
    return MessageError(
        _("“{field}” needs the field “{name}”, which does not exist.").format(field=field, name=name),
        field=field,
        hint=hint,
    )


def _place(name: Any) -> str:
    """Return how a template names a field."""
    text = str(name)
    return text if re.fullmatch(r"[^\W\d]\w*", text) and text != "row" else f"row[{text!r}]"
