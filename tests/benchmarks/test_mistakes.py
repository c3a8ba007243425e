"""What is wrong with a script's arguments is one line, as on the command line."""

import runpy
import sys

import pytest

from tests.benchmarks.conftest import FOLDER


@pytest.fixture
def script(monkeypatch, tmp_path, capsys):
    """Run a script as a program; returns its exit code, and what it says on standard output and error."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        said = capsys.readouterr()
        return stopped.value.code, said.out, said.err

    return call


@pytest.mark.parametrize("name", ["accuracy", "check", "fed", "isbi", "loader", "predict", "recipe", "stability"])
def test_a_folder_that_is_not_there_is_named_first(script, name):
    code, _, said = script(name, "--root", "nowhere")
    assert code == 2 and said.splitlines()[-1].startswith("error: nowhere: no such folder.")
    assert "Traceback" not in said


def test_a_checkpoint_that_is_not_there_is_named(script):
    code, _, said = script("fast_path", "--checkpoint", "nowhere")
    assert code == 2 and said.startswith("error: nowhere: no such folder.")


def test_what_is_no_result_is_one_line_too(script, tmp_path):
    (tmp_path / "images").mkdir()
    code, _, said = script("accuracy", "--root", ".", "--config", "isbi2012-cpu", "--time", "--out", "none.json")
    assert code == 2 and said.splitlines()[-1].startswith("error: none.json: no such file. --time times the networks")


def test_the_tables_know_their_options(script):
    assert script("tables", "--nonsense")[0] == 2
    code, help_text, _ = script("tables", "--help")
    assert code == 0 and "Write the tables of the README" in help_text
