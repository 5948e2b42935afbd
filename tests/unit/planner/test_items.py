"""Snapshot CSVs as people and spreadsheets write them: right, or one clear sentence."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.errors import IbStreamError
from services.planner.items import Item, find_items, parse_items, parse_universe, read_file


def rows(data: bytes) -> list[tuple[str, float | None, float | None, float | None]]:
    return [(item.symbol, item.rank, item.weight, item.score) for item in parse_items(data, "the CSV").rows]


def problem(data: bytes) -> str:
    with pytest.raises(IbStreamError) as caught:
        parse_items(data, "the CSV")
    assert caught.value.code == "snapshot_unreadable"
    assert caught.value.message.startswith("the CSV ")
    return caught.value.message


PLAIN = [("AAPL", 1.0, 0.6, None), ("NVDA", 2.0, 0.4, None)]


@pytest.mark.parametrize(
    "data",
    [
        b"symbol,rank,weight\nAAPL,1,0.6\nNVDA,2,0.4\n",
        b"symbol,rank,weight\nAAPL,1,0.6\nNVDA,2,0.4",
        b"symbol,rank,weight\r\nAAPL,1,0.6\r\nNVDA,2,0.4\r\n",
        b"symbol,rank,weight\rAAPL,1,0.6\rNVDA,2,0.4\r",
        b"\xef\xbb\xbfsymbol,rank,weight\nAAPL,1,0.6\nNVDA,2,0.4\n",
        "symbol\trank\tweight\nAAPL\t1\t0.6\nNVDA\t2\t0.4\n".encode("utf-16"),
        b"WEIGHT,Symbol , RANK\n0.6,AAPL,1\n0.4,NVDA,2\n",
        b"symbol;rank;weight\nAAPL;1;0,6\nNVDA;2;0,4\n",
        b"sep=;\nsymbol;rank;weight\nAAPL;1;0,6\nNVDA;2;0,4\n",
        b"symbol,rank,weight\nAAPL,1,60%\nNVDA,2,40 %\n",
        b'"symbol","rank","weight"\n"AAPL","1","0.6"\n"NVDA","2","0.4"\n',
        b"\n\nsymbol,rank,weight\n\nAAPL,1,0.6\n,,\n  ,9,9\nNVDA,2,0.4\n\n",
        b"symbol,rank,weight\n AAPL ,1,0.6\nNVDA,2,0.4,and,more\n",
        b"id,name,symbol,rank,weight\n1,Caf\xe9,AAPL,1,0.6\n2,Z\xc3\xbcrich,NVDA,2,0.4\n",
    ],
)
def test_every_spelling_of_the_same_rows(data: bytes) -> None:
    assert rows(data) == PLAIN


def test_columns_that_are_missing_or_hold_no_number() -> None:
    assert rows(b"symbol\nAAPL\nNVDA") == [("AAPL", None, None, None), ("NVDA", None, None, None)]
    assert rows(b"symbol,rank,weight,score\nA,x,nan,inf\nB,,,7\n") == [("A", None, None, None), ("B", None, None, 7.0)]
    assert rows(b"symbol,weight\nA,-0.25\nB\n") == [("A", None, -0.25, None), ("B", None, None, None)]


def test_one_sentence_says_what_is_wrong() -> None:
    assert "is empty" in problem(b"")
    assert "is empty" in problem(b"\r\n \n")
    assert "no column `symbol`; its header is 'ticker', 'rank'" in problem(b"ticker,rank\nAAPL,1\n")
    assert "half written: its last line has 1 of 3 columns" in problem(b"symbol,rank,weight\nAAPL,1,0.6\nNV")
    assert "line 3" in problem(b'symbol,name\nAAPL,"Apple"\nNVDA,"Nvid')
    assert "UTF-16" in problem(b"\xff\xfes\x00y\x00m")
    assert "not a whole CSV file" in problem(b"symbol\n" + b"x" * 200_000)


def test_a_short_line_that_has_its_end_is_whole() -> None:
    assert rows(b"symbol,rank\nAAPL,1\nNVDA\n")[1] == ("NVDA", None, None, None)


def test_a_hundred_thousand_rows() -> None:
    data = b"symbol,rank\n" + b"".join(b"S%05d,%d\n" % (n, n) for n in range(100_000))
    items = parse_items(data, "the CSV").rows
    assert len(items) == 100_000
    assert items[-1] == Item("S99999", 100_001, 99_999.0)


def test_universe() -> None:
    data = b"Asset_Class,symbol,Category\nStock,XOM,Energy\nETF,XLE,energy\nstock,,energy\nstock,AAPL,\n"
    members = [(m.symbol, m.category, m.asset_class) for m in parse_universe(data, "the universe")]
    assert members == [("XOM", "energy", "stock"), ("XLE", "energy", "etf")]


@given(st.one_of(st.binary(), st.text().map(str.encode), st.text().map(lambda t: b"symbol,rank\n" + t.encode())))
def test_any_bytes_give_rows_or_a_sentence(data: bytes) -> None:
    try:
        items = parse_items(data, "the CSV").rows
    except IbStreamError as error:
        assert error.code == "snapshot_unreadable"
        assert error.message.count("\n") == 0
    else:
        assert all(item.symbol for item in items)


@given(st.integers(min_value=0, max_value=42))
def test_a_file_cut_anywhere_never_gives_a_wrong_symbol(length: int) -> None:
    whole = b"symbol,rank,weight\nAAPL,1,0.6\nNVDA,2,0.4\n"
    try:
        items = parse_items(whole[:length], "the CSV").rows
    except IbStreamError:
        return
    assert [item.symbol for item in items] in ([], ["AAPL"], ["AAPL", "NVDA"])


# --- files ---


def find(items_path: str, root: Path, items_root: str = "") -> Path:
    return find_items(items_path, items_root, root, "the CSV")


def test_relative_paths_start_at_the_data_root_or_the_items_root(tmp_path: Path) -> None:
    assert find("a/b.csv", tmp_path) == tmp_path / "a" / "b.csv"
    assert find("a/b.csv", tmp_path, str(tmp_path / "items")) == tmp_path / "items" / "a" / "b.csv"
    assert find(str(tmp_path / "x.csv"), Path("/nowhere")) == tmp_path / "x.csv"


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "a/../../secret.csv", "link/secret.csv"])
def test_outside_the_items_root_is_refused(tmp_path: Path, path: str) -> None:
    items_root = tmp_path / "items"
    items_root.mkdir()
    (items_root / "link").symlink_to(tmp_path)
    with pytest.raises(IbStreamError, match="outside IBSTREAM_ITEMS_ROOT"):
        find(path, tmp_path, str(items_root))


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "a\nb", "x" * 5000])
def test_what_is_no_path_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        read_file(find(path, tmp_path), "the CSV")
    assert caught.value.code == "snapshot_unreadable"


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening one that nobody writes would wait for ever
    for path, word in ((tmp_path / "pipe", "plain file"), (tmp_path, "directory"), (tmp_path / "gone", "is missing")):
        with pytest.raises(IbStreamError, match=word):
            read_file(path, "the CSV")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(IbStreamError, match="larger than 64 MB"):
        read_file(tmp_path / "huge.csv", "the CSV")


def test_what_is_left_out_is_counted_and_named() -> None:
    data = b"symbol,rank,weight\nAAPL,1,half\n,2,0.5\nNVDA,x,0.1\n,,\n,3,\n"
    assert parse_items(data, "the CSV").warnings == (
        "the CSV: 2 lines left out, without a symbol: line 3, line 6",
        "the CSV: 1 line with a rank that is no number, taken as not given: line 4 ('x')",
        "the CSV: 1 line with a weight that is no number, taken as not given: line 2 ('half')",
    )
    many = b"symbol,weight\n" + b"A,x\n" * 1000
    (warning,) = parse_items(many, "the CSV").warnings
    assert warning.startswith("the CSV: 1000 lines with a weight")
    assert warning.endswith(", ...")
    assert parse_items(b"symbol,weight\nAAPL,5%\n", "the CSV").warnings == ()


@pytest.mark.parametrize("swapped", ["folder", "file"])
def test_a_link_put_in_the_way_after_the_check_leads_nowhere(tmp_path: Path, swapped: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "day").mkdir(parents=True)
    outside.mkdir()
    for folder in (root / "day", outside):
        (folder / "items.csv").write_text("symbol\nSPY\n")
    path = find_items("day/items.csv", str(root), tmp_path, "the CSV")
    assert read_file(path, "the CSV", str(root)) == b"symbol\nSPY\n"
    if swapped == "folder":
        (root / "day").rename(root / "gone")
        (root / "day").symlink_to(outside)
    else:
        path.unlink()
        path.symlink_to(outside / "items.csv")
    with pytest.raises(IbStreamError, match="cannot be read"):
        read_file(path, "the CSV", str(root))


def test_columns_that_identify_a_contract_are_taken_and_empty_cells_say_nothing():
    data = b"symbol,isin,con_id,cusip\nAAPL,US0378331005,265598,\nNVDA,,0,\nSAP,DE0007164600,,\n"
    found = {item.symbol: item.identity for item in parse_items(data, "the CSV").rows}
    assert found == {
        "AAPL": (("con_id", "265598"), ("isin", "US0378331005")),
        "NVDA": (),
        "SAP": (("isin", "DE0007164600"),),
    }
