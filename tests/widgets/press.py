"""Presses the buttons of a form as its front end does, and waits for what that starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docmail.widgets import SettingsForm
    from docmail.widgets.mail.form import MailForm

    Form = SettingsForm | MailForm


def press(form: Form, action: str, password: str = "", **values: Any) -> None:
    """Send the one message of a click: the action, the values on the screen, the password if one is typed."""
    begin(form, action, password, **values)
    finish(form)


def begin(form: Form, action: str, password: str = "", **values: Any) -> None:
    """Press and return at once."""
    sent = {name: as_synced(form, name, value) for name, value in values.items()}
    buffers = [memoryview(password.encode())] if password else []
    form.actions._handle_custom_msg({"action": action, "values": sent}, buffers)


def finish(form: Form) -> None:
    """Wait until the form does nothing."""
    assert form._work._running.acquire(timeout=30), "the form is still busy"
    form._work._running.release()


def as_synced(form: Form, name: str, value: Any) -> Any:
    """Return a value as a front-end model holds it: selections by index."""
    widget = form.actions.fields[name]
    return widget._options_values.index(value) if hasattr(widget, "_options_values") else value


def press_find(form: SettingsForm, address: str = "", action: str = "find") -> None:
    """Press the button below the Provider menu, and wait for what it finds."""
    form.help.finder._handle_custom_msg({"action": action, "values": {"email_address": address}}, [])
    finish_search(form)


def finish_search(form: SettingsForm) -> None:
    """Wait until nothing is looked up."""
    assert form.help._work._running.acquire(timeout=30), "the form is still looking"
    form.help._work._running.release()
