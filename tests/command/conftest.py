"""A folder to work in, and files in it."""

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(folder):
    """Return what writes a file of that name, and returns its name."""

    def write(name, text, encoding="utf-8"):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return name

    return write
