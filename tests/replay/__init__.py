"""Recorded traffic of model APIs, played again through the app's own adapters over real HTTP.

    python -m tests.replay FILE...

`exchanges` reads the files, `kinds` tells what each exchange is, `asked` makes of the recorded request what
the app would ask, `stage` and `server` answer from the recording, `recorded` reads by itself what the
recording says, `compare` and `bodies` hold the adapters' events and requests against that, `play` runs it.

Invariant: exchanges = run + not run, each of the latter with a reason; what the recording says is read
here without a line of the adapters' code.
"""
