"""Finds the file of the notebook in which a button stands, and says whether what ran last is saved in it.

A kernel is not told of the notebook whose cells it runs. Jupyter's server names its file in the kernel's environment
(JupyterLab, Notebook 7), VS Code in a name of its own; elsewhere (papermill, Colab, a console) a person names it.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docmail.errors import DocmailError, DocumentError
from docmail.foreign import cells_of, shows_button
from docmail.language import _

__all__ = ["OpenNotebook", "find_notebook"]

_VARIABLE = "JPY_SESSION_NAME"
_NAMES = ("__vsc_ipynb_file__", "__session__")

_ran_at = 0.0
"""When a cell ended last, or when the first button was made: what ran before ended before."""


@dataclass(frozen=True)
class OpenNotebook:
    """The notebook in which a button stands."""

    path: Path

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.name

    @property
    def title(self) -> str:
        """What a person calls it."""
        return " ".join(self.path.stem.replace("_", " ").split()) or self.path.stem

    @property
    def saved(self) -> datetime:
        """When its file was saved last; raises `OSError`."""
        return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)

    def not_saved(self) -> str:
        """Return a sentence if a cell ran after the file was saved, else an empty text."""
        number, source = _last_run()
        if not number:
            return ""
        try:
            written = any(cell.count == number and cell.source.strip() == source for cell in cells_of(self.path))
            if written or self.path.stat().st_mtime >= _ran_at:
                return ""
        except (DocmailError, OSError):
            return ""  # which is said where it is read
        return _("Save the notebook first (Ctrl+S): the cell [{number}] ran after {name} was saved.").format(
            number=number, name=self.name
        )


def find_notebook(named: Any) -> OpenNotebook:
    """Return the notebook that is `named`, or with True the one in which this runs.

    Raises `DocumentError`, saying how to name it, where nothing says which one that is.
    """
    _watch()
    if named is not True:
        if not isinstance(named, (str, Path)):
            raise DocumentError(
                _("The {field} must be True or a path, not {type}.").format(
                    field="notebook", type=type(named).__name__
                ),
                hint=_('Write notebook=True, or name the file: notebook="report.ipynb".'),
            )
        path = Path(os.path.expanduser(named)).absolute()  # noqa: PTH111 - as `Document` takes a path
        if not path.is_file():
            raise DocumentError(
                _("There is no notebook {name} in the folder {folder}.").format(name=path.name, folder=path.parent),
                hint=_("Check the path, and save the notebook."),
            )
        return OpenNotebook(path)
    names = [*(_name(each) for each in _NAMES), os.environ.get(_VARIABLE, "")]
    found = [Path(each) for each in names if each.lower().endswith(".ipynb")]
    existing = [each.absolute() for each in found if each.is_file()]
    if existing:
        return OpenNotebook(existing[0])
    if found:
        raise DocumentError(
            _(
                "There is no file {name}: the notebook has not been saved yet, or was renamed or moved after its "
                "kernel was started."
            ).format(name=found[0].name),
            hint=_('Save it, or name its file: docmail.EmailButton(notebook="report.ipynb").'),
        )
    if "google.colab" in sys.modules:
        raise DocumentError(
            _("In Colab the notebook is in Google Drive, and not on the computer where its cells run."),
            hint=_(
                'Mount Drive (google.colab.drive.mount("/content/drive")), and name the file: '
                'docmail.EmailButton(notebook="/content/drive/MyDrive/Colab Notebooks/report.ipynb").'
            ),
        )
    raise DocumentError(
        _("Nothing here says which file this notebook is in."),
        hint=_('Name its file: docmail.EmailButton(notebook="report.ipynb").'),
    )


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _name(name: str) -> str:
    value = getattr(_shell(), "user_ns", {}).get(name)
    return value if isinstance(value, str) else ""


def _watch() -> None:
    """Note from now on when a cell ends."""
    global _ran_at  # noqa: PLW0603 - of the one kernel that this process is
    if _ran_at:
        return
    _ran_at = time.time()
    shell = _shell()
    if shell is not None:
        shell.events.register("post_run_cell", _ended)


def _ended(result: Any) -> None:
    global _ran_at  # noqa: PLW0603
    if not shows_button(str(getattr(result.info, "raw_cell", "") or "")):
        _ran_at = time.time()


def _last_run() -> tuple[int, str]:
    """Return number and code of the cell that ran last, apart from those that show such a button."""
    history = getattr(getattr(_shell(), "history_manager", None), "input_hist_raw", [])
    for number in range(len(history) - 1, 0, -1):
        source = str(history[number]).strip()
        if source and not shows_button(source):
            return number, source
    return 0, ""
