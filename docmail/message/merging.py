"""Makes one message per row of a data set: templates are filled with its fields, documents made when they are needed.

No message is made, and no row is checked, before somebody asks for the messages: `Outbox.add_all` does, for all rows,
and then knows of every problem at once. A template that no row could fill is refused at once.
"""

from __future__ import annotations

import json
import re
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from docmail import templates
from docmail.addresses import trimmed, unlinked
from docmail.documents import Document, documents_of
from docmail.errors import AddressError, DocmailError, MessageError
from docmail.language import _
from docmail.message.data_sets import fields_of, is_empty, name_of, records_of
from docmail.message.message import Message, inexact_key
from docmail.text import Given, InexactError, former_number_key, narrow_limit, number_key, signs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from docmail.addresses import Address

    Row = Mapping[str, Any]
    Value = str | Callable[[Row], Any]
    """A template, or a function of the row."""

__all__ = ["Draft", "Merge", "merge"]


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
) -> Merge:
    """Return one message per row, for `Outbox.add_all`.

    `rows` is a DataFrame (pandas, Polars), a list of dicts, or the `Path` of a CSV file. `key` names the column that
    makes a row unique, so that running the same again sends nothing twice. The fields of the message are templates
    (`"Invoice {{ invoice_no }}"`, `"{{ row['E-mail'] }}"`) or functions of the row; an address field that a template
    fills is one address, whatever it holds. `documents` is a function that makes the row's document (anything that
    `Document.of` takes, or a list), a document that all rows share, or a list of both; `name` the file name of what the
    function makes. `locale` ("de", "en-ZA") sets the signs in the numbers that templates show ("182.450,50"); it needs
    babel: `pip install "docmail[locale]"`.

    Blanks around names and values are left away, and so are rows without any value: `Merge.left_out` counts them.

    Example:
        messages = docmail.merge(
            frame, key="invoice_no", to="{{ row['E-mail'] }}", subject="Invoice {{ invoice_no }}", documents=make_pdf
        )
        docmail.Outbox().add_all(messages, batch="2026-11 invoices")
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
    signs_of(locale)  # at once, not in the first row
    name_of_key = _column(key)
    given = list(documents) if isinstance(documents, (list, tuple)) else [documents]
    # What all rows share is looked at once, here, and is one object: so it is encoded once, too.
    parts = [part if callable(part) and not isinstance(part, Document) else Document.of(part) for part in given]
    _check_name(name, parts)
    records = records_of(rows)
    if records and name_of_key not in map(name_of, records[0]):
        raise _no_column(name_of_key, rows, records[0])
    return Merge(records, name_of_key, fields, tuple(parts), _key_limit(rows, name_of_key), locale)


@dataclass(frozen=True)
class Draft:
    """The message of one row, before its documents are made."""

    row: int
    """Its number, from 1."""
    message: Message
    make: tuple[Any, ...] = ()
    """What makes the documents: functions, and documents that other rows share."""
    fields: Mapping[str, Any] | None = None
    name: str | None = None
    former_key: str | None = None
    """What version 0.1.0 wrote down for the same key, if that was another text."""


@dataclass(frozen=True)
class BadRow:
    """A row of which no message can be made."""

    row: int
    key: str | None
    error: DocmailError


class Merge:
    """The messages of a data set; iterating makes them, and raises at the first row that cannot be one."""

    def __init__(  # noqa: PLR0913, PLR0917 - what `merge` has settled
        self,
        rows: Sequence[Mapping[str, Any]],
        key: str,
        fields: Mapping[str, Value | None],
        documents: tuple[Any, ...],
        key_limit: int,
        locale: str | None = None,
    ) -> None:
        # A row keeps its number in the data set, where somebody may have to correct it.
        self._rows = [(number, row) for number, row in enumerate(rows, 1) if not is_empty(row)]
        self.left_out = len(rows) - len(self._rows)
        """How many rows have no value at all, and make no message."""
        self._locale = locale
        self._key = key
        self._fields = fields
        self._documents = documents
        self._key_limit = key_limit  # of floats, which are no keys from there on

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Message]:
        for draft in self.drafts():
            if isinstance(draft, BadRow):
                raise draft.error
            yield completed(draft.message, made(draft.make, draft.fields or {}, draft.name))

    def __repr__(self) -> str:
        return f"<Merge of {len(self)} rows{f', {self.left_out} empty left out' if self.left_out else ''}>"

    def drafts(self) -> Iterator[Draft | BadRow]:
        """Yield each row's message without its documents, or what is wrong with the row."""
        for number, raw in self._rows:
            key = None
            try:
                fields = fields_of(raw)
                # As it came: of NumPy's narrow floats, `fields` has forgotten how narrow they were.
                value = next((each for name, each in raw.items() if name_of(name) == self._key), None)
                key = self._key_text(value, fields)
                former = former_number_key(value)
                if isinstance(shown := fields.get(self._key), Given):
                    former = shown.source.strip(" \t")  # of the blanks, it took these away
                yield self._draft(number, fields, key, None if former == key else former)
            except DocmailError as exc:
                yield BadRow(number, key, exc)

    def _key_text(self, value: Any, fields: dict[str, Any]) -> str:
        """Return a key as a template shows it, so that a row is the same whether it comes from a file or a frame."""
        from docmail.templates import text_of

        shown = fields.get(self._key)
        if shown is None or shown == "":
            raise MessageError(
                _("The column “{name}”, which makes a row unique, is empty here.").format(name=self._key),
                field="key",
                hint=_("Fill it in."),
            )
        try:
            return number_key(value, self._key_limit) or text_of(shown)
        except InexactError as exc:
            raise inexact_key(value, self._key) from exc
        except TypeError as exc:
            raise MessageError(
                _("A {type} cannot make a row unique.").format(type=type(shown).__name__),
                field="key",
                hint=_("Choose a column of texts, numbers or dates."),
            ) from exc

    def _draft(self, number: int, fields: dict[str, Any], key: str, former_key: str | None) -> Draft:
        message = Message(
            to=self._addresses("to", fields),
            subject=self._text("subject", fields),
            body=self._text("body", fields),
            cc=self._addresses("cc", fields),
            bcc=self._addresses("bcc", fields),
            reply_to=self._addresses("reply_to", fields) or None,
            key=key,
        )
        return Draft(number, message, self._documents, fields, self._name(fields), former_key)

    def _name(self, fields: dict[str, Any]) -> str | None:
        if self._fields["name"] is None:
            return None
        name: Any = self._text("name", fields)
        if not isinstance(name, str):
            raise MessageError(
                _("The {field} must be text, not {type}.").format(field="name", type=type(name).__name__),
                field="name",
                hint=_("Write str(...) around it."),
            )
        return name.strip()

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


def made(parts: tuple[Any, ...], fields: Mapping[str, Any], name: str | None) -> tuple[Document, ...]:
    """Make the documents of one row; it may run in another process, and what it returns can go back from there."""
    found: list[Document] = []
    for part in parts:
        if isinstance(part, Document):
            found.append(part)
            continue
        own = part(fields)
        if own is None:
            continue  # this row has none
        several = list(own) if isinstance(own, (list, tuple)) else [own]
        if name is None:
            found += documents_of(several)
        elif len(several) > 1:
            raise _one_name(_("The function makes several documents of this row, and “name” is the name of one."))
        else:
            found += [Document.of(each, name) for each in several]
    return tuple(found)


def completed(message: Message, documents: tuple[Document, ...]) -> Message:
    """Return a message with the documents that were made for it."""
    if not documents:
        return message
    # Everything else was settled when the message was made; `replace()` would settle it again.
    whole = copy(message)
    object.__setattr__(whole, "documents", documents)
    return whole


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
        _("The cell holds several addresses, and an address field that a template fills is one."),
        address=text,
        field=field,
        hint=_("If all of them are meant, write {line}.").format(
            line=f'{field}=lambda row: row[{json.dumps(name, ensure_ascii=False)}].split("{separator}")'
        ),
    )


def _no_column(name: str, rows: Any, first: Mapping[Any, Any]) -> MessageError:
    hint = _("The columns are: {names}.").format(names=", ".join(map(str, first)))
    if name in map(str, getattr(getattr(rows, "index", None), "names", ())):
        hint = _("It is the index of the DataFrame: write merge(frame.reset_index(), ...).")
    return MessageError(_("There is no column “{name}”.").format(name=name), field="key", hint=hint)


def _key_limit(rows: Any, key: str) -> int:
    """Return from where on the floats in the column of keys are no keys: a frame's rows no longer say how narrow."""
    for name in getattr(rows, "columns", ()):
        if str(name) == key:
            return narrow_limit(getattr(rows[name], "dtype", None))
    return narrow_limit(None)


def _check_name(name: object, parts: Sequence[Any]) -> None:
    """Raise `MessageError` where it is not clear what the name is the name of."""
    functions = [part for part in parts if not isinstance(part, Document)]
    if name is not None and parts and len(functions) != 1:
        raise _one_name(_("“name” is the name of what one function makes; here is not exactly one."))


def _one_name(sentence: str) -> MessageError:
    return MessageError(
        sentence,
        field="name",
        hint=_("Leave “name” out, and name each document itself: docmail.Document.of(..., name=...)."),
    )


def _called(function: Any, fields: dict[str, Any], field: str) -> Any:
    """Call a function of the user's with the row; what it raises is about this row."""
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
