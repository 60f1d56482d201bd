"""Makes one message per row of a data set: templates are filled with its fields, documents generated when needed.

No row is looked at before the messages are asked for. `Outbox.add_all` asks for all of them, and so reports the
problems of all rows together. A template that no row could fill is refused by `merge` itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from docmail import templates
from docmail.addresses import trimmed, unlinked
from docmail.documents import Document, documents_of
from docmail.errors import AddressError, DocmailError, MessageError, listed
from docmail.language import _
from docmail.look import checked
from docmail.message.data_sets import fields_of, is_empty, name_of, records_of
from docmail.message.fields import checked_text, former_number_key, number_key
from docmail.message.message import Message
from docmail.message.moments import moment_of
from docmail.message.threads import thread_of
from docmail.settings import current_look
from docmail.text import Given, is_missing, signs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from docmail.addresses import Address
    from docmail.look import Look

    Row = Mapping[str, Any]
    Value = str | Callable[[Row], Any]
    """A template, or a function of the row."""

__all__ = ["BadRow", "Draft", "Merge", "completed", "described", "made", "merge"]

_MAX_NAME = 1_000  # characters; `Document.of` takes fewer, in one line


def merge(  # noqa: PLR0913 - the header fields of a mail
    rows: Any,
    *,
    key: str | int | tuple[Any, ...],
    to: Value,
    subject: Value,
    body: Value = "",
    documents: Any = (),
    name: Value | None = None,
    cc: Value | None = None,
    bcc: Value | None = None,
    reply_to: Value | None = None,
    locale: str | None = None,
    look: Look | None = None,
    in_reply_to: Any = None,
    send_at: Any = None,
) -> Merge:
    """Return one message per row, for `Outbox.add_all`.

    `rows` is a DataFrame (pandas, Polars), a list of dicts, or the `Path` of a CSV file. `key` names the column that
    makes a row unique, so that running the same again sends nothing twice. The fields of the message (`to`, `cc`,
    `bcc`, `reply_to`, `subject`, `body`) are templates (`"Invoice {{ invoice_no }}"`, `"{{ row['E-mail'] }}"`) or
    functions of the row; an address field that a template fills is one address, whatever it holds. `documents` is a
    function that makes the row's document (anything that `Document.of` takes, or a list), a document that all rows
    share, or a list of both; `name` the file name of what the function makes. `locale` ("de", "en-ZA") sets the signs
    in the numbers that templates and tables in a body show ("182.450,50"); it needs babel: `pip install
    "docmail[locale]"`. Unsaid, it is that of the `look` of the mails, which is, unsaid, their sender's. `send_at` and
    `in_reply_to` (see `Message`) name a column, are a function of the row, or a value that all rows share; an empty
    cell is a mail that goes at once, or answers none.

    Blanks around names and values are left away, and so are rows without any value: `Merge.left_out` counts them.

    >>> messages = docmail.merge(
    ...     frame,
    ...     key="Customer",
    ...     to="{{ row['E-mail'] }}",
    ...     subject="Invoice for {{ Customer }}",
    ...     documents=lambda row: docmail.reports.Report("Invoice").text(f"Amount: {row['Amount']}"),
    ... )
    >>> [message.subject for message in messages]
    ['Invoice for Adams', 'Invoice for Botha']
    """
    fields: dict[str, Value | None] = {
        "to": to,
        "cc": cc,
        "bcc": bcc,
        "reply_to": reply_to,
        "subject": subject,
        "body": body,
        "name": name,
    }
    for field, value in fields.items():
        if value is not None and not isinstance(value, str) and not callable(value):
            raise MessageError(
                _("The {field} of a merge must be a template or a function, not {type}.").format(
                    field=field, type=type(value).__name__
                ),
                field=field,
                hint=_('Write {field}="{{{{ column }}}}", or a function that takes the row.').format(field=field),
            )
        if isinstance(value, str):
            templates.check(value, field=field)
    checked(look)
    locale = locale or (look or current_look()).locale
    signs_of(locale)  # at once, not in the first row
    name_of_key = _column(key)
    given = list(documents) if isinstance(documents, (list, tuple)) else [documents]
    # What all rows share is looked at once, here, and is one object: so it is encoded once, too.
    parts: list[Any] = []
    for part in given:
        parts += [part] if callable(part) and not isinstance(part, Document) else documents_of(part, look=look)
    _check_name(name, parts)
    records = records_of(rows)
    columns = {*map(name_of, records[0])} if records else None
    if columns is not None and name_of_key not in columns:
        raise _no_column(name_of_key, rows, records[0])
    per_row = {
        "in_reply_to": _PerRow("in_reply_to", in_reply_to, columns, thread_of),
        "send_at": _PerRow("send_at", send_at, columns, moment_of),
    }
    return Merge(records, name_of_key, fields, tuple(parts), locale, look, per_row)


@dataclass(frozen=True)
class Draft:
    """The message of one row, before its documents are generated."""

    row: int
    """Its number, from 1."""
    message: Message
    make: tuple[Any, ...] = ()
    """What generates the documents: functions, and documents that other rows share."""
    fields: Mapping[str, Any] | None = None
    name: str | None = None
    former_key: str | None = None
    """What version 0.1.0 wrote down for the same key, if that was another text."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot become a message."""

    row: int
    key: str | None
    error: DocmailError


class Merge:
    """The messages of a data set; iterating makes them, and raises at the first row that cannot be one.

    `docmail.merge` makes it: of `rows` it takes the `key`, and fills the `fields` of the message. What it does not fill
    (`documents`, `locale`, `look`) is as there, and `per_row` holds what each row has of its own (`send_at`,
    `in_reply_to`).

    >>> merge = docmail.merge(frame, key="Customer", to="{{ row['E-mail'] }}", subject="Hello {{ Customer }}")
    >>> [message.subject for message in merge]
    ['Hello Adams', 'Hello Botha']
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a merge is made of
        self,
        rows: Sequence[Mapping[str, Any]],
        key: str,
        fields: Mapping[str, Value | None],
        documents: tuple[Any, ...],
        locale: str | None,
        look: Look | None = None,
        per_row: Mapping[str, _PerRow] | None = None,
    ) -> None:
        # A row keeps its number in the data set, where somebody may have to correct it.
        self._rows = rows
        self._empty = frozenset(number for number, row in enumerate(rows, 1) if is_empty(row))
        self.left_out = len(self._empty)
        """How many rows have no value at all, and make no message."""
        self._locale = locale
        self._look = look
        self._per_row = per_row or {}
        self._key = key
        self._fields = fields
        self._documents = documents

    def __len__(self) -> int:
        return len(self._rows) - self.left_out

    def __iter__(self) -> Iterator[Message]:
        for draft in self.drafts():
            if isinstance(draft, BadRow):
                raise draft.error
            yield completed(draft.message, made(draft.make, draft.fields or {}, draft.name, draft.message.look))

    def __repr__(self) -> str:
        return f"<Merge of {len(self)} rows{f', {self.left_out} empty left out' if self.left_out else ''}>"

    def drafts(self) -> Iterator[Draft | BadRow]:
        """Yield each row's message without its documents, or what is wrong with the row; for docmail itself."""
        for number, raw in enumerate(self._rows, 1):
            if number in self._empty:
                continue
            key = None
            try:
                fields = fields_of(raw)
                # As it came: `fields` has 118 for a float of 118.0.
                value = next((each for name, each in raw.items() if name_of(name) == self._key), None)
                key = self._key_text(value, fields)
                former = former_number_key(value)
                if isinstance(shown := fields.get(self._key), Given):
                    former = shown.source.strip(" \t")  # of the blanks, it took these away
                yield self._draft(number, raw, fields, key, None if former == key else former)
            except DocmailError as exc:
                yield BadRow(number, key, exc)

    def _key_text(self, value: Any, fields: dict[str, Any]) -> str:
        """Return a key as a template shows it, so that a row is the same whether it comes from a file or a frame."""
        shown = fields.get(self._key)
        if shown is None or shown == "":
            raise MessageError(
                _("The column “{name}”, which makes a row unique, is empty here.").format(name=self._key),
                field="key",
                hint=_("Fill it in."),
            )
        try:
            return number_key(value, self._key) or templates.text_of(shown)
        except TypeError as exc:
            raise MessageError(
                _("A {type} cannot make a row unique.").format(type=type(shown).__name__),
                field="key",
                hint=_("Choose a column of texts, numbers or dates."),
            ) from exc

    def _draft(
        self, number: int, raw: Mapping[str, Any], fields: dict[str, Any], key: str, former_key: str | None
    ) -> Draft:
        message = Message(
            to=self._addresses("to", fields),
            subject=self._text("subject", fields),
            body=self._text("body", fields),
            cc=self._addresses("cc", fields),
            bcc=self._addresses("bcc", fields),
            reply_to=self._addresses("reply_to", fields),
            key=key,
            locale=self._locale,
            look=self._look,
            **{name: value.of(raw, fields) for name, value in self._per_row.items()},
        )
        return Draft(number, message, self._documents, fields, self._name(fields), former_key)

    def _name(self, fields: dict[str, Any]) -> str | None:
        if self._fields["name"] is None:
            return None
        return checked_text(self._text("name", fields), "name", _MAX_NAME, lines=True).strip()

    def _text(self, field: str, fields: dict[str, Any]) -> str:
        value = self._fields[field]
        if isinstance(value, str):
            return templates.fill(value, fields, field=field, markdown=field == "body", locale=self._locale)
        return cast("str", _called(value, fields, field)) if value is not None else ""

    def _addresses(self, field: str, fields: dict[str, Any]) -> list[str | Address]:
        value = self._fields[field]
        if value is None:
            return []
        if isinstance(value, str):
            text = unlinked(trimmed(templates.fill(value, fields, field=field)))
            if re.search(r"@[^\"]*[;,\n][^\"]*@", text):
                raise _several_addresses(text, value, field)
            return [text] if text or field == "to" else []
        found = _called(value, fields, field)
        several = list(found) if isinstance(found, (list, tuple)) else [found]  # a function may mean several
        return [
            unlinked(each) if isinstance(each, str) else each for each in several if each is not None and each != ""
        ]


class _PerRow:
    """What a column, a function or one value says of each row; `read` makes what a message takes of it."""

    def __init__(self, field: str, given: Any, columns: set[str] | None, read: Callable[[Any], Any]) -> None:
        self._field, self._given, self._read = field, given, read
        self._column: str | None = None
        self._shared: Any = None
        if isinstance(given, str) and "{{" in given:
            templates.check(given, field=field)
        elif isinstance(given, str) and (columns is None or name_of(given) in columns):
            self._column = name_of(given)
        elif given is not None and not callable(given):
            try:
                self._shared = read(given)
            except MessageError as exc:
                if not isinstance(given, str):
                    raise
                hint = _("The columns are: {names}.").format(names=listed(sorted(columns or ()), ", ", 12))
                sentence = f"{_('There is no column “{name}”.').format(name=given[:80])} {exc.message}"
                raise MessageError(sentence, field=field, hint=hint) from exc

    def of(self, raw: Mapping[str, Any], fields: dict[str, Any]) -> Any:
        """Return the value of a row; None for an empty one."""
        value = self._shared
        if self._column is not None:
            # As it came: `fields` has a text for what is no plain value, such as a row of the outbox.
            value = next((each for name, each in raw.items() if name_of(name) == self._column), None)
        elif callable(self._given):
            value = _called(self._given, fields, self._field)
        elif self._shared is None and isinstance(self._given, str):
            value = templates.fill(self._given, fields, field=self._field)
        if isinstance(value, str):
            value = trimmed(value)
        is_empty_one = isinstance(value, (str, tuple, list)) and not value
        return None if is_missing(value) or is_empty_one else self._read(value)


def made(
    parts: tuple[Any, ...], fields: Mapping[str, Any], name: str | None, look: Look | None = None
) -> tuple[Document, ...]:
    """Generate the documents of one row. It may run in another process: what it takes and returns can be pickled."""
    found: list[Document] = []
    for part in parts:
        if isinstance(part, Document):
            found.append(part)
            continue
        own = part(fields)
        if own is None:
            continue  # this row has none
        several = list(own) if isinstance(own, (list, tuple)) else [own]
        if name is not None and len(several) > 1:
            raise _one_name(_("The function makes several documents from this row, but “name” names only one."))
        found += documents_of(several, name, look)
    return tuple(found)


def completed(message: Message, documents: tuple[Document, ...]) -> Message:
    """Return a message with the documents that were generated for it."""
    return replace(message, documents=documents) if documents else message


def _column(key: object) -> str:
    """Return the name of a column as text: pandas has numbers and tuples for names as well."""
    if not isinstance(key, (str, int, tuple)) or isinstance(key, bool):
        raise MessageError(
            _("The key of a merge is the name of a column."), field="key", hint=_('Write key="invoice_no".')
        )
    return name_of(key)


def _several_addresses(text: str, template: str, field: str) -> AddressError:
    """Return the error for two addresses in one cell, with the line that sends to both."""
    name = min(templates.fields_of(template), default="email")
    separator = next(sign for sign in (";", ",", "\\n") if sign in text or sign == "\\n")
    return AddressError(
        _("The cell contains several addresses, but a template fills in a single one."),
        address=text,
        field=field,
        hint=_("If all of them are meant, write {line}.").format(
            line=f'{field}=lambda row: row[{json.dumps(name, ensure_ascii=False)}].split("{separator}")'
        ),
    )


def _no_column(name: str, rows: Any, first: Mapping[Any, Any]) -> MessageError:
    hint = _("The columns are: {names}.").format(names=listed([*map(name_of, first)], ", ", 12))
    if name in map(str, getattr(getattr(rows, "index", None), "names", ())):
        hint = _("It is the index of the DataFrame: write merge(frame.reset_index(), ...).")
    return MessageError(_("There is no column “{name}”.").format(name=name), field="key", hint=hint)


def _check_name(name: object, parts: Sequence[Any]) -> None:
    """Raise `MessageError` where it is not clear what the name is the name of."""
    functions = [part for part in parts if not isinstance(part, Document)]
    if name is not None and parts and len(functions) != 1:
        raise _one_name(_("“name” names the document that one function makes, and there is not exactly one function."))


def _one_name(sentence: str) -> MessageError:
    return MessageError(
        sentence,
        field="name",
        hint=_("Leave “name” out, and name each document itself: docmail.Document.of(..., name=...)."),
    )


def _called(function: Any, fields: dict[str, Any], field: str) -> Any:
    """Call a function of the user's with the row; what it raises becomes a `MessageError` about this row."""
    try:
        return function(fields)
    except DocmailError:
        raise
    except Exception as exc:
        raise MessageError(
            _("The function for {field} fails: {error}.").format(field=field, error=described(exc)),
            field=field,
            hint=_("Correct it, or the row."),
        ) from exc


def described(failure: BaseException) -> str:
    """Return what a function of the user's raised, in a few words."""
    return f"{type(failure).__name__}: {' '.join(str(failure).split())[:200]}".rstrip(": .")
