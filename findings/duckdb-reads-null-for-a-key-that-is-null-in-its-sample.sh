#!/usr/bin/env bash
# DuckDB's read_json gives NULL for a whole column whose first 20,480 rows were null, without an error.
#
# read_json of DuckDB 2.0.1 detects types from the first 20,480 rows of newline-delimited JSON. A key that is null in all of
# them gets the type "NULL", and every later value of it, of whatever type, is read as NULL. A log or an export whose first
# value of an optional key comes late loses that key silently. With sample_size=-1, or with columns named, all values are read.
#
# Output seen:
#   read_json(file)                        0 values of type "NULL"
#   read_json(file, sample_size=-1)        1 value of type VARCHAR
#   read_json(file, columns={n:'VARCHAR'}) 1 value of type VARCHAR
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1
venv/bin/python - <<'PYTHON'
import duckdb

with open("rows.ndjson", "w", encoding="utf-8") as file:
    file.write('{"n": null}\n' * 20_480 + '{"n": "late"}\n')
for options, count, name in (
    ("", 0, '"NULL"'),
    (", sample_size=-1", 1, "VARCHAR"),
    (", columns={n:'VARCHAR'}", 1, "VARCHAR"),
):
    ((found, type_),) = duckdb.sql(f"SELECT count(n), any_value(typeof(n)) FROM read_json('rows.ndjson'{options})").fetchall()
    assert (found, type_) == (count, name), f"now it is otherwise: {options} {found} {type_}"
    print(f"{f'read_json(file{options})':38} {found} value{'s' * (found != 1)} of type {type_}")
PYTHON
