"""How long the plan of 100,000 images takes, against a ledger that knows 1,000,000.

    python -m bench.plan [--images 100000] [--ledger 1000000] [--postgres]

From a manifest's bytes to written specs, orders and jobs, on SQLite in a temporary folder (or on a PostgreSQL of its
own); three tenths of the images were planned before, so that deduplication has something to find. Prints seconds, rows
a second and the peak resident memory of the process. The ledger's million is made by the database itself, untimed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from engine.model_files import ModelFiles
from schemas.reading.manifest_file import read_manifest
from schemas.records import Submission
from schemas.settings import Limits
from storage.database import migrate, open_database
from storage.ledger import Ledger
from tasks.planning.plan import count_images
from tasks.planning.submit import list_planned_specs, plan_submission

CATALOGUE = "hero:\n  {kind: checkpoint, path: weights, size: 1024}\nhero/look:\n  {kind: lora, path: look}\n"
PINS = {"hero": "a" * 64, "hero/look": "b" * 64}
KNOWN = 0.3  # of the images, planned before

FILL = {
    "sqlite": """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
        INSERT INTO specs (digest, body, project, asset, variant, tier, batch_key, affinity_key, take, priority, due,
                           submitted_by, planned_at)
        SELECT lower(hex(randomblob(32))), '{"prompt":"' || hex(randomblob(150)) || '"}', 'Old', 'Asset ' || (i / 500),
               i, 'final', 'batch ' || (i / 5000), 'affinity', 1, 0, '9999-12-31', 'somebody', '2026-01-01 00:00:00'
        FROM n""",
    "postgresql": """
        INSERT INTO specs (digest, body, project, asset, variant, tier, batch_key, affinity_key, take, priority, due,
                           submitted_by, planned_at)
        SELECT encode(sha256(i::text::bytea), 'hex'), json_build_object('prompt', repeat(md5(i::text), 9)), 'Old',
               'Asset ' || (i / 500), i::text, 'final', 'batch ' || (i / 5000), 'affinity', 1, 0, '9999-12-31',
               'somebody', '2026-01-01'
        FROM generate_series(1, :rows) AS i""",
}
JOBS = "INSERT INTO jobs (spec, attempts, failures) SELECT digest, 1, 0 FROM specs"


def manifest_of(images: int) -> bytes:
    """25 assets, each 2 styles x 10 colours x 2 weights x `images` / 1000 seeds."""
    colours = ", ".join(f"colour{index}" for index in range(10))
    head = f"""project: Bench
model: hero
styles:
  flat: {{prompt: "$prompt, flat style", negative_prompt: text}}
  oil: {{prompt: "$prompt, oil painting"}}
defaults: {{style: [flat, oil], seeds: {images // 1000}, values: {{colour: [{colours}]}}}}
assets:
"""
    asset = "  - {{name: Asset {0}, prompt: a $colour thing {0} on a table, loras: {{hero/look: [0.4, 0.8]}}}}\n"
    return (head + "".join(asset.format(index) for index in range(25))).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, help="a multiple of 1000")
    parser.add_argument("--ledger", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL started for this")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database(Path(folder), postgres=asked.postgres) as engine:
        (Path(folder) / "catalogue.yaml").write_text(CATALOGUE)
        catalogue = ModelFiles.read(Path(folder) / "catalogue.yaml")
        ledger = Ledger(engine)
        for alias, digest in PINS.items():
            ledger.pin(alias, digest)
        print(f"filling a ledger with {asked.ledger:,} specs on {engine.dialect.name}", file=sys.stderr)
        with engine.begin() as connection:
            connection.execute(text(FILL[engine.dialect.name]), {"rows": asked.ledger})
            connection.execute(text(JOBS))
        data = manifest_of(asked.images)
        manifest = read_manifest(data, "bench.yaml", Limits(images=asked.images))
        before = (
            spec
            for index, spec in enumerate(list_planned_specs(manifest, {}, catalogue, PINS))
            if index % 10 < KNOWN * 10
        )
        ledger.plan(None, before, priority=0, due=None, submitted_by="before")

        started, busy = time.perf_counter(), time.process_time()
        manifest = read_manifest(data, "bench.yaml", Limits(images=asked.images))
        images = count_images(manifest)
        ledger.submit(
            Submission(
                digest="c" * 64,
                name="bench.yaml",
                project=manifest.project,
                object_key="",
                body=manifest.model_dump(mode="json"),
                files={},
                priority=0,
                submitted_by="bench",
            )
        )
        planned = plan_submission(ledger, catalogue, "c" * 64)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    assert (planned.new + planned.existing, images) == (asked.images, asked.images), planned
    print(f"{images:,} images against {asked.ledger:,}: {planned.new:,} new, {planned.existing:,} known")
    print(f"{seconds:.1f} s ({busy:.1f} s of them on a core, {images / seconds:,.0f} images a second)")
    print(f"{peak:.0f} MB peak memory")


@contextmanager
def database(folder: Path, *, postgres: bool) -> Iterator[Engine]:
    if postgres:
        from tests.servers import postgres as start

        with start() as url:
            yield from _opened(url)
    else:
        yield from _opened(f"sqlite:///{folder / 'bench.db'}")


def _opened(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    migrate(engine)
    yield engine
    engine.dispose()


if __name__ == "__main__":
    main()
