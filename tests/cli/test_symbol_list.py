"""A list of symbols is read as people write it, and junk is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.cli import symbol_list
from ingestion_server.cli.symbol_list import SymbolListError, Unreadable, read


@pytest.fixture
def written(tmp_path: Path):
    """Write a list, and read it."""

    def listed(content: bytes | str):
        path = tmp_path / "symbols"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path)

    return listed


@pytest.mark.parametrize(
    "content",
    [
        "AAPL\nBRK.B\nEUR/USD\n",
        "AAPL\r\nBRK.B\r\nEUR/USD",
        "AAPL\rBRK.B\rEUR/USD\r",
        "\ufeffaapl\n\n  brk.b  \n# a comment\n   # another\neur/usd # the pair\n",
        "AAPL\nAAPL\nBRK.B\nEUR/USD\naapl\n",
        'symbol,name\nAAPL,Apple\n"BRK.B","Berkshire, B"\nEUR/USD,\n',
        "Ticker;Name\nAAPL;Apple\nBRK.B;B\nEUR/USD;\n",
        "AAPL\tApple\nBRK.B\tB\nEUR/USD\t",
    ],
)
def test_one_symbol_per_line_however_it_is_written(written, content: str) -> None:
    found = written(content)

    assert found.symbols == ("AAPL", "BRK.B", "EUR/USD")
    assert found.unreadable == ()


def test_a_symbol_like_a_heading_further_down_is_a_symbol(written) -> None:
    assert written("AAPL\nSYMBOL\n").symbols == ("AAPL", "SYMBOL")


def test_junk_is_named_with_its_line_and_keeps_nothing_back(written) -> None:
    found = written(
        b"AAPL\nA B\n\xf0\x9f\x98\x80\n\xff\xfeX\n,Apple\nEUR/EUR\n"
        + b"x" * 100
        + b"\nMSFT\n\x00\n"
    )

    assert found.symbols == ("AAPL", "MSFT")
    assert [(each.line, each.text) for each in found.unreadable] == [
        (2, "A B"),
        (3, "😀"),
        (4, "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}X"),
        (5, ""),
        (6, "EUR/EUR"),
        (7, "x" * 40 + "…"),
        (9, "\N{REPLACEMENT CHARACTER}"),
    ]
    reasons = [each.reason for each in found.unreadable]
    assert "no symbol has" in reasons[0]
    assert reasons[2] == "is not UTF-8"
    assert reasons[3] == "its first column is empty"
    assert "itself" in reasons[4]
    assert "longer than" in reasons[5]


def test_one_symbol_too_many_is_named(written) -> None:
    lines = "\n".join(f"A{n}" for n in range(10_001))

    found = written(f"{lines}\nA7\n")

    assert len(found.symbols) == 10_000
    assert found.unreadable == (
        Unreadable(10_001, "A10000", "is one too many: a job takes 10,000"),
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "there is no symbol in it"),
        ("# nothing\n\n", "there is no symbol in it"),
        ("symbol\n", "there is no symbol in it"),
        ("AAPL\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_without_symbols_is_refused(written, content, told: str) -> None:
    with pytest.raises(SymbolListError, match=told):
        written(content)


def test_a_file_of_junk_alone_names_it(written) -> None:
    with pytest.raises(SymbolListError) as failure:
        written("A B\nC D\n")

    assert [each.line for each in failure.value.unreadable] == [1, 2]


def test_a_file_that_is_no_list_is_not_read_to_its_end(
    written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbol_list, "_MOST_BYTES", 10)

    with pytest.raises(SymbolListError, match="too large for a list"):
        written("A\n" * 6)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(SymbolListError, match="No such file"):
        read(tmp_path / "nothing")
    with pytest.raises(SymbolListError, match="directory"):
        read(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_are_refused(content: bytes) -> None:
    try:
        found = symbol_list._read(content)  # noqa: SLF001 - without a file for each
    except SymbolListError:
        return

    named = [each.line for each in found.unreadable]
    assert named == sorted(set(named))
    assert all(each.text.isprintable() for each in found.unreadable)
