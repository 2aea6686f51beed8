"""A ledger with very many images, filled in a minute or two: rows as a year of nights would have left them.

The database writes the rows itself, from a table of numbers and digests: INSERT ... SELECT, with indexes and keys put
back at the end. Half of everything belongs to one project, one image in a hundred is reviewed twice, what is approved
was delivered, and the newest images wait. Rows lie in the order in which they were made, so that a digest's place has
nothing to do with its age, as in life.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from sqlalchemy import Connection, Engine, text

from schemas.spec import ControlSpec, ImageSpec, ModelRef

ASSETS, PROJECTS, REVIEWERS, A_NIGHT, UNMADE = 2_000, 8, 20, 5_000, 500
THINGS = ("potion", "sword", "shield", "scroll", "helmet", "crown", "ring", "lantern", "book", "key")
COLOURS = ("red", "blue", "green", "golden", "black", "white", "violet")


def digest(n: int) -> str:
    return hashlib.sha256(n.to_bytes(8)).hexdigest()


def a_spec(n: int) -> ImageSpec:
    """Of number n; the rows of the ledger have this one's body with other names and seeds."""
    return ImageSpec(
        project="@project@",
        asset="@asset@",
        variant=f"s{n}",
        prompt="a @words@ in flat style, game icon, on a white background",
        negative_prompt="text, watermark, blurry",
        seed=n,
        width=1024,
        height=1024,
        num_inference_steps=30,
        guidance_scale=5.0,
        model=ModelRef(alias="sdxl", digest="0" * 64),
        controls=(ControlSpec(type="canny", image="1" * 64, model=ModelRef(alias="sdxl/canny", digest="2" * 64)),),
    )


def fill(engine: Engine, images: int, waiting: int) -> None:
    """Into a migrated and empty database; nobody else may use it meanwhile."""
    on_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        if on_sqlite:
            for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-3000000"):
                raw.execute(f"PRAGMA {pragma}")
        with connection.begin():
            put_back = _without_indexes(connection, on_sqlite)
            _numbers(connection, raw, images + UNMADE, on_sqlite)
            for table, columns in _rows(images, waiting, on_sqlite).items():
                where = columns.pop("where", "1 = 1")
                for values in columns.pop("each", ({},)):
                    chosen = ", ".join(f"{given}" for given in (columns | values).values())
                    names = ", ".join(columns | values)
                    connection.exec_driver_sql(
                        f"INSERT INTO {table} ({names}) SELECT {chosen} FROM numbers WHERE {where} ORDER BY n"
                    )
            for statement in put_back:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("DROP TABLE numbers")
            if not on_sqlite:
                for name in ("decisions", "nights", "failures"):
                    connection.exec_driver_sql(f"SELECT setval('{name}_id_seq', (SELECT max(id) + 1 FROM {name}))")
        if on_sqlite:
            raw.execute("PRAGMA journal_mode=WAL")
        connection.detach()  # the next one is prepared as usual
    if not on_sqlite:  # as autovacuum would have done by the morning
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _without_indexes(connection: Connection, on_sqlite: bool) -> list[str]:
    """Drops what would be kept up row by row; returns the statements that put it back."""
    if on_sqlite:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
        indexes = [tuple(row) for row in found]
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        return [sql for _, sql in indexes]
    connection.exec_driver_sql("SET maintenance_work_mem = '1GB'")
    keys = connection.exec_driver_sql(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), contype FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype IN ('f', 'p', 'u') ORDER BY contype = 'f' DESC"
    ).all()
    for table, name, _, _ in keys:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = connection.exec_driver_sql("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'").all()  # type: ignore[assignment]
    for name, _ in indexes:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    back = [f"ALTER TABLE {table} ADD CONSTRAINT {name} {said}" for table, name, said, kind in keys if kind != "f"]
    back += [sql for _, sql in indexes]
    return back + [f"ALTER TABLE {t} ADD CONSTRAINT {n} {said} NOT VALID" for t, n, said, kind in keys if kind == "f"]


def _numbers(connection: Connection, raw: Any, count: int, on_sqlite: bool) -> None:
    connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER, digest VARCHAR(64))")
    rows = ((n, digest(n)) for n in range(count))
    if on_sqlite:
        raw.executemany("INSERT INTO numbers VALUES (?, ?)", rows)
        return
    with raw.cursor().copy("COPY numbers FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _rows(images: int, waiting: int, on_sqlite: bool) -> dict[str, dict[str, Any]]:
    """Table -> column -> SQL over `numbers`; `where`: which numbers, `each`: several rows a number."""
    nights = -(-images // A_NIGHT)
    first = int(time.time()) - nights * 86_400

    def at(seconds: str) -> str:
        if on_sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%S.000000', {first} + {seconds}, 'unixepoch')"
        return f"to_timestamp({first} + {seconds})"

    def js(value: Any) -> str:
        said = json.dumps(value).replace("'", "''").replace("%", "%%" if not on_sqlite else "%")
        return f"'{said}'" if on_sqlite else f"CAST('{said}' AS json)"

    def of(names: tuple[str, ...], key: str) -> str:
        cases = " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(names))
        return f"CASE {key} {cases} END"

    mod = "%" if on_sqlite else "%%"
    asset_no = f"(n {mod} {ASSETS})"
    project = f"'project ' || CASE WHEN {asset_no} < {ASSETS // 2} THEN 0 ELSE 1 + {asset_no} {mod} {PROJECTS - 1} END"
    colour, thing = (of(names, f"({asset_no} {mod} {len(names)})") for names in (COLOURS, THINGS))
    words = f"{colour} || ' ' || {thing}"
    asset = f"{words} || ' ' || {asset_no}"
    body = a_spec(0).model_dump(mode="json", exclude_defaults=True) | {"engine_version": 1}
    said = js(body)
    plain = said if on_sqlite else said.removeprefix("CAST(").removesuffix(" AS json)")
    plain = f"replace(replace(replace({plain}, '@project@', {project}), '@asset@', {asset}), '@words@', {words})"
    seed = '"seed": '
    plain = f"replace({plain}, '{seed}0', '{seed}' || n)"
    night = f"(n / {A_NIGHT})"
    made_at = at(f"{night} * 86400 + (n {mod} {A_NIGHT}) * 5")
    decided_at = at(f"{night} * 86400 + 36000 + (n {mod} {A_NIGHT}) * 2")
    twice = f"n {mod} 100 = 3"
    waits = f"n >= {images - waiting}"
    verdict = f"CASE WHEN n {mod} 10 = 0 THEN 'reject' WHEN n {mod} 50 = 7 THEN 'retake' ELSE 'approve' END"
    named = {"project": project, "asset": asset}
    text_flag, brand_flag = f"n {mod} 7 = 0", f"n {mod} 4999 = 0"
    flags = f"CASE WHEN {text_flag} THEN ' text ' ELSE '' END || CASE WHEN {brand_flag} THEN ' brand ' ELSE '' END"

    def finding(criterion: str, flagged: str) -> dict[str, str]:
        return {"criterion": f"'{criterion}'", "result": f"CASE WHEN {flagged} THEN 'flag' ELSE 'pass' END"}

    manifest = {"project": "project 0", "brand": {}, "review": {}, "assets": [{"name": f"a{n}"} for n in range(400)]}
    sent = "'f' || lpad(CAST(n AS text), 63, '0')" if not on_sqlite else "'f' || printf('%063d', n)"
    sent_of = sent.replace("(n AS", f"({night} AS").replace(", n)", f", {night})")
    made = f"n < {images}"
    decided = {
        "image": "digest", "project": project, "marks": js({}), "reasons": js([]), "regions": js([]), "note": "''",
        "role": "'reviewer'", "seconds": f"1.0 + n {mod} 9", "where": f"{made} AND NOT {waits}",
    }  # fmt: skip
    first_one = {
        "id": "2 * n + 1", "revision": "1", "verdict": verdict, "reviewer": f"'r' || (n {mod} {REVIEWERS})",
        "decided_at": decided_at,
    }  # fmt: skip
    second = first_one | {
        "id": "2 * n + 2", "revision": "2", "reviewer": f"'r' || ((n + 1) {mod} {REVIEWERS})",
        "decided_at": at(f"{night} * 86400 + 50000 + (n {mod} {A_NIGHT})"),
    }  # fmt: skip
    differing = f"{made} AND {waits} AND {twice}"
    return {
        "nights": {
            "id": "n + 1", "started_at": at("n * 86400"), "ended_at": at("n * 86400 + 26000"), "planned": str(A_NIGHT),
            "started_by": "'schedule'", "outcome": "'complete'", "totals": js({"images": A_NIGHT}),
            "where": f"n < {nights}",
        },
        "submissions": {
            "digest": sent, "name": "'icons ' || n || '.yaml'", "project": "'project 0'", "object_key": "'manifests/x'",
            "body": js(manifest), "files": js({}), "priority": "0", "submitted_by": "'Mara'",
            "submitted_at": at("n * 86400"), "planned_at": at("n * 86400"), "where": f"n < {nights}",
        },
        "specs": named | {
            "digest": "digest", "body": plain if on_sqlite else f"CAST({plain} AS json)", "variant": "'s' || n",
            "tier": "'final'", "take": "1", "batch_key": f"'{a_spec(0).batch_key}'",
            "affinity_key": f"'{a_spec(0).affinity_key}'", "priority": "0",
            "due": "'9999-12-31'" if on_sqlite else "DATE '9999-12-31'", "submitted_by": "'Mara'",
            "planned_at": at(f"{night} * 86400"),
        },
        "orders": {"submission": sent_of, "spec": "digest", "where": made},
        "jobs": {
            "spec": "digest", "attempts": "1", "failures": f"CASE WHEN {made} THEN 0 ELSE 3 END",
            "done_at": f"CASE WHEN {made} THEN {made_at} END",
            "set_aside_at": f"CASE WHEN NOT {made} AND n {mod} 2 = 0 THEN {made_at} END",
        },
        "images": named | {
            "digest": "digest", "sha256": "digest", "object_key": "'images/' || digest || '.png'",
            "preview_key": "'previews/' || digest || '.webp'", "thumb_key": "'thumbs/' || digest || '.webp'",
            "media_type": "'image/png'", "bytes": "1500000", "width": "1024", "height": "1024", "conditions": js([]),
            "models": js({"sdxl": "0" * 64}), "versions": js({"diffusers": "0.42.1", "torch": "2.9"}),
            "device": "'cuda'", "dtype": "'bfloat16'", "batch": js({"size": 8, "row": 0}),
            "timings": js({"denoise": 0.8}), "gpu_seconds": "0.9", "phash": "substr(digest, 1, 16)",
            "night": f"{night} + 1", "worker": "'gpu:1'", "made_at": made_at, "where": made,
        },
        "findings": {
            "image": "digest", "score": "0.0", "sentence": "'looked'", "regions": js([]), "data": js({}), "where": made,
            "each": (finding("hands", "1 = 0"), finding("text", text_flag), finding("brand", brand_flag)),
        },
        "inbox": named | {
            "image": "digest", "rank": f"n {mod} 3", "flags": flags, "criteria": js(["hands", "text", "brand"]),
            "reviews_wanted": f"CASE WHEN {twice} THEN 2 ELSE 1 END", "waiting": waits,
            "decision": f"CASE WHEN NOT {waits} THEN CASE WHEN {twice} THEN 2 * n + 2 ELSE 2 * n + 1 END END",
            "verdict": f"CASE WHEN NOT {waits} THEN {verdict} END", "queued_at": made_at, "where": made,
            "revision": f"CASE WHEN {twice} THEN 2 WHEN {waits} THEN 0 ELSE 1 END",
        },
        "decisions": decided | first_one,
        "decisions ": decided | second | {"where": f"{decided['where']} AND {twice}"},
        "decisions  ": decided | first_one | {"where": differing, "verdict": "'approve'"},
        "decisions   ": decided | second | {"where": differing, "verdict": "'reject'"},
        "retakes": {
            "decision": f"CASE WHEN {twice} THEN 2 * n + 2 ELSE 2 * n + 1 END", "parent": "digest", "refused": "'cap'",
            "planned_at": decided_at, "where": f"{made} AND NOT {waits} AND {verdict} = 'retake'",
        },
        "deliveries": named | {
            "image": "digest", "name": "'icons/' || n || '.png'", "sidecar": "''", "delivered_at": decided_at,
            "decision": f"CASE WHEN {twice} THEN 2 * n + 2 ELSE 2 * n + 1 END",
            "where": f"n < {images - 10 * A_NIGHT} AND {verdict} = 'approve'",
        },
        "failures": {
            "spec": "digest", "night": f"{night} + 1", "cause": "'OutOfMemory'", "message": "'no room'",
            "worker": "'w'", "failed_at": made_at, "where": f"n {mod} 200 = 1 AND {made}",
        },
    }  # fmt: skip
