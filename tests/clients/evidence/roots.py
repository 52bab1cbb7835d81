"""Makes a log's leaves and roots anew, with none of its own code: the leaf of an event from the row that
the database shows, as docs/evidence.md says, and the roots over the leaves with pymerkle.

Standard input: {"rows": [a row of audit_event as PostgreSQL's to_jsonb, ...], "sizes": [...]}.
Standard output: {"leaves": [base64, ...], "roots": {size: base64, ...}}.
"""

import base64
import json
import sys

from pymerkle import InmemoryTree

# What the database keeps beside what an event says.
APART = {"transaction_id", "sequence", "leaf_hash"}
HASHES = {"document_hash", "token_hash"}


def instant(text):
    """PostgreSQL leaves out zeros at the end; a leaf always has six digits."""
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    return f"{whole}.{fraction:0<6}Z"


def leaf(row):
    event = {}
    for name, value in row.items():
        if name in APART or value is None or value == []:
            continue
        if name in HASHES:
            value = value.removeprefix("\\x")
        if name == "occurred_at":
            value = instant(value)
        event[name] = value
    # RFC 8785, for names in ASCII and numbers that are whole.
    text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def main():
    asked = json.load(sys.stdin)
    leaves = [leaf(row) for row in asked["rows"]]
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(leaves)
    coded = lambda data: base64.b64encode(data).decode()
    roots = {size: coded(tree.get_root(size)) for size in asked["sizes"]}
    json.dump({"leaves": [coded(one) for one in leaves], "roots": roots}, sys.stdout)


main()
