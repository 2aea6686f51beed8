"""What stores and broadcasters ask for: which delivered assets a model made or changed, with what, and where they are
used. A CSV with a line an asset's image, and a Markdown page of the same.

Steam, the App Store and the EU's AI Act (article 50) each ask in their own words; this is the list to answer them from.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import astuple, dataclass, fields

from schemas.catalogue import Catalogue
from schemas.errors import InputError
from schemas.manifest import Manifest
from storage.image_metadata import find_digital_source
from storage.ledger import Ledger
from tasks.delivery.index import quote_cell
from tasks.delivery.licences import find_ancestors, list_licences

KINDS = {
    "trainedAlgorithmicMedia": "made by a model",
    "compositeWithTrainedAlgorithmicMedia": "a given picture, changed by a model",
    "digitalCreation": "drawn by people",
    "humanEdits": "edited by people",
    "digitalCapture": "a photograph",
}
"""IPTC's digital source types, for a person."""


@dataclass(frozen=True)
class Row:
    asset: str
    variant: str
    file: str
    used_in: str
    how: str
    digital_source_type: str
    models: str
    licences: str
    pictures: str
    approved_by: str
    image: str


def list_disclosure(project: str, *, ledger: Ledger, catalogue: Catalogue | None) -> list[Row]:
    """Of what was delivered and is still approved, by asset. InputError when nothing of the project was."""
    withdrawn = {row.image for row in ledger.deliveries(project=project, withdrawn=True)}
    left = [row for row in ledger.deliveries(project=project) if row.image not in withdrawn]
    if not left:
        raise InputError(f"nothing of project {project!r} was delivered; expected a project of which something was")
    digests = [row.image for row in left]
    specs, briefs = ledger.specs(digests), ledger.briefs(digests)
    ancestors = find_ancestors(ledger, specs.values())
    reviewers = ledger.find_reviewers([row.decision for row in left])
    rows = []
    for row in left:
        spec, brief = specs[row.image], briefs[row.image]
        manifest = Manifest.model_validate(brief.manifest_body)
        licences = list_licences(
            spec, ancestors=ancestors[spec.digest], manifest=manifest, files=brief.files, catalogue=catalogue
        )
        models = [one for one in licences if one.kind != "picture"]
        source = find_digital_source(spec).rpartition("/")[2]
        rows.append(
            Row(
                asset=spec.asset,
                variant=spec.variant,
                file=row.name,
                used_in=_used_in(manifest, spec.asset),
                how=KINDS.get(source, source),
                digital_source_type=source,
                models=", ".join(one.what for one in models),
                licences="; ".join(f"{one.what}: {one.text or 'not said'}" for one in licences),
                pictures=", ".join(one.what for one in licences if one.kind == "picture"),
                approved_by=reviewers.get(row.decision, ""),
                image=row.image,
            )
        )
    return sorted(rows, key=lambda row: (row.asset, row.variant, row.file))


def write_csv(rows: list[Row]) -> bytes:
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow([field.name for field in fields(Row)])
    lines.writerows([quote_cell(value) for value in astuple(row)] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def write_markdown(project: str, rows: list[Row]) -> bytes:
    counts = Counter(row.how for row in rows)
    models = sorted({model for row in rows for model in row.models.split(", ") if model})
    lines = [
        f"# AI disclosure: {project}",
        "",
        f"{len(rows)} delivered images; each was approved by a person before it was delivered.",
        "",
        *(f"- {count} {how}" for how, count in sorted(counts.items())),
        f"- models: {', '.join(models)}",
        "",
        "| asset | how | used in | file | models | given pictures |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"{row.asset} {row.variant}".strip()
        cells = (name, row.how, row.used_in, row.file, row.models, row.pictures)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    said = sorted({part for row in rows for part in row.licences.split("; ") if part})
    lines += ["", "Licences:", "", *(f"- {part}" for part in said)]
    return ("\n".join(lines) + "\n").encode()


def _used_in(manifest: Manifest, asset: str) -> str:
    try:
        return manifest.asset(asset).used_in
    except KeyError:
        return ""
