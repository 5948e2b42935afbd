"""The types of the TypeScript client are what the Python types say."""

from services.web import typescript
from tests.support import REPOSITORY

FILE = REPOSITORY / "services" / "web" / "ui" / "client" / "src" / "types.ts"


def test_the_file_is_in_step() -> None:
    """When this fails: `python -m services.web.typescript > services/web/ui/client/src/types.ts`."""
    assert FILE.read_text() == typescript.text()
