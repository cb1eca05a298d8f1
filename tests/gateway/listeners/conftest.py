"""The fixture of the tests of TLS."""

from __future__ import annotations

import pytest
from helpers.tls import Pki, issue_pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return issue_pki(tmp_path_factory.mktemp("pki"))
