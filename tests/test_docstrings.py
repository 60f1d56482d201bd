"""What the docstrings of the public names show can be run as it stands, and none of them lacks an example."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import docmail
from docmail.diagnosis import Diagnosis
from docmail.outbox import Run
from tests.support.jupyter import write_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = [docmail.credentials, docmail.errors, docmail.notebook, docmail.presets, docmail.reports]
CLASSES = [Diagnosis, Run]

# An example would show nothing: somebody types or presses something, another program is needed, it is for docmail's
# own rooms, or the class above has it already.
WITHOUT = {
    "Document",
    "EmailButton.settings_saved",
    "Run.abort",
    "Run.again",
    "Run.count_recipients",
    "Run.counts",
    "Run.daily_warning",
    "Run.doubles",
    "Run.end",
    "Run.leave",
    "Run.leave_to_the_parent",
    "Run.pause",
    "Run.resume",
    "Run.say_goodbye",
    "Run.start",
    "Run.stop",
    "Run.wait",
    "Run.work",
    "Sandbox.close",
    "Sandbox.shared",
    "SettingsForm.settings_saved",
    "credentials.ask",
    "credentials.Secret.forms",
    "credentials.Secret.octets",
    "credentials.Secret.reveal",
    "credentials.Secret.shown_to",
    "credentials.check_key",
    "credentials.from_variable",
    "credentials.key_from_variable",
    "credentials.why_not_kept",
    "credentials.withdraw",
    "errors.Field",
    "errors.Guide",
    "errors.Kind",
    "errors.Phase",
    "errors.Problem",
    "errors.RowProblem",
    "notebook.Job",
    "notebook.Job.message",
    "notebook.Job.of",
    "notebook.Job.result",
    "notebook.Outcome",
    "notebook.Plan",
    "notebook.RunResult",
    "notebook.SentAs",
    "notebook.check_credential",
    "notebook.from_yaml",
    "notebook.plan",
    "notebook.report_of",
    "notebook.reported",
    "presets.Guide",
    "presets.Organisation",
    "presets.Organisation.application",
    "presets.Organisation.provider_of",
    "presets.Preset",
    "presets.Preset.limits_of",
    "presets.Provider",
    "presets.Service",
    "presets.Service.takes_pieces_at",
    "presets.messages",
    "presets.of_account",
}


def public() -> Iterator[tuple[str, Any]]:
    """Yield each public class, function and method under the name by which a person calls it."""
    named = [(name, getattr(docmail, name)) for name in docmail.__all__]
    named += [(each.__name__, each) for each in CLASSES]
    for module in MODULES:
        named += [(f"{module.__name__.rpartition('.')[2]}.{name}", getattr(module, name)) for name in module.__all__]
    for name, value in named:
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value) and not issubclass(value, BaseException):
            members = {key: member for key, member in vars(value).items() if not key.startswith("_")}
            for key, member in members.items():
                if inspect.isfunction(function := getattr(member, "__func__", member)):
                    yield f"{name}.{key}", function


PUBLIC = dict(public())


def has_example(value: Any) -> bool:
    return ">>> " in (value.__doc__ or "")


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if has_example(value)])
def test_an_example_gives_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = PUBLIC[name]
    if name.startswith("notebook."):
        monkeypatch.chdir(tmp_path)
        write_notebook(tmp_path / "report.ipynb", "print('Sales rose.')")
    frame = pd.DataFrame(
        {"Customer": ["Adams", "Botha"], "E-mail": ["adams@example.com", "botha@example.com"], "Amount": [1234.5, 99.0]}
    )
    pdf = docmail.reports.Report().text("Sales rose.").pdf()
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 3])
    server = docmail.SmtpServer("mail.example.com", username="ann@example.com")
    with docmail.Sandbox() as box:
        box.settings.save()
        names = {
            "docmail": docmail,
            "box": box,
            "settings": box.settings,
            "work": docmail.Settings("ann@example.com", server),
            "pdf": pdf,
            "frame": frame,
            "figure": figure,
            "Path": Path,
            "Secret": docmail.credentials.Secret,
        }
        example = doctest.DocTestParser().get_doctest(inspect.getdoc(value) or "", names, name, None, 0)
        wrong: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=wrong.append)
    assert not wrong, "".join(wrong)


def test_no_public_name_lacks_an_example() -> None:
    without = {
        name
        for name, value in PUBLIC.items()
        # The other exceptions are caught as their parents are.
        if not has_example(value) and not (inspect.isclass(value) and issubclass(value, BaseException))
    }
    assert without - WITHOUT == set()
    assert WITHOUT - without == set(), "these have one, or are gone"
