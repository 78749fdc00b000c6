"""A small HTTP server on Python's standard library: one process, connections stay open, one page of 4 KiB.

It listens on PORT of loopback. Like an application, it reads the request and fills a template for each page.
"""

import http.server
import socketserver
import string
import sys

PAGE = string.Template("<title>$path</title><p>$agent</p>" + "<p>$path of a page</p>" * 180)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # the whole answer in one write

    def do_GET(self) -> None:
        body = PAGE.substitute(path=self.path, agent=self.headers.get("User-Agent", "nobody")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class PageServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    PageServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
