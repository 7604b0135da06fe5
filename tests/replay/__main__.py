"""`python -m tests.replay FILE...`: play recordings, print the result as JSON; exit 1 when anything differs,
2 when nothing can be read from a FILE."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from tests.replay.exchanges import why_nothing
from tests.replay.report import replay


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="JSONL, HAR, a fixture, or a folder of them"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    given = parser.parse_args()
    logging.disable()  # what an adapter finds odd is told in the result
    result = replay(given.files, None if given.quiet else lambda line: print(line, file=sys.stderr))
    print(json.dumps(result, ensure_ascii=False, indent=2).encode("utf-8", "replace").decode())
    empty = {str(path): why for path in given.files if (why := why_nothing(path))}
    for path, why in empty.items():
        print(f"Nothing was read from {path}: {why}.", file=sys.stderr)
    if empty:
        return 2
    return 1 if any(wire["differs"] for wire in result.values() if isinstance(wire, dict)) else 0


if __name__ == "__main__":
    sys.exit(main())
