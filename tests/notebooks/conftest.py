"""What the tests of all notebooks share: small parameters, and a history that has changes."""

import pytest

from ragft.types import RagftError


@pytest.fixture
def given(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    return {
        "profile": "smoke",
        "results": str(tmp_path / "results"),
        "figures": str(tmp_path / "figures"),
    }


@pytest.fixture
def history(given):
    """Releases of a package between which defaults changed; skips where there is no index."""
    from ragft.corpora.packages import package_history

    try:
        package_history("networkx", ["2.4", "2.8.8"])
    except RagftError as error:
        pytest.skip(f"no package index: {error}")
    return "networkx==2.4,2.8.8"
