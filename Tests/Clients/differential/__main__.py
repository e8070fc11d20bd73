"""`python -m differential record` asks a real server; `… compare URL` shows where a running Aerie differs."""
import json
import sys

from . import differences, recording

if sys.argv[1:] == ["record"]:
    recording.record()
elif len(sys.argv) == 3 and sys.argv[1] == "compare":
    differing = recording.differing(recording.answers(sys.argv[2]), recording.recorded())
    for name, (expected, found) in differing.items():
        if not differences.reason(name):
            print(f"{name}\n  mlflow {json.dumps(expected)[:600]}\n  aerie  {json.dumps(found)[:600]}")
else:
    sys.exit(__doc__)
