"""What is said of a failed notebook shows no password and no recipient, whatever the notebook has shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmail.notebook.redacting import known_secrets, shown
from docmail.secret import Secret


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("OperationalError: postgresql+psycopg2://ann:hun%40ter2@db.example.com:5432/x", "hun%40ter2"),
        ('{"password": "two words", "user": "ann"}', "two words"),
        ("{'client_secret': 'Zq8~abc', 'grant_type': 'x'}", "Zq8~abc"),
        ("login(user='ann', passwd='hunter2')", "hunter2"),
        ("PGPASSWORD=hunter2 psql", "hunter2"),
        ("wagwoord: geheim1", "geheim1"),
        ("Authorization: Bearer abc.def-ghi_jkl", "abc.def-ghi_jkl"),
        ("headers={'Authorization': 'Basic YW5uOmh1bnRlcjI='}", "YW5uOmh1bnRlcjI"),
        ("GET /v1?api_key=12ab34cd&limit=3", "12ab34cd"),
        ("x-api-key: 12ab34cd", "12ab34cd"),
        ("403 for ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7e42F"),
        ("key AKIAIOSFODNN7EXAMPLE was refused", "AKIAIOSFODNN7"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def expired", "eyJhbGci"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\nabc\n-----END PRIVATE KEY-----", "MIIEvQ"),
        ("app password abcd efgh ijkl mnop", "efgh"),
        ("sent with 3f786850e387550fdab836ed7e6dc881de23001b1", "3f786850e387"),
    ],
)
def test_what_looks_like_a_password_or_a_token_is_hidden(text: str, secret: str) -> None:
    assert secret not in shown(text, [])
    assert {"•", "…"} & {*shown(text, [])}


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'token'",
        "ValueError: time data '2026-11-31' does not match format '%Y-%m-%d'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/srv/reports/2026/sales_of_november_final_2.csv'",
        "ModuleNotFoundError: No module named 'statsmodels'",
        "KeyError: \"['Revenue_2026_in_thousands'] not in index\"",
        "ZeroDivisionError: division by zero",
        "HTTPSConnectionPool(host='api.example.com', port=443): Max retries exceeded with url: /v1/sales?year=2026",
    ],
)
def test_what_says_why_it_failed_stays(text: str) -> None:
    assert shown(text, []) == text


def test_addresses_colours_and_what_a_progress_bar_overwrote_go() -> None:
    text = "10%\r55%\r\n\x1b[31mrefused\x1b[0m for cfo@example.org\x07"
    assert shown(text, []) == "55%\nrefused for …@…"


def test_the_last_lines_are_kept_and_no_secret_is_cut_in_two() -> None:
    text = "x\n" * 50_000 + "hunter2hunter2 " * 40 + "\nlast"
    found = shown(text, [Secret("hunter2hunter2")], most=100, from_end=True)
    assert (len(found) <= 100, found.endswith("last"), "hunter" in found) == (True, True, False)


@given(st.text(min_size=6, max_size=30).filter(lambda text: text.strip() == text), st.text(max_size=50))
def test_a_known_secret_is_in_no_report(secret: str, around: str) -> None:
    if secret not in around:
        assert secret not in shown(f"{around}|{secret}|{around}", [Secret(secret)])


def test_variables_and_parameters_that_are_named_like_a_secret_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DB_PWD": "hunter2", "PWD": "/tmp", "TOKENIZERS_PARALLELISM": "false", "EDITOR": "vi"}.items():
        monkeypatch.setenv(name, value)
    known = {secret.reveal() for secret in known_secrets(None, {"api_key": 12345, "month": "2026-11"})}
    assert {"hunter2", "12345"} <= known
    assert known.isdisjoint({"/tmp", "false", "vi", "2026-11"})
