"""Writes notebooks as their files are, without running them: each test says what a kernel would have put there."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

PYTHON: dict[str, Any] = {
    "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"},
    "language_info": {"name": "python"},
}


def png(size: tuple[int, int] = (40, 30), form: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "navy").save(file, form)
    return base64.b64encode(file.getvalue()).decode()


def said(text: str, *tags: str, **more: Any) -> dict[str, Any]:
    """Return a Markdown cell."""
    return {"cell_type": "markdown", "metadata": {"tags": list(tags)}, "source": text, **more}


def ran(source: str, *outputs: dict[str, Any], count: int | None = 1, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a code cell with its outputs."""
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
        "outputs": list(outputs),
        "execution_count": count,
    }


def shown(**forms: Any) -> dict[str, Any]:
    """Return an output in these forms: `html=`, `plain=`, `png=`, or any media type as `**{...}`."""
    known = {
        "html": "text/html",
        "plain": "text/plain",
        "markdown": "text/markdown",
        "latex": "text/latex",
        "png": "image/png",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "svg": "image/svg+xml",
    }
    data = {known.get(form, form): content for form, content in forms.items()}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def printed(text: str | list[str], name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def failed(ename: str = "NameError", evalue: str = "name 'x' is not defined") -> dict[str, Any]:
    trace = ["\x1b[31mTraceback\x1b[0m", "/home/anna/secret/report.py in <module>"]
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": trace}


def write(path: Path, *cells: dict[str, Any], **more: Any) -> Path:
    """Write a notebook of these cells; return its path."""
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": PYTHON, "cells": list(cells), **more}
    path.write_text(json.dumps(whole), "utf-8")
    return path
