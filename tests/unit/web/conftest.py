import pytest

from tests.unit.web.support import Web


@pytest.fixture
def web(tmp_path):
    return Web(tmp_path)
