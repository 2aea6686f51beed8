"""PostgreSQL's `vector` extension, where a server has it: an HNSW index over the vectors of images.

Nothing else of the schema depends on it. A server without it, or with one older than 0.8 (which cannot go on searching
when a filter has left too little), is searched exactly, in memory. The bytes stay what they are in the table; a
function makes of them what the extension compares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from schemas.errors import LedgerError
from schemas.likeness import PICTURE
from storage.vectors import WIDTH, sort_nearest, unpack

INDEX = "ix_image_vectors_hnsw"
OLDEST = (0, 8)
PATIENCE = 60
"""Seconds that making the index waits for the transactions of others, who may not wait for it."""
FURTHEST = 20_000
"""Vectors that one search looks at."""
LIST = 500
"""Candidates of one step of a search (`hnsw.ef_search`): at 100,000 images 0.96 of the 100 nearest, in a tenth of a
second."""

_FUNCTION = f"""
CREATE OR REPLACE FUNCTION dailies_vector(data bytea) RETURNS halfvec({WIDTH})
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
  SELECT array_agg((get_byte(data, place) + 128) % 256 - 128 ORDER BY place)::halfvec({WIDTH})
  FROM generate_series(0, {WIDTH - 1}) AS place;
END
"""
COMPARED = f"(dailies_vector(vector)::halfvec({WIDTH}))"
"""What the index is over, to be said alike in a query; a function's own result has no width to PostgreSQL."""
INDEXED = f"space LIKE '{PICTURE} %'"
"""Vectors of prompts are asked for rarely, and are not worth an index as large again."""
_INDEX = (
    f"CREATE INDEX CONCURRENTLY {INDEX} ON image_vectors USING hnsw ({COMPARED} halfvec_cosine_ops) WHERE {INDEXED}"
)


def has_index(session: Session | Connection) -> bool:
    """Whether it is there and complete."""
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
    return bool(session.scalar(text(query), {"name": INDEX}))


def make_index(engine: Engine) -> str:
    """Makes extension and index where they are missing; why not, where that cannot be. Others go on writing meanwhile.
    An index whose making was interrupted is made again."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if has_index(connection):
            return ""
        offered = connection.scalar(text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"))
        if offered is None:
            return "the PostgreSQL server has no pgvector"
        if tuple(int(part) for part in offered.split(".")[:2]) < OLDEST:
            return f"the PostgreSQL server has pgvector {offered}; expected {OLDEST[0]}.{OLDEST[1]} or newer"
        connection.detach()  # closed afterwards, and its settings with it
        for name, value in (
            ("lock_timeout", f"{PATIENCE}s"),  # for others' transactions, however they hang
            ("maintenance_work_mem", "1GB"),  # taken as needed; an index that outgrows it is built many times slower
            ("max_parallel_maintenance_workers", "0"),  # they would take all of it at once, out of shared memory
        ):
            connection.execute(text(f"SET {name} = '{value}'"))
        try:
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            connection.execute(text(_FUNCTION))
            connection.execute(text(f"DROP INDEX IF EXISTS {INDEX}"))
            connection.execute(text(_INDEX))
            # The server's own statistics wait while an index is made. By old ones it would sort all vectors.
            connection.execute(text("ANALYZE image_vectors"))
        except LedgerError as refused:
            return f"pgvector's index could not be made: {refused}"
    return ""


def find_nearest(session: Session, space: str, vector: NDArray[np.float32], most: int) -> list[int]:
    """As `VectorTable.find_nearest`, through the index: nearly all of the nearest, in their exact order. `space` is one
    of pictures."""
    for name, value in (
        ("hnsw.ef_search", LIST), ("hnsw.iterative_scan", "relaxed_order"), ("hnsw.max_scan_tuples", FURTHEST),
        ("jit", "off"),
    ):  # fmt: skip
        session.execute(text(f"SET LOCAL {name} = {value}"))
    query = text(
        f"SELECT id, vector FROM image_vectors WHERE space = :space AND {INDEXED} "
        f"ORDER BY {COMPARED} <=> CAST(:near AS halfvec({WIDTH})) LIMIT :most"
    )
    given = {"space": space, "near": _write(vector), "most": most}
    rows = session.execute(query, given).tuples().all()
    if not rows:
        return []
    likeness = unpack([kept for _, kept in rows]) @ vector
    return sort_nearest(np.array([number for number, _ in rows]), likeness)


def _write(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{value:.6g}" for value in vector) + "]"
