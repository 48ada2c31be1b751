# SPDX-License-Identifier: ISC
"""Says how long it has been awake: reload the page, then wait until dynapm has stopped it, and reload again."""

import http.server
import sys
import time

AWAKE_SINCE = time.time()


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = f"Hello! I was started {time.time() - AWAKE_SINCE:.1f} seconds ago, for you.\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hello).serve_forever()
