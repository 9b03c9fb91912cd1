"""C compiled on first use: once, kept, rebuilt when anything changes, and never a half-written file."""
import os
import subprocess
import sys

import pytest

from odl_kit.learners import native


@pytest.fixture
def source(tmp_path, monkeypatch, need_tool):
    """A C file of one function, and a cache of its own."""
    if not native.compilers():
        need_tool("cc", "gcc", "clang", "zig", hint=native.HINT)
    monkeypatch.setenv("ODL_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "answer.c"
    file.write_text("int answer(void) { return 42; }\n")
    native._library.cache_clear()
    yield file
    native._library.cache_clear()


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def test_compiled_once_said_once_and_kept(source, tmp_path, capfd, monkeypatch):
    assert native.library(source).answer() == 42
    assert "compiling answer.c" in capfd.readouterr().err
    kept = files(tmp_path)
    native._library.cache_clear()                                       # as in a new process
    monkeypatch.setattr(native, "_compile", None)
    assert native.library(source).answer() == 42 and capfd.readouterr().err == ""
    assert files(tmp_path) == kept and len(kept) == 1


def test_another_source_or_processor_is_compiled_anew(source, tmp_path, monkeypatch):
    native.library(source)
    source.write_text("int answer(void) { return 43; }\n")
    native._library.cache_clear()
    assert native.library(source).answer() == 43
    monkeypatch.setattr(native, "processor", lambda: ("another",))
    native._library.cache_clear()
    native.library(source)
    assert len(files(tmp_path)) == 3


def test_a_damaged_file_is_compiled_anew(source, tmp_path):
    cache = tmp_path / "cache"
    call = [sys.executable, "-c", f"from odl_kit.learners import native; print(native.library({str(source)!r}).answer())"]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == "42\n"
    (cache / files(tmp_path)[0]).write_bytes(b"half of it")
    assert native.library(source).answer() == 42


def test_two_processes_may_compile_at_once(source, tmp_path):
    call = [sys.executable, "-c", f"from odl_kit.learners import native; print(native.library({str(source)!r}).answer())"]
    both = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in both] == ["42\n", "42\n"]
    assert len(files(tmp_path)) == 1, "no draft is left behind"


def test_a_cache_that_cannot_be_written_costs_a_compilation_not_the_run(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ODL_CACHE", str(tmp_path / "file" / "cache"))
    library = native.library(source)
    assert library.answer() == 42
    folder = os.path.dirname(library._name)
    assert os.name == "nt" or os.stat(folder).st_mode & 0o077 == 0, "nobody else may put a file there"


def test_the_next_compiler_is_tried_when_one_fails(source, monkeypatch):
    broken = (sys.executable, "-c", "import sys; sys.exit('error: no headers')")
    working = native.compilers()
    monkeypatch.setattr(native, "compilers", lambda: [broken, *working])
    assert native.library(source).answer() == 42
    monkeypatch.setattr(native, "compilers", lambda: [broken])
    source.write_text("int answer(void) { return 44; }\n")
    native._library.cache_clear()
    with pytest.raises(native.Unavailable, match="error: no headers"):
        native.library(source)


def test_without_a_compiler_the_error_says_how_to_get_one(source, monkeypatch):
    monkeypatch.setattr(native, "compilers", lambda: [])
    with pytest.raises(native.Unavailable, match="apt install gcc"):
        native.library(source)


def test_odl_native_0_switches_it_off(source, monkeypatch):
    native.library(source)
    monkeypatch.setenv("ODL_NATIVE", "0")
    with pytest.raises(native.Unavailable, match="ODL_NATIVE=0"):
        native.library(source)


def test_the_cache_is_the_users_own(monkeypatch):
    monkeypatch.delenv("ODL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.setattr(sys, "platform", "linux")
    assert native.cache_folder().as_posix() == "/somewhere/odl_kit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert native.cache_folder().as_posix() == os.path.expanduser("~") + "/.cache/odl_kit"
