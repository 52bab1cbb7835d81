"""Records what the real dbt finds of sources of every kind: `dbt source freshness`.

    python tests/clients/record_sources.py [FILE]

Run it with the Python of tests/clients/requirements.txt. In a fresh folder it makes a warehouse with a
table that is fresh, one that is late, one that is too late, one without rows, and names one that is
not there; then it runs dbt and keeps its sources.json. It refuses to write a file that tells where it
was made.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import duckdb

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(sys.executable).parent
RECORDED = HERE / "recorded" / "dbt-sources.json"
PROJECT = """\
name: shop
version: "1.0.0"
profile: shop
config-version: 2
flags:
  send_anonymous_usage_stats: false
"""
PROFILES = """\
shop:
  target: warehouse
  outputs:
    warehouse: {type: duckdb, path: shop.duckdb, threads: 1}
"""
SOURCES = """\
version: 2
sources:
  - name: raw
    schema: main
    config:
      loaded_at_field: loaded_at
      freshness:
        warn_after: {count: 30, period: minute}
        error_after: {count: 2, period: hour}
    tables:
      - name: orders
      - name: payments
      - name: customers
        config:
          freshness:
            warn_after: {count: 1, period: hour}
            error_after: {count: 1, period: day}
      - name: refunds
      - name: exchange_rates
"""
LOADED = {"orders": "5 minutes", "payments": "1 hour", "customers": "3 days", "refunds": None}


def main():
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDED
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "models").mkdir()
        (folder / "dbt_project.yml").write_text(PROJECT)
        (folder / "profiles.yml").write_text(PROFILES)
        (folder / "models" / "sources.yml").write_text(SOURCES)
        with duckdb.connect(folder / "shop.duckdb") as warehouse:
            for table, age in LOADED.items():
                warehouse.execute(f"CREATE TABLE {table} (id INTEGER, loaded_at TIMESTAMPTZ)")
                if age:
                    warehouse.execute(f"INSERT INTO {table} VALUES (1, now() - INTERVAL '{age}')")
        environment = {"PATH": f"{TOOLS}:/usr/bin:/bin", "HOME": str(folder), "TZ": "UTC",
                       "LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
        # It ends with 1: some of the sources are too late, and one cannot be told.
        ended = subprocess.run([TOOLS / "dbt", "source", "freshness", "--profiles-dir", "."],
                               cwd=folder, env=environment, check=False)
        if ended.returncode != 1:
            sys.exit(f"dbt ended with {ended.returncode}, and 1 was expected")
        found = json.loads((folder / "target" / "sources.json").read_text())
        text = json.dumps(found, indent=1, sort_keys=True) + "\n"
        for secret in (str(folder), str(HERE), socket.gethostname(), os.environ.get("USER") or "/root"):
            if secret in text:
                sys.exit(f"{secret} is in what dbt wrote")
        target.write_text(text)


if __name__ == "__main__":
    main()
