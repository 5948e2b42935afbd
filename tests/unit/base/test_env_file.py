"""The file of settings: what other tools take in one is taken here, and nothing in it vanishes by a slip."""

from pathlib import Path

import pytest

from messages.errors import IbStreamError
from services.base.settings import load, read_env_file, with_env_file


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("IBSTREAM_BUS_KEY=a", "a"),
        ("export IBSTREAM_BUS_KEY=a", "a"),
        ("  IBSTREAM_BUS_KEY = a  ", "a"),
        ("IBSTREAM_BUS_KEY=4002 # paper", "4002"),
        ("IBSTREAM_BUS_KEY=4002\t# paper # yes", "4002"),
        ("IBSTREAM_BUS_KEY=pass#word", "pass#word"),
        ("IBSTREAM_BUS_KEY=two words # said", "two words"),
        ("IBSTREAM_BUS_KEY=# nothing", ""),
        ("IBSTREAM_BUS_KEY= # nothing", ""),
        ("IBSTREAM_BUS_KEY=", ""),
        ('IBSTREAM_BUS_KEY="a # b"', "a # b"),
        ("IBSTREAM_BUS_KEY='a # b' # c", "a # b"),
        ('IBSTREAM_BUS_KEY="a"#c', '"a"#c'),
        ("IBSTREAM_BUS_KEY=mysql://u:p=x@h/n?a=b#c", "mysql://u:p=x@h/n?a=b#c"),
        ('IBSTREAM_BUS_KEY="open', '"open'),
        ("IBSTREAM_BUS_KEY=it's", "it's"),
        ("DATABASE_URL=postgres://other", ""),
        ("export OTHER='x'", ""),
        ("IBSTREM_BUS_KEY=a", None),
        ("IBSTREAM BUS_KEY=a", None),
        ("just words", None),
        ("", ""),
        ("   # a comment", ""),
    ],
)
def test_lines(tmp_path: Path, line: str, value: str | None) -> None:
    path = tmp_path / "env"
    path.write_text(f"# first\n{line}\n")
    if value is None:
        with pytest.raises(IbStreamError, match="line 2"):
            read_env_file(str(path))
    else:
        assert read_env_file(str(path)).get("IBSTREAM_BUS_KEY", "") == value


def test_the_mark_that_some_editors_put_first_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_bytes(b"\xef\xbb\xbfIBSTREAM_WEB_PORT=5001\r\n")
    assert read_env_file(str(path)) == {"IBSTREAM_WEB_PORT": "5001"}


def test_a_wrong_value_says_in_which_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("IBSTREAM_WEB_PORT=x\n")
    with pytest.raises(IbStreamError, match=str(path)):
        load({"IBSTREAM_ENV_FILE": str(path)})
    with pytest.raises(IbStreamError) as caught:
        load({"IBSTREAM_ENV_FILE": str(path), "IBSTREAM_WEB_PORT": "y"})
    assert str(path) not in caught.value.message


def test_the_command_line_finds_the_file_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("services.base.settings.CHECKOUT", tmp_path / "checkout")
    assert with_env_file({"A": "b"}) == {"A": "b"}
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / ".env").write_text("")
    assert with_env_file({}) == {}
    (tmp_path / "checkout" / "Procfile").write_text("")
    assert with_env_file({}) == {"IBSTREAM_ENV_FILE": str(tmp_path / "checkout" / ".env")}
    (tmp_path / ".env").write_text("")
    assert with_env_file({}) == {"IBSTREAM_ENV_FILE": str(tmp_path / ".env")}
    assert with_env_file({"IBSTREAM_ENV_FILE": "mine"}) == {"IBSTREAM_ENV_FILE": "mine"}
    assert with_env_file({"IBSTREAM_ENV_FILE": ""}) == {"IBSTREAM_ENV_FILE": ""}
