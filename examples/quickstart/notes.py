# SPDX-License-Identifier: ISC
"""A page to leave notes on. They are kept in notes.txt, so that they are still there when the service was asleep."""

import html
import http.server
import sys
import urllib.parse
from pathlib import Path

NOTES = Path("notes.txt")
PAGE = """<!doctype html><title>Notes</title>
<h1>Notes</h1><ul>{notes}</ul>
<form method="post"><input name="note" autofocus> <button>Keep</button></form>
"""


class Notes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        notes = NOTES.read_text().splitlines() if NOTES.exists() else []
        page = PAGE.format(notes="".join(f"<li>{html.escape(note)}</li>" for note in notes)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        with NOTES.open("a") as f:
            f.write(form.get("note", [""])[0].replace("\n", " ") + "\n")
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Notes).serve_forever()
