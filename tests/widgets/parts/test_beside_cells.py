"""What the browser says to docmail while a cell runs does not disturb that cell: in a real kernel, with a subshell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.support.jupyter import environment
from tests.support.requires import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

pytestmark = pytest.mark.timeout(300)

SHOW = """\
import asyncio, threading
import matplotlib.pyplot as plt
{view}
heard = threading.Semaphore(0)
widget.on_msg(lambda *_: heard.release())
widget.comm._reply_subshell_for = lambda data, subshell: subshell  # what ipykernel does as soon as a thread has spoken
print(widget.comm.comm_id, end="")
"""

CHART = """\
figure, axes = plt.subplots()
print("drawing", flush=True)  # whereupon two messages come: with the second one, all is over that the first sets off
in_time = [await asyncio.to_thread(heard.acquire, timeout=30) for _ in range(2)]
print(in_time, plt.get_fignums(), end="")
plt.close("all")
"""

VIEWS = {
    "what is drawn": "from docmail.widgets.parts.painted import Painted\nwidget = Painted()",
    "buttons": "from docmail.widgets.parts.controls import Actions\nwidget = Actions([])",
    "password": "from docmail.widgets.parts.controls import Password\nwidget = Password()",
    "field": "from docmail.widgets.parts import form_rows\nwidget = form_rows.text('Name')()",
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    """Return the client of a running kernel."""
    manager, client = start_new_kernel(env=environment(tmp_path_factory.mktemp("kernel-home")))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def subshell(kernel: BlockingKernelClient) -> str:
    """Return the subshell to which JupyterLab sends what widgets say."""
    about = kernel.kernel_info(reply=True, timeout=60)["content"]
    if "kernel subshells" not in about.get("supported_features", ()):
        unavailable("this ipykernel is older than 7.0, and has no subshells")
    kernel.control_channel.send(kernel.session.msg("create_subshell_request", {}))
    content: dict[str, Any] = kernel.get_control_msg(timeout=60)["content"]
    assert content["status"] == "ok", content
    return str(content["subshell_id"])


def run(kernel: BlockingKernelClient, code: str) -> str:
    """Return what the code prints."""
    said: list[str] = []
    reply = kernel.execute_interactive(code, timeout=120, output_hook=lambda message: said.append(printed(message)))
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(said)


def printed(message: dict[str, Any]) -> str:
    """Return what a message of the kernel adds to the standard output."""
    return str(message["content"]["text"]) if message["msg_type"] == "stream" else ""


@pytest.mark.parametrize("beside", [True, False], ids=["in a subshell", "between two steps of the cell"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_message_to_a_widget_does_not_take_the_figure_from_the_cell_that_draws_it(
    kernel: BlockingKernelClient, subshell: str, view: str, *, beside: bool
) -> None:
    """As when a cell is run again: the views that leave the screen say so while the next cell draws."""
    comm = run(kernel, SHOW.format(view=view))
    said: list[str] = []

    def listen(message: dict[str, Any]) -> None:
        said.append(printed(message))
        if "drawing" not in said[-1]:
            return
        for _ in range(2):
            spoken = {"comm_id": comm, "data": {"method": "custom", "content": {"closed": True}}}
            sent = kernel.session.msg("comm_msg", spoken)
            if beside:
                sent["header"]["subshell_id"] = subshell
            kernel.shell_channel.send(sent)

    kernel.execute_interactive(CHART, timeout=120, output_hook=listen)

    assert "".join(said) == "drawing\n[True, True] [1]"
