"""`python -m benchmarks NAME ...`: JSON on standard output, progress on standard error."""

from __future__ import annotations

import sys
from importlib import import_module

#: adding a benchmark is one module with main(arguments) and one line here
BENCHMARKS = {
    "adapters": "what an adapter costs per chunk of a stream, beside the bare SDK",
    "answers": "whether questions find their passages, and answers cite them",
    "citations": "how well the check of citations tells what holds from what does not",
    "care": "whether signs of acute crisis are seen, and only there",
    "documents": "how much of a document's text is read, beside what others read of it",
    "ingest": "what taking 500 files in costs, and what the chat feels of it",
    "lexicon": "nothing: makes the bilingual lexicons that questions are glossed with",
    "memory": "whether what was said long ago comes to mind again, beside BM25",
    "memorybank": "nothing: writes MemoryBank's dialogues in LoCoMo's shape",
    "retrieval": "how well search ranks, on judged collections in the shape of BEIR",
    "search": "what a search costs at any number of passages, beside FTS5 and sqlite-vec",
    "threads": "whether a thread of 1,500 turns opens and answers as quickly as one of ten",
    "turn": "what a turn costs beside the model",
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        lines = [f"  {name:10} {what}" for name, what in BENCHMARKS.items()]
        sys.exit("\n".join(["python -m benchmarks NAME ..., NAME one of:", *lines, "NAME --help tells more."]))
    import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
