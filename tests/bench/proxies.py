# SPDX-License-Identifier: ISC
"""The proxies that are compared, each configured to do the same: requests for bench.localhost go to one origin over
kept connections, Host stays, the X-Forwarded fields are set, one worker unless told otherwise."""

import json
import resource
from dataclasses import dataclass, field
from pathlib import Path

import measure

NGINX = """
daemon off; master_process on; worker_processes {workers}; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;
  upstream origin {{ server {origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{reuse}; server_name bench.localhost;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_max_temp_file_size 0;
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread {workers}
  maxconn {connections}
defaults
  mode http
  timeout connect 10s
  timeout client 3600s
  timeout http-keep-alive 3600s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend in
  bind 127.0.0.1:{port} backlog 4096
  http-request set-header X-Forwarded-Proto http
  use_backend origin if {{ hdr(host) -i bench.localhost }}
backend origin
  server origin {origin} pool-max-conn 256
"""


def most_connections():
    """That a proxy can have here, with another descriptor for each."""
    return min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 1000)


@dataclass
class Origin:
    port: int
    path: Path

    def base(self, unix):
        return f"http+unix://{self.path}" if unix else f"http://127.0.0.1:{self.port}"

    def server(self, unix, prefix="unix:"):
        return f"{prefix}{self.path}" if unix else f"127.0.0.1:{self.port}"


@dataclass
class Setup:
    """What one run wants of its proxy."""
    build: Path
    folder: Path
    origin: Origin
    unix: bool = False      # the origin's unix socket
    workers: int = 1
    limits: dict = field(default_factory=dict)  # of dynapm
    port: int = field(default_factory=measure.free_port)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


def dynapm(s):
    """As a service that was started on demand, bookkeeping included; the origin is up already."""
    (s.folder / "dynapm.d").mkdir()
    s.write("dynapm.d/bench.json", json.dumps({
        "host": "bench.localhost", "base": s.origin.base(s.unix), "commands": {"start": "true"},
        "idleTimeout": "never"}))
    config = s.write("dynapm.json", json.dumps({"limits": {"keepAliveTimeout": "never", **s.limits}}))
    return [s.build.resolve() / "dynapm", "--standalone", f"--workers={s.workers}", f"--listen=127.0.0.1:{s.port}",
            f"--config-dir={s.folder / 'dynapm.d'}", f"--config={config}", f"--runtime-dir={s.folder}"]


def nginx(s):
    conf = s.write("nginx.conf", NGINX.format(folder=s.folder, port=s.port, origin=s.origin.server(s.unix),
                                              workers=s.workers, reuse=" reuseport" if s.workers > 1 else ""))
    return [measure.find_program("nginx"), "-c", conf, "-p", s.folder]


def haproxy(s):
    conf = s.write("haproxy.conf", HAPROXY.format(port=s.port, origin=s.origin.server(s.unix, "unix@"),
                                                  workers=s.workers, connections=most_connections()))
    return [measure.find_program("haproxy"), "-q", "-f", conf]


def socket_proxyd(s):
    """Passes bytes and knows no HTTP: what the least that systemd itself has costs."""
    target = s.origin.server(s.unix, "")
    return ["systemd-socket-activate", "-l", f"127.0.0.1:{s.port}", SOCKET_PROXYD, f"--connections-max={most_connections()}", target]


SOCKET_PROXYD = "/lib/systemd/systemd-socket-proxyd"
ALL = {"dynapm": dynapm, "nginx": nginx, "HAProxy": haproxy, "socket-proxyd": socket_proxyd}
PROGRAMS = {"nginx": "nginx", "HAProxy": "haproxy", "socket-proxyd": "systemd-socket-activate"}
# Those that do the same job; the other passes bytes.
PEERS = ("nginx", "HAProxy")


def installed():
    """The names of those that can be measured here, dynapm first."""
    return [name for name in ALL if name not in PROGRAMS or measure.find_program(PROGRAMS[name])]
