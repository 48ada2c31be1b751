# SPDX-License-Identifier: ISC
"""The JSON Schema and the parser say the same: about a corpus of documents, and about which keys there are."""

import json
import os
import pathlib
import re
import subprocess

import pytest

jsonschema = pytest.importorskip("jsonschema")

BUILD = pathlib.Path(os.environ.get("DYNAPM_BUILD_DIR", "build"))
ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK = BUILD / "tests" / "unit" / "config-check"
SCHEMA = json.loads((ROOT / "src" / "config" / "dynapm.schema.json").read_text())
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))


def validator(form):
    """Of a drop-in (the schema itself) or of one of its definitions."""
    schema = SCHEMA if form == "drop-in" else {**SCHEMA, "$ref": f"#/$defs/{form}"}
    if form != "drop-in":
        for key in ("if", "then", "else"):
            schema.pop(key)
    return jsonschema.Draft202012Validator(schema)


# ── documents ──

BASE = {"base": "http://127.0.0.1:3001"}
EXEC = {"exec": ["/usr/bin/node", "server.js"]}
HOST = {"host": "blog.example.com"}
SERVICE = {**HOST, **BASE, **EXEC}
COMMANDS = {"commands": {"start": "a", "stop": "b", "check": "c"}}
PROXY = {"proxyOnly": True}


def without(document, *keys):
    return {k: v for k, v in document.items() if k not in keys}


def variants(key, values, base=SERVICE):
    return [{**base, key: v} for v in values]


def routes(*items, **more):
    return {**EXEC, "routes": list(items), **more}


def whole(*services, **more):
    return {"services": {f"s{i}.test": s for i, s in enumerate(services)}, **more}


HOST_ROUTE = {"type": "host", "value": "a.test", "target": "http://127.0.0.1:1"}
PORT_ROUTE = {"type": "port", "value": 8080, "target": "http://[::1]:1"}
SPANS = [1, 5000, 5.0, "5min", "1h 30s", "250ms", "1.5s", " 2 d ", "3hours 4 minutes", "1h30min", "7us", "2µs", "1 w"]
NO_SPANS = [-1, 1.5, True, None, "", "5", "5 mins", "min", "1h x", "never ever", [5], {}, "-5s", "5min,", "Never"]
ENDPOINTS = ["http://127.0.0.1:3001", "http://127.0.0.1", "http://127.0.0.1:1/", "http://localhost:65535", "http://[::1]:80",
             "http://app.localhost:3000/", "http://0.0.0.0:1", "http+unix:///run/x.sock"]
NO_ENDPOINTS = ["", "127.0.0.1:3001", "http://", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:080",
                "http://example.com:80", "http://localhost:x", "http://127.0.0.1:3001/api", "http://127.0.0.1?x",
                "http://::1:80", "http://[::1", "http://[::1]x", "http://u:p@127.0.0.1", "https://127.0.0.1:443",
                "tcp://127.0.0.1", "tcp://127.0.0.1:1/", "tcp://example.com:1", "http+unix://run/x.sock", "http+unix:///", "http+unix:///" + "x" * 107, 5, None,
                "ftp://127.0.0.1", "http://256.0.0.1", "http://1.2.3", "http://localhost.:1", "http://-a.localhost:1"]
HOSTS = ["a", "a.test", "A.TEST", "*.example.com", "my_app.test", "127.0.0.1", "[::1]", "xn--bcher-kva.example", "a" * 63,
         "*.com", "1.2"]
NO_HOSTS = ["", "*", "a.*.b", "*a.test", "a:80", "http://a", "a/b", "-a", "a-", "a..b", "a.", ".a", "a b", "bücher.test",
            "::1", "[::1", "[::1]:80", "a" * 64, ".".join(["a" * 60] * 5), 5, None, [], "*.*.a"]
PATHS = ["/", "/api", "/api/", "/a/b", "/%20", "/a:b@c;d=e"]
NO_PATHS = ["", "api", "/a b", "/a?b", "/a#b", "/ü", 5, None]
PORTS = [1, 8080, 65535, 80.0, "8080", "127.0.0.1:80", "[::1]:80", "localhost:80", "0080"]
PERCENTAGES = ["50%", "0.01%", "100%", "100.00%", "12.5%", "05%"]
NO_PERCENTAGES = ["0%", "0.00%", "101%", "100.01%", "12.345%", "%", "-5%", "5 %", ".5%", "5.%"]
SIZES = [1, 536870912, 4.0, "1", "65536", "512M", "1.5G", "10K", "2T", "0.5G", "infinity", *PERCENTAGES]
NO_SIZES = [0, -1, 1.5, True, None, "", "0", "0K", "0.0M", "512MB", "512 M", "512m", "512Mi", "1.5", "M", "1.1234567G", "-1M",
            "0x10", "1e9", "Infinity", "never", [5], {}, *NO_PERCENTAGES]
NO_LIMITS = {
    "memoryMax": NO_SIZES,
    "memoryHigh": NO_SIZES,
    "cpuQuota": [20, 0.5, True, None, "", "20", "0%", "0.00%", "12.345%", "20 %", "infinity", "20%%", [], {}],
    "cpuWeight": [0, 10001, -1, 1.5, True, None, "", "0", "10001", "Idle", "50%", [], {}],
    "ioWeight": [0, 10001, -1, 1.5, True, None, "", "0", "10001", "idle", "50%", [], {}],
    "tasksMax": [0, -1, 1.5, True, None, "", "0", "1.5", "64K", "never", [], {}, *NO_PERCENTAGES],
}
NO_PORTS = [0, -1, 65536, 1.5, "", "0", "65536", "x", "a.test:80", "unix:/run/x.sock", ":80", "127.0.0.1", None, True]

ACCEPTED = [
    SERVICE,
    {"$schema": "dynapm.schema.json", **SERVICE},
    {**HOST, **BASE, **COMMANDS},
    {**HOST, **BASE, "commands": {"start": "a"}},
    {**HOST, **BASE, "commands": {"start": "a", "cwd": "/srv", "env": {"A": "b"}}},
    {**HOST, **BASE, **PROXY},
    {**HOST, **BASE, **PROXY, "idleTimeout": 5, "startTimeout": 5, "healthCheck": {}},
    {**SERVICE, "proxyOnly": False},
    *variants("unit", ["blog", "blog.service", "a@b.service", "x.target", "my.app"], {**HOST, **BASE}),
    *variants("exec", [["node"], ["/bin/x", "", "a b"]]),
    *variants("name", ["a", "A.b_c-9", "x" * 64]),
    *variants("idleTimeout", [0, "0s", "never", "infinity", *SPANS]),
    *variants("webSocketIdle", [0, "0s", "never", "infinity", *SPANS]),
    *variants("startTimeout", ["never", "infinity", *SPANS]),
    *variants("stopTimeout", ["never", *SPANS]),
    *variants("base", ENDPOINTS),
    *variants("host", HOSTS),
    *variants("hosts", [HOSTS, ["a"]], without(SERVICE, "host")),
    *variants("port", PORTS),
    *variants("port", PORTS, without(SERVICE, "host")),
    *variants("path", PATHS),
    *variants("stripPath", [True, False]),
    *variants("cwd", ["/", "/srv/blog"]),
    *variants("user", ["www-data", "_x", "a.b", "U9"]),
    *variants("group", ["www-data", "_x", "a.b", "U9"]),
    {**HOST, **BASE, **COMMANDS, "group": "www-data", "memoryMax": "1G", "notify": False},
    *variants("memoryMax", SIZES),
    *variants("memoryHigh", SIZES),
    *variants("cpuQuota", ["20%", "150%", "0.01%", "33.3%", "100000%"]),
    *variants("cpuWeight", [1, 100, 10000, 5.0, "20", "idle"]),
    *variants("ioWeight", [1, 100, 10000, 5.0, "20"]),
    *variants("tasksMax", [1, 64, 5.0, "64", "infinity", *PERCENTAGES]),
    *variants("notify", [True, False]),
    {**SERVICE, "notify": True, "healthCheck": {"type": "http"}},
    {**HOST, **BASE, "unit": "a", "notify": False},
    *variants("env", [{}, {"A": "", "b_9": "x", "_C": 5, "D": 1.5, "E": True}]),
    *variants("healthCheck", [
        {}, {"type": "tcp"}, {"port": 80}, {"type": "tcp", "port": 80, "timeout": 5, "interval": "10ms"}, {"type": "none"},
        {"type": "http"}, {"type": "http", "url": "/health?x=1"}, {"type": "http", "url": "http://127.0.0.1:1/x?y"},
        {"type": "http", "url": "http://localhost"}, {"type": "http", "port": 1, "expectedStatus": 204},
        {"type": "command", "command": "true"}]),
    *variants("healthCheck", [{"timeout": s, "interval": s} for s in SPANS]),
    {"port": 5432, "base": "tcp://localhost:5432", **EXEC},
    *variants("acceptProxyProtocol", [True, False], {"port": 80, **BASE, **EXEC}),
    *variants("sendProxyProtocol", ["v1", "v2"], {"port": 5432, "base": "tcp://[::1]:5432", **EXEC}),
    routes({**PORT_ROUTE, "target": "tcp://127.0.0.1:1"}, HOST_ROUTE),
    routes(HOST_ROUTE),
    routes(HOST_ROUTE, PORT_ROUTE),
    routes(without(HOST_ROUTE, "target"), **BASE),
    routes({**HOST_ROUTE, "path": "/x", "stripPath": True}, {**HOST_ROUTE, "path": "/y", "stripPath": False}),
    routes(HOST_ROUTE, **HOST, **BASE),
    {**SERVICE, "routes": []},
    *[routes({**PORT_ROUTE, "value": p}) for p in PORTS],
    *[routes({**HOST_ROUTE, "value": h}) for h in HOSTS],
    *[routes({**HOST_ROUTE, "target": e}) for e in ENDPOINTS],
    # whole DynaPM configurations
    whole(),
    whole(without(SERVICE, "host")),
    whole(SERVICE, port=3000, host="127.0.0.1", logging={"enableRequestLog": True, "enableWebSocketLog": False},
          adminApi={"enabled": True, "port": 4000, "authToken": None, "allowedIps": ["127.0.0.1"], "more": {"x": 1}}),
    whole({"name": "with blanks", **BASE, **COMMANDS}),
    whole({**BASE, **COMMANDS, **PROXY, "idleTimeout": 10000, "startTimeout": 5000}),
    whole({**BASE, "commands": {"start": "a", "stop": "b", "check": "c", "cwd": "app", "env": {"PORT": 3001}}}),
    whole({**BASE, **COMMANDS, "routes": []}),
    whole({**COMMANDS, "host": "ignored.test", "routes": [HOST_ROUTE, PORT_ROUTE]}),
    whole({**BASE, **COMMANDS, "healthCheck": {"type": "tcp", "url": "http://127.0.0.1:1/", "expectedStatus": 200}}),
    whole({**BASE, **COMMANDS, "healthCheck": {"type": "none", "command": "x"}}, limits={"maxConnections": 5}),
]

REFUSED = [
    {},
    without(SERVICE, "host"),
    without(SERVICE, "base"),
    without(SERVICE, "exec"),
    {**without(SERVICE, "exec"), "proxyOnly": False},
    {**SERVICE, **COMMANDS},
    {**SERVICE, **PROXY},
    {**SERVICE, "unit": "blog.service"},
    {**HOST, **BASE, **COMMANDS, **PROXY},
    *variants("proxyOnly", ["yes", 1, None], {**HOST, **BASE}),
    {**SERVICE, "hots": "x"},
    {**SERVICE, "limits": {}},
    *variants("$schema", [5]),
    *variants("unit", ["", ".service", "@x", "a@.service", "a@", "x.slice", "x.device", "a b", "x" * 241, "a/b", 5, None],
              {**HOST, **BASE}),
    *variants("exec", [[], "node", [""], ["./x"], ["a/b"], [5], ["/x", None], {}, None]),
    *variants("commands", [{}, {"stop": "x"}, {"start": ""}, {"start": 5}, {"start": "a", "strat": "b"}, "a", [], None,
                           {"start": "a", "cwd": "srv"}, {"start": "a", "env": []}, {"start": "a", "check": ""}],
              {**HOST, **BASE}),
    {**HOST, **BASE, "cwd": "/", "commands": {"start": "a", "cwd": "/"}},
    {**HOST, **BASE, "env": {}, "commands": {"start": "a", "env": {}}},
    *[{**HOST, **BASE, **kind, key: value} for kind in (PROXY, {"unit": "a"})
      for key, value in (("cwd", "/"), ("env", {}), ("user", "a"), ("group", "a"), ("memoryMax", 5), ("memoryHigh", 5),
                         ("cpuQuota", "5%"), ("cpuWeight", 5), ("ioWeight", 5), ("tasksMax", 5), ("notify", True))],
    {**HOST, **BASE, **COMMANDS, "notify": True},
    *variants("notify", ["yes", 1, None]),
    *[{**SERVICE, key: value} for key, values in NO_LIMITS.items() for value in values],
    *variants("name", ["", "a b", "a/b", "x" * 65, "ü", 5, None]),
    *variants("idleTimeout", NO_SPANS),
    *variants("webSocketIdle", NO_SPANS),
    *variants("acceptProxyProtocol", ["v1", "", 1, None], {"port": 80, **BASE, **EXEC}),
    *variants("sendProxyProtocol", ["v3", "", True, 1, None], {"port": 5432, "base": "tcp://[::1]:5432", **EXEC}),
    *variants("startTimeout", [0, "0s", *NO_SPANS]),
    *variants("stopTimeout", [0, "0ms", *NO_SPANS]),
    *variants("base", NO_ENDPOINTS),
    *variants("host", NO_HOSTS),
    *variants("hosts", [[h] for h in NO_HOSTS]),
    *variants("hosts", ["a", {}, 5, None]),
    *variants("hosts", [[]], without(SERVICE, "host")),
    *variants("port", NO_PORTS),
    *variants("path", NO_PATHS),
    *variants("stripPath", ["x", 1, None]),
    *variants("cwd", ["", "srv", "./x", 5, None]),
    *variants("user", ["", "a b", "9", "-a", "x" * 33, 1000, None]),
    *variants("group", ["", "a b", "9", "-a", "x" * 33, 1000, None]),
    *variants("env", [[], "A=b", {"A": None}, {"A": []}, {"9": "x"}, {"": "x"}, {"A=B": "x"}, {"a b": "x"}, None]),
    *variants("healthCheck", [
        "tcp", [], None, {"type": "htp"}, {"type": 5}, {"type": "tcp", "url": "/"}, {"url": "/"}, {"command": "x"},
        {"type": "http", "command": "x"}, {"type": "command"}, {"type": "command", "command": ""},
        {"type": "command", "command": "x", "port": 1}, {"type": "none", "port": 1}, {"type": "tcp", "expectedStatus": 200},
        {"type": "http", "expectedStatus": 99}, {"type": "http", "expectedStatus": 600}, {"type": "http", "expectedStatus": "200"},
        {"type": "http", "url": ""}, {"type": "http", "url": "x"}, {"type": "http", "url": "https://127.0.0.1/"},
        {"type": "http", "url": "http://example.com/"}, {"type": "http", "url": "/a b"}, {"type": "http", "url": "/#x"},
        {"type": "http", "url": "http://127.0.0.1?x"}, {"type": "http", "port": 0}, {"port": "80"}, {"tpye": "tcp"}]),
    *variants("healthCheck", [{"timeout": s} for s in [0, "0s", "never", "infinity", *NO_SPANS]]),
    *variants("healthCheck", [{"interval": s} for s in [0, "infinity", *NO_SPANS]]),
    {**EXEC, **BASE, "routes": []},
    routes(without(HOST_ROUTE, "target")),
    routes(HOST_ROUTE, **HOST),
    *[{**SERVICE, "routes": r} for r in ({}, "a", 5, None, [5], ["a"], [{}])],
    *[routes(r) for r in (without(HOST_ROUTE, "type"), without(HOST_ROUTE, "value"), {**HOST_ROUTE, "type": "hots"},
                          {**HOST_ROUTE, "port": 5}, {**HOST_ROUTE, "stripPath": 1})],
    *[routes({**PORT_ROUTE, "value": p}) for p in NO_PORTS],
    *[routes({**HOST_ROUTE, "value": h}) for h in NO_HOSTS],
    *[routes({**HOST_ROUTE, "target": e}) for e in NO_ENDPOINTS],
    *[routes({**HOST_ROUTE, "path": p}) for p in NO_PATHS],
    # whole DynaPM configurations
    {"services": []},
    {"services": None},
    whole({}),
    whole(5),
    whole(BASE),
    whole({**BASE, **COMMANDS, **EXEC}),
    whole({**BASE, **PROXY, **EXEC}),
    whole(COMMANDS),
    whole({**BASE, **COMMANDS, "descripton": "x"}),
    whole({**BASE, **COMMANDS, "notify": True}),
    whole({**BASE, **COMMANDS, "memoryMax": "5MB"}),
    whole({**BASE, **COMMANDS, "idleTimeout": None}),
    whole({**BASE, **COMMANDS, "name": ""}),
    whole({**BASE, **COMMANDS, "healthCheck": {"type": "command"}}),
    whole({**COMMANDS, "routes": [HOST_ROUTE, without(PORT_ROUTE, "target")]}),
    whole(port=0),
    whole(port="3000"),
    whole(host="example.com"),
    whole(SERVICE, prot=3000),
]

GLOBAL_ACCEPTED = [
    {},
    {"port": 80, "host": "::"},
    *[{"host": h} for h in ("", "localhost", "0.0.0.0", "::1")],
    *[{"limits": {"requestHeadTimeout": s, "clientWriteTimeout": s}} for s in ("never", *SPANS)],
    {"limits": {"maxConnections": 1, "maxConnectionsPerAddress": 0, "maxParkedRequests": 1048576,
                "maxParkedRequestsPerService": 1, "maxConcurrentStarts": 0, "maxRequestHead": 65536}},
    {"logging": {}},
    {"logging": {k: True for k in ("enableRequestLog", "enableWebSocketLog", "enableErrorLog", "enablePerformanceLog")}},
    {"trustedProxies": ["10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", "0.0.0.0/0", "::/0", "1.2.3.4/32", "::1/128"]},
    {"trustedProxies": []},
    {"acceptProxyProtocol": True},
    {"adminApi": {}},
    {"adminApi": {"enabled": False, "host": "admin.test", "port": 1, "other": [1]}},
    *[{"adminApi": {"enabled": True, **a}} for a in (
        {}, {"port": 4001}, {"host": "::1"}, {"host": None, "authToken": None}, {"listen": "localhost:80"},
        {"listen": "[::1]:80"}, {"listen": "unix:/run/x"}, {"listen": "0.0.0.0:80", "authToken": "a.-_~+/9=="},
        {"listen": "0.0.0.0:80", "tokenFile": "/etc/t"}, {"host": "::", "tokenCredential": "dynapm.admin-token"},
        {"host": "", "allowedIps": ["0.0.0.0/0", "::/0"]}, {"hostname": "admin.test", "allowedIps": ["10.0.0.0/8"]},
        {"authToken": "a", "readOnlyToken": "b"}, {"authToken": "a", "readOnlyTokenFile": "/b"},
        {"authToken": "a", "readOnlyTokenCredential": "b"}, {"allowedIps": []})],
    {"$schema": "x", **whole(SERVICE)},
]

GLOBAL_REFUSED = [
    SERVICE,
    *[{"host": h} for h in ("example.com", "[::1]", 5, None, "127.0.0.1:80")],
    *[{"port": p} for p in (0, 65536, 1.5, "80", None)],
    *[{"limits": {"requestHeadTimeout": s}} for s in (0, "0s", *NO_SPANS)],
    *[{"limits": {"maxRequestHead": n}} for n in (1023, 65537, "4096", 1.5, None)],
    *[{"limits": {"maxConnections": n}} for n in (0, -1, 1048577)],
    *[{"limits": v} for v in ([], 5, None, {"maxConnection": 5})],
    *[{"acceptProxyProtocol": v} for v in ("v1", 1, None)],
    *[{"logging": v} for v in ([], None, {"enableRequestLog": 1}, {"enableRequestlog": True})],
    *[{"trustedProxies": v} for v in ("10.0.0.0/8", {}, None, [5], [""], ["example.com"], ["10.0.0.0/33"], ["10.0.0.0/"],
                                      ["::/129"], ["10.0.0/8"], ["10.0.0.0/08"])],
    *[{"adminApi": v} for v in (
        [], None, True, {"port": 0}, {"enabled": "yes"}, {"allowedIps": "x"}, {"allowedIps": ["x"]}, {"allowedIps": [None]},
        {"listen": "80"}, {"listen": 80}, {"listen": "admin.test:80"}, {"listen": "unix:run"}, {"listen": "127.0.0.1:0"},
        {"hostname": "*.test"}, {"hostname": "a b"}, {"hostname": None}, {"authToken": ""}, {"authToken": "a b"},
        {"authToken": "a=b"}, {"authToken": "x" * 257}, {"authToken": 5}, {"readOnlyToken": "ü"}, {"tokenFile": "t"},
        {"readOnlyTokenFile": None}, {"tokenCredential": "a/b"}, {"tokenCredential": ".."}, {"readOnlyTokenCredential": ""})],
]

# Sentences that only a parser can say.
ONLY_THE_PARSER = [
    {**SERVICE, "host": "[1::2::3]"},
    {**SERVICE, "base": "http://[1::2::3]:80"},
    {**SERVICE, "idleTimeout": "99999999999999999999h"},
    {**SERVICE, "memoryMax": "99999999999T"},
    {**SERVICE, "memoryHigh": "99999999999999999999"},
    {**SERVICE, "memoryHigh": "0.0001K"},
    {**SERVICE, "tasksMax": "18446744073709551615"},
    {**SERVICE, "cpuQuota": "21474837%"},
    {**SERVICE, "base": "tcp://127.0.0.1:1"},
    {**SERVICE, "sendProxyProtocol": "v1"},
    {**SERVICE, "acceptProxyProtocol": True},
    routes(HOST_ROUTE, {**HOST_ROUTE, "target": "http://127.0.0.1:2"}),
    routes(PORT_ROUTE, {**PORT_ROUTE, "value": "127.0.0.1:8080"}),
    {"services": {"not a host": {**BASE, **COMMANDS}}},
    whole({**BASE, **COMMANDS, "port": 3000}),
    whole({**SERVICE}, {**SERVICE}),
]
GLOBAL_ONLY_THE_PARSER = [
    {"trustedProxies": ["10.1.2.3/8"]}, {"trustedProxies": ["1::2::3"]}, {"adminApi": {"alowedIps": []}},
    *[{"adminApi": {"enabled": True, **a}} for a in (
        {"host": "admin.test"}, {"host": "0.0.0.0"}, {"listen": "192.0.2.1:80"}, {"hostname": "admin.test"}, {"host": "::"},
        {"listen": "127.0.0.1:80", "port": 80}, {"authToken": "a", "tokenFile": "/a"}, {"readOnlyToken": "a"},
        {"authToken": "a", "readOnlyToken": "b", "readOnlyTokenFile": "/b"})],
    {"port": 4000, "adminApi": {"enabled": True}},
]


def problems(folder, documents, form="drop-in"):
    """What the parser says about each document: its lines, without the file."""
    paths = []
    for i, document in enumerate(documents):
        path = folder / f"{i:04d}" / "svc.json"
        path.parent.mkdir()
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        paths.append(path)
    prefix = "--global=" if form == "global" else ""
    args = [f"{prefix}{p if prefix else p.parent}" for p in paths]
    run = subprocess.run([CHECK, *args], capture_output=True, text=True, timeout=300)
    said = [[] for _ in documents]
    for line in run.stdout.splitlines():
        file, rest = re.fullmatch(r"(.*?/svc\.json)(:.*)", line).groups()
        said[paths.index(pathlib.Path(file))].append(rest)
    assert run.returncode == (1 if any(said) else 0), run.stderr
    return said


def test_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("form, documents", [("drop-in", ACCEPTED), ("global", GLOBAL_ACCEPTED)])
def test_what_is_right_both_accept(tmp_path, form, documents):
    schema = validator(form)
    refused = [(d, said) for d, said in zip(documents, problems(tmp_path, documents, form)) if said]
    assert refused == [], "the parser refuses these"
    assert [d for d in documents if not schema.is_valid(d)] == [], "the schema refuses these"


@pytest.mark.parametrize("form, documents", [("drop-in", REFUSED), ("global", GLOBAL_REFUSED)])
def test_what_is_wrong_both_refuse(tmp_path, form, documents):
    schema = validator(form)
    said = problems(tmp_path, documents, form)
    assert [d for d, lines in zip(documents, said) if not lines] == [], "the parser accepts these"
    assert [x for lines in said for x in lines if not re.match(r":\d+:\d+: ", x)] == [], "these name no place"
    assert [d for d in documents if schema.is_valid(d)] == [], "the schema accepts these"


@pytest.mark.parametrize("form, documents", [("drop-in", ONLY_THE_PARSER), ("global", GLOBAL_ONLY_THE_PARSER)])
def test_what_a_schema_cannot_say_the_parser_says(tmp_path, form, documents):
    schema = validator(form)
    accepted = [d for d, said in zip(documents, problems(tmp_path, documents, form)) if not said]
    assert accepted == [], "the parser accepts these"
    assert [d for d in documents if not schema.is_valid(d)] == [], "the schema can tell: these belong to REFUSED"


# ── keys ──


def resolve(schema):
    return SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def keys_of(schema, prefix=""):
    """Paths of all keys with a fixed name, as the parser's tables print them."""
    schema = resolve(schema)
    if "items" in schema and "properties" in resolve(schema["items"]):
        return keys_of(schema["items"], prefix + "[]")
    found = set()
    for key, sub in schema.get("properties", {}).items():
        path = f"{prefix}.{key}" if prefix else key
        found |= {path} | keys_of(sub, path)
    if found and schema.get("additionalProperties") is True:
        found.add(f"{prefix}.*")
    return found


@pytest.mark.parametrize("form, definition", [("service", "serviceKeys"), ("global", "global")])
def test_schema_and_tables_have_the_same_keys(form, definition):
    lines = subprocess.run([CHECK, "--keys"], capture_output=True, text=True, check=True).stdout.splitlines()
    parser = {line.split(" ", 1)[1] for line in lines if line.startswith(form + " ")}
    assert parser
    assert keys_of(SCHEMA["$defs"][definition]) == parser


def test_every_key_is_described():
    def missing(schema, path):
        for key, sub in schema.get("properties", {}).items():
            if not sub.get("description") and not resolve(sub).get("description"):
                yield f"{path}.{key}"
            yield from missing(resolve(sub), f"{path}.{key}")

    described = ("serviceKeys", "route", "commands", "healthCheckKeys", "global")
    assert [m for name in described for m in missing(SCHEMA["$defs"][name], name)] == []


# ── examples ──


def strip_comments(text):
    return re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or " ", text, flags=re.S)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_are_right_and_explained(path):
    run = subprocess.run([CHECK, path], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")
    bare = strip_comments(path.read_text())
    assert [e.message for e in validator("drop-in").iter_errors(json.loads(bare))] == []
    assert bare != path.read_text(), "an example explains itself"
    assert path.name in (path.parent / "README.md").read_text()


def test_a_unit_beside_an_example_is_the_one_that_it_names():
    readme = (ROOT / "examples" / "README.md").read_text()
    beside = [p for p in (ROOT / "examples").iterdir() if p.suffix in (".service", ".container")]
    assert beside
    for path in beside:
        config = json.loads(strip_comments(path.with_suffix(".json").read_text()))
        assert config["unit"] == path.with_suffix(".service").name
        assert config["base"].removeprefix("http://") in path.read_text()
        assert "[Install]" not in path.read_text().split("\n", 1)[1], "only dynapm starts it"
        assert path.name in readme


def test_examples_work_side_by_side():
    names = {p.name for p in EXAMPLES}
    assert names >= {"node-app.json", "python-app.json", "static-site.json", "pm2.json", "docker.json", "nohup.json",
                     "limits.json", "notify.json", "unit.json", "template-instance.json", "user-service.json",
                     "docker-unit.json", "quadlet.json", "dynapm-whole.json"}
    run = subprocess.run([CHECK, ROOT / "examples"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")
