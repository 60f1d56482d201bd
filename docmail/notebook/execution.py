"""Executes a notebook by papermill, with one deadline for all of it, and ends its kernel with all that it started.

This module loads papermill, so it is imported when a notebook is executed.
"""

from __future__ import annotations

import ast
import json
import keyword
import logging
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import nbformat
import psutil  # type: ignore[import-untyped]
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_core.paths import jupyter_runtime_dir
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill import execute_notebook  # type: ignore[import-untyped]
from papermill.clientwrap import PapermillNotebookClient  # type: ignore[import-untyped]
from papermill.engines import NBClientEngine, papermill_engines  # type: ignore[import-untyped]
from papermill.exceptions import PapermillExecutionError  # type: ignore[import-untyped]
from papermill.execute import remove_error_markers  # type: ignore[import-untyped]

from docmail.errors import NotebookError
from docmail.files import make_folder
from docmail.language import _
from docmail.notebook.redacting import shown
from docmail.notebook.skipping import skip_of
from docmail.notebook.source import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from docmail.notebook.source import Source
    from docmail.secret import Secret

_ENGINE = "docmail"
_START_SECONDS = 60.0  # that a kernel may take to start
_MOST_SHOWN = 50_000_000  # characters that all cells may show; nobody reads more, and a mail takes less
_LONGEST_FOLDER = 70  # characters: the path of a socket has at most 107, and the file's name is in it
_INJECTED = "injected-parameters"
# For a template: numbers and texts as they are, everything else as Python writes it.
_AS_JSON = "__import__('json').dumps({name}, default=str)"
_log = logging.getLogger("docmail.notebook")
_log.addHandler(logging.NullHandler())
_log.propagate = False  # what papermill and nbclient would say is said in sentences here


@dataclass
class Execution:
    """An execution: what became of the notebook, in which cell it is, and why it was ended.

    `notebook` is a copy with its outputs, also of an execution that failed; `failure` says why it did; `values` are the
    variables that were asked for; `skipped` is the reason of a `Skip`.
    """

    deadline: float
    variables: frozenset[str] = frozenset()
    notebook: Any = None
    values: dict[str, Any] = field(default_factory=dict)
    skipped: str | None = None
    failure: NotebookError | None = None
    at: int | None = None
    failed: bool = False
    shown: int = 0
    exit_status: int | None = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; at least a moment, because nbclient takes 0 for "for ever"."""
        return max(self.deadline - time.monotonic(), 0.05)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """Executes the cells, and ends the kernel and its processes if anything else than a failing cell ends it."""

    execution: Execution
    sockets = ""

    def create_kernel_manager(self) -> Any:
        """Return what starts the kernel; where it can, over files of this user: others can read what ports carry."""
        manager = super().create_kernel_manager()
        folder = Path(jupyter_runtime_dir())
        if os.name == "posix" and len(os.fsencode(folder)) < _LONGEST_FOLDER:
            make_folder(folder)
            self.sockets = str(folder / f"docmail-{token_hex(8)}")
            manager.transport, manager.ip = "ipc", self.sockets
        return manager

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        self.execution.at = cell_index
        executed = super().execute_cell(cell, cell_index, **options)
        # Magics (%%capture, %run) show an error and report success; and a Skip is meant, whatever the cell's tags say.
        is_meant = "raises-exception" in cell.metadata.get("tags", ())
        for output in executed.get("outputs", ()):
            if output.output_type == "error" and not (is_meant and skip_of(output.traceback) is None):
                raise CellExecutionError("\n".join(output.traceback), output.ename, output.evalue)
        return executed

    def process_message(self, message: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        content = message.get("content", {})
        self.execution.shown += len(str(content.get("text", "") or content.get("data", "")))
        if self.execution.shown > _MOST_SHOWN:
            end_processes(self.km)
            return None
        return super().process_message(message, *arguments, **options)

    def papermill_execute_cells(self) -> None:
        execution = self.execution
        try:
            super().papermill_execute_cells()
            execution.failed = any(cell.metadata.papermill.get("exception") for cell in self.nb.cells)
            if not execution.failed:
                self._ask_for_values()
        except BaseException:
            process = getattr(getattr(self.km, "provisioner", None), "process", None)
            execution.exit_status = process.poll() if process is not None else None
            end_processes(self.km)
            raise

    def _ask_for_values(self) -> None:
        names = [name for name in self.execution.variables if name.isidentifier() and not keyword.iskeyword(name)]
        if not names:
            return
        self.timeout = max(1, int(self.execution.left))
        asked = {name: _AS_JSON.format(name=name) for name in names}
        reply = self.wait_for_reply(self.kc.execute("", silent=True, store_history=False, user_expressions=asked))
        for name, answer in reply["content"].get("user_expressions", {}).items():
            if answer.get("status") == "ok":
                self.execution.values[name] = json.loads(ast.literal_eval(answer["data"]["text/plain"]))


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's engine with docmail's client."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, execution: Execution | None = None, path: str = "", **_options: Any
    ) -> None:
        assert execution is not None  # noqa: S101 - nobody else names this engine
        execution.notebook = nb_man.nb
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=max(1, int(min(_START_SECONDS, execution.left))),
            timeout_func=lambda _cell: execution.left,
            resources={"metadata": {"path": str(Path(path).parent)}},
            log=_log,
        )
        client.execution = execution
        # What the kernel itself writes is about the kernel; what the cells show comes as messages.
        # Started in a notebook's kernel, this one would inherit the name of that notebook.
        env = {**os.environ, "JPY_SESSION_NAME": path}
        try:
            client.execute(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        finally:
            _remove_sockets(client.sockets)


def _remove_sockets(beginning: str) -> None:
    """Remove what a kernel that was killed leaves behind."""
    if beginning:
        for path in Path(beginning).parent.glob(f"{Path(beginning).name}*"):
            path.unlink(missing_ok=True)


papermill_engines.register(_ENGINE, _Engine)


def execute(
    source: Source,
    parameters: Mapping[str, Any],
    *,
    variables: Iterable[str] = (),
    timeout: float,
    secrets: list[Secret],
) -> Execution:
    """Execute a copy of a notebook, in its own folder, and return what became of it.

    `timeout` (seconds) covers all cells and the start of the kernel. A cell that fails, a kernel that dies or does not
    start, and time that is up are the `failure` of what is returned.
    """
    execution = Execution(time.monotonic() + timeout, frozenset(variables))
    notebook = nbformat.from_dict(source.content)
    kernel = notebook.metadata.setdefault("kernelspec", nbformat.NotebookNode())
    for name, value in (("name", "python3"), ("display_name", "Python 3"), ("language", "python")):
        kernel.setdefault(name, value)
    notebook = nbformat.v4.upgrade(notebook)
    try:
        execute_notebook(
            notebook,
            None,
            parameters=dict(parameters),
            engine_name=_ENGINE,
            progress_bar=False,
            execution=execution,
            path=str(source.path),
        )
    except PapermillExecutionError:
        pass  # what failed is looked for below: papermill takes a cell that is tagged raises-exception for one, too
    except CellTimeoutError:
        execution.failure = _timed_out(source, execution, timeout, secrets)
    except DeadKernelError:
        execution.failure = _died(source, execution, secrets)
    except NoSuchKernel as exc:
        execution.failure = _no_start(source, _("there is no kernel called “{name}” here").format(name=exc.name))
    except (RuntimeError, OSError) as exc:
        if execution.at is not None:
            raise
        late = time.monotonic() > execution.deadline - 1  # a kernel's time to start is a whole number
        said = _("{seconds:g} seconds were not enough").format(seconds=timeout) if late else str(exc)
        execution.failure = _no_start(source, shown(said, secrets, most=300).rstrip("."))
    if execution.notebook is not None:
        execution.notebook = remove_error_markers(execution.notebook)
    if execution.failure is None and execution.failed:
        execution.failure = _failed(source, execution, secrets)
    return execution


def end_processes(manager: Any) -> None:
    """Kill a kernel and everything that it has started, also what has made itself a session of its own."""
    pid = getattr(getattr(manager, "provisioner", None), "pid", None)
    if pid is None:
        return
    with suppress(psutil.Error):
        kernel = psutil.Process(pid)
        kernel.suspend()  # it must start nothing more while its processes are counted
        for process in [kernel, *kernel.children(recursive=True)]:
            with suppress(psutil.Error):
                process.kill()
    if hasattr(os, "killpg"):
        with suppress(OSError):  # jupyter_client makes each kernel the leader of its group
            os.killpg(pid, signal.SIGKILL)


# --- what went wrong --------------------------------------------------------------------------------------------------


def _place(source: Source, execution: Execution, secrets: list[Secret]) -> dict[str, Any]:
    """Return which cell of the source it is: its number, its first line, and what was shown last."""
    if execution.at is None or execution.notebook is None:
        return {}
    cells = execution.notebook.cells
    injected = next((place for place, cell in enumerate(cells) if _INJECTED in cell.metadata.get("tags", ())), None)
    had_one = any(_INJECTED in (cell.get("metadata") or {}).get("tags", ()) for cell in source.cells)
    # papermill has put a cell with the parameters in, which the source does not have.
    shift = int(injected is not None and not had_one and execution.at >= injected)
    lines = (line.strip() for line in text_of(cells[execution.at]).splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return {
        "cell": execution.at + 1 - shift,
        "source": shown(first, secrets, most=200),
        "output": _last_output(cells[: execution.at + 1], secrets),
    }


def _last_output(cells: list[Any], secrets: list[Secret]) -> str:
    """Return what the last cell that showed a text showed."""
    for cell in reversed(cells):
        texts = []
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                texts.append("".join(output.text))
            elif "text/plain" in output.get("data", {}):
                texts.append("".join(output.data["text/plain"]) + "\n")
        if text := shown("".join(texts), secrets, most=2000, from_end=True):
            return text
    return ""


def _failed(source: Source, execution: Execution, secrets: list[Secret]) -> NotebookError | None:
    """Return the failure of a cell; None if it raised `Skip`, which is noted."""
    assert execution.at is not None  # noqa: S101 - a cell has failed
    errors = [each for each in execution.notebook.cells[execution.at].outputs if each.output_type == "error"]
    name, message, trace = (errors[-1].ename, errors[-1].evalue, errors[-1].traceback) if errors else ("?", "", [])
    if (reason := skip_of(trace)) is not None:
        execution.skipped = shown(reason, secrets, most=300)
        return None
    place = _place(source, execution, secrets)
    hint = ""
    if name == "SystemExit":
        hint = _('To end a notebook that has nothing to send, raise docmail.notebook.Skip("nothing new").')
    elif name == "StdinNotImplementedError":
        hint = _("Nobody is there to answer: make a parameter of what the cell asks for (-p NAME VALUE).")
    elif name == "ModuleNotFoundError":
        hint = _("Install it for the Python that executes the notebook, which may not be the one in JupyterLab.")
    return NotebookError(
        _("Cell {number} of {name} failed.").format(number=place["cell"], name=source.path.name),
        error=shown(f"{name}: {message}".removesuffix(": "), secrets, most=1000),
        hint=hint or _("Open the notebook, and run its cells from the top in a new kernel."),
        **place,
    )


def _timed_out(source: Source, execution: Execution, timeout: float, secrets: list[Secret]) -> NotebookError:
    place = _place(source, execution, secrets)
    if not place:
        return _no_start(source, _("{seconds:g} seconds were not enough").format(seconds=timeout))
    return NotebookError(
        _("{name} was not done after {seconds:g} seconds: cell {number} was still running. It was ended.").format(
            name=source.path.name, seconds=timeout, number=place["cell"]
        ),
        hint=_("Give it more time with --timeout (seconds), or look for what this cell waits for."),
        **place,
    )


def _died(source: Source, execution: Execution, secrets: list[Secret]) -> NotebookError:
    place = _place(source, execution, secrets)
    if execution.shown > _MOST_SHOWN:
        return NotebookError(
            _("{name} showed more than {size:,} MB, so it was ended in cell {number}.").format(
                name=source.path.name, size=_MOST_SHOWN // 1_000_000, number=place.get("cell", "?")
            ),
            hint=_("Print less: a loop may print on each of its rounds."),
            **place,
        )
    status = execution.exit_status
    if status == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False:
        why = _("the system killed it, most often because the memory was full")
        hint = _("Load less data at once, or run it on a computer with more memory.")
    elif status is not None and status < 0:
        why = _("signal {number}").format(number=-status)
        hint = _("A library has crashed: update it, or run the cell in JupyterLab to see what it says.")
    else:
        why = _("it ended by itself")
        hint = _("Look for exit(), quit() or os._exit() in this cell.")
    return NotebookError(
        _("The kernel of {name} ended while cell {number} was running: {why}.").format(
            name=source.path.name, number=place.get("cell", "?"), why=why
        ),
        hint=hint,
        **place,
    )


def _no_start(source: Source, reason: str) -> NotebookError:
    return NotebookError(
        _("The kernel of {name} did not start: {reason}.").format(name=source.path.name, reason=reason),
        hint=_(
            "“jupyter kernelspec list” shows the kernels of this Python; choose one of them in JupyterLab, and "
            "save the notebook."
        ),
    )
