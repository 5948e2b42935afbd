"""`python -m services.archive`: compacts closed days of the journal once, and ends."""

from services.archive.compaction import main

raise SystemExit(main())
