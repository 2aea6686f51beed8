"""`python -m review_app`: the review app on this machine."""

from __future__ import annotations

import argparse
import sys


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m review_app", description="Serve the review app.")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--address", default="127.0.0.1", help="0.0.0.0 to be reached from elsewhere (docs/review.md)")
    asked = parser.parse_args()
    from review_app.serve import serve
    from schemas.errors import DailiesError

    print(f"Review: http://{asked.address}:{asked.port}", flush=True)
    try:
        serve(port=asked.port, address=asked.address)
    except DailiesError as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(wrong.exit_code)


if __name__ == "__main__":
    main()
