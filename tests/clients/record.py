"""Records what the real dbt client reports while it builds our small warehouse (dbt_project/).

    python tests/clients/record.py [FILE]

Run it with the Python of tests/clients/requirements.txt. It starts a server on a free loopback port
that accepts every event, runs `dbt-ol` against it in a fresh folder (seed, run, test, and a second
run in which a mart fails since its exchange rates are missing), and writes the bodies of the events
as they came, one a line. It refuses to write a file that tells where it was made.
"""

import gzip
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(sys.executable).parent
RECORDED = HERE / "recorded" / "dbt-events.jsonl"
RUNS = [
    (["seed"], 0),
    (["run"], 0),
    (["test"], 0),
    (["run", "--vars", "{rates: raw_exchange_rates_today}"], 1),
]


class Sink(http.server.BaseHTTPRequestHandler):
    """Keeps every event that is sent to it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.events.append(json.loads(body))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def environment(home, port):
    """Nothing of the caller's own: whatever is in an environment may end up in an event."""
    return {
        "PATH": os.pathsep.join([str(TOOLS), "/usr/bin", "/bin"]),
        "HOME": str(home),
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "DO_NOT_TRACK": "1",
        "OPENLINEAGE_URL": f"http://127.0.0.1:{port}",
        "OPENLINEAGE_NAMESPACE": "shop",
    }


def record():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.events = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as top:
        folder = pathlib.Path(top) / "shop"
        shutil.copytree(HERE / "dbt_project", folder)
        inherited = environment(top, server.server_port)
        for arguments, expected in RUNS:
            command = [str(TOOLS / "dbt-ol"), *arguments, "--profiles-dir", "."]
            ended = subprocess.run(
                command, cwd=folder, env=inherited, stdout=sys.stderr, check=False
            ).returncode
            if ended != expected:
                sys.exit(f"dbt-ol {' '.join(arguments)}: ended with {ended}, not {expected}")
        server.shutdown()
        revealing = {top, str(HERE), socket.gethostname(), str(pathlib.Path.home()), "127.0.0.1"}
        return server.events, revealing


def main():
    events, revealing = record()
    text = "".join(json.dumps(event, sort_keys=True) + "\n" for event in events)
    found = [word for word in revealing if word in text]
    if found:
        sys.exit(f"the events tell where they were made: {found}")
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDED
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    print(f"{len(events)} events in {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
