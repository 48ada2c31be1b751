#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Requests that a gateway must refuse, and unusual ones that it must pass on unchanged, from RFC 9112 and RFC 9110.

A table that any HTTP/1.1 gateway can be held against; test_hostile_requests.py does it with ours. By itself,
`hostile_table.py HOST PORT [--upstream PORT]` asks the gateway there and prints what it does otherwise than it should;
with --upstream it is also the service behind the gateway (which must pass table.localhost and other.localhost on to
that port of 127.0.0.1), and tells what reached it."""

import argparse
import sys
from typing import NamedTuple

NAME = "table.localhost"
OTHER = "other.localhost"
HOST = f"Host: {NAME}\r\n"
CHUNKED = "Transfer-Encoding: chunked"
LAST = "0\r\n\r\n"


class Bad(NamedTuple):
    """Nothing of it may reach a service. `closes`: where its end is, or whom the next bytes are for, is in doubt, so
    the connection must not be used on."""
    name: str
    data: bytes
    statuses: tuple
    closes: bool


class BadBody(NamedTuple):
    """A good head and a chunked body that is none: it may not arrive as a whole, and the connection ends."""
    name: str
    data: bytes


class Want(NamedTuple):
    """What must arrive: the request line; these fields in this order, others between them or not; the body."""
    line: bytes
    fields: tuple = ()
    body: bytes = b""
    absent: tuple = ()  # names, in lower case


class Good(NamedTuple):
    """`wants`: one for each request in `data`; each is answered, with 200 unless `statuses` says otherwise. `arrives`
    is False where a gateway may also answer by itself; `extended`: has chunks with extensions."""
    name: str
    data: bytes
    wants: tuple
    statuses: tuple = (200,)
    arrives: bool = True
    extended: bool = False


def encode(text):
    return text.encode("latin-1")


def head(*lines, request="GET / HTTP/1.1", host=HOST):
    return request + "\r\n" + host + "".join(line + "\r\n" for line in lines) + "\r\n"


def post(*lines, body="", version="1.1"):
    return head(*lines, request=f"POST / HTTP/{version}") + body


def group(closes, entries):
    """name: text, or (text, statuses)"""
    for name, entry in entries.items():
        text, statuses = entry if isinstance(entry, tuple) else (entry, 400)
        yield Bad(name, encode(text), statuses if isinstance(statuses, tuple) else (statuses,), closes)


VERSION = (400, 505)
CODING = (400, 501)

# RFC 9112 2.2, 3: lines and the request line.
REQUEST_LINE = {
    "method with a parenthesis": head(request="G(ET / HTTP/1.1"),
    "method with a colon": head(request="G:ET / HTTP/1.1"),
    "method with a control character": head(request="G\x01ET / HTTP/1.1"),
    "method with a byte over 127": head(request="G\xc4T / HTTP/1.1"),
    "method with NUL": head(request="G\0T / HTTP/1.1"),
    "no method": head(request=" / HTTP/1.1"),
    "no target": head(request="GET HTTP/1.1"),
    "no target between two spaces": head(request="GET  HTTP/1.1"),
    "no version": head(request="GET /"),
    "no version but a space": head(request="GET / "),
    "one word": head(request="GET"),
    "two spaces before the target": head(request="GET  / HTTP/1.1"),
    "two spaces before the version": head(request="GET /  HTTP/1.1"),
    "space after the version": head(request="GET / HTTP/1.1 "),
    "word after the version": head(request="GET / HTTP/1.1 x"),
    "space before the method": head(request=" GET / HTTP/1.1"),
    "line of a space before the request": " \r\n" + head(),
    "tabs between the words": head(request="GET\t/\tHTTP/1.1"),
    "vertical tab between the words": head(request="GET\x0b/ HTTP/1.1"),
    "space in the target": head(request="GET /a b HTTP/1.1"),
    "tab in the target": head(request="GET /a\tb HTTP/1.1"),
    "NUL in the target": head(request="GET /a\0b HTTP/1.1"),
    "DEL in the target": head(request="GET /a\x7fb HTTP/1.1"),
    "escape in the target": head(request="GET /\x1b[2J HTTP/1.1"),
    "bare CR in the target": head(request="GET /a\rb HTTP/1.1"),
    "bare CR after the version": head(request="GET / HTTP/1.1\r"),
    "bare LF after the request line": "GET / HTTP/1.1\n" + HOST + "\r\n",
    "bare LF in the target": head(request="GET /a\nX: b HTTP/1.1"),
    "version 0.9": (head(request="GET / HTTP/0.9"), VERSION),
    "version 1.2": (head(request="GET / HTTP/1.2"), VERSION),
    "version 2.0": (head(request="GET / HTTP/2.0"), VERSION),
    "version 3": (head(request="GET / HTTP/3"), VERSION),
    "version of more digits": (head(request="GET / HTTP/1.10"), VERSION),
    "version of three numbers": (head(request="GET / HTTP/1.1.1"), VERSION),
    "version with a comma": (head(request="GET / HTTP/1,1"), VERSION),
    "version with a sign": (head(request="GET / HTTP/+1.1"), VERSION),
    "version with a space": (head(request="GET / HTTP/ 1.1"), VERSION),
    "version in lower case": (head(request="GET / http/1.1"), VERSION),
    "another protocol": (head(request="GET / HTCPCP/1.0"), VERSION),
    "the preface of HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
}

# RFC 9112 3.2: the target's forms.
TARGET = {
    "target without a slash": head(request="GET index.html HTTP/1.1"),
    "target of a query only": head(request="GET ?x HTTP/1.1"),
    "target * for GET": head(request="GET * HTTP/1.1"),
    "target that starts with *": head(request="OPTIONS *x HTTP/1.1"),
    "target with a fragment": head(request="GET /#x HTTP/1.1"),
    "target in another scheme": head(request=f"GET ftp://{NAME}/ HTTP/1.1"),
    "target without an authority": head(request="GET http:///x HTTP/1.1"),
    "target with one slash": head(request=f"GET http:/{NAME}/ HTTP/1.1"),
    "target with userinfo": head(request=f"GET http://user@{NAME}/ HTTP/1.1"),
    "target with a bad port": head(request=f"GET http://{NAME}:8o/ HTTP/1.1"),
    "target with a port too large": head(request=f"GET http://{NAME}:65536/ HTTP/1.1"),
    "target with a fragment after its path": head(request=f"GET http://{NAME}/#x HTTP/1.1"),
    "target in authority form for GET": head(request=f"GET {NAME}:80 HTTP/1.1"),
    "absolute target without Host": head(request=f"GET http://{NAME}/ HTTP/1.1", host=""),
    "absolute target with a bad Host": head(request=f"GET http://{NAME}/ HTTP/1.1", host="Host: a b\r\n"),
    "absolute target with two Hosts": head(HOST[:-2], request=f"GET http://{NAME}/ HTTP/1.1"),
}

# Whole requests that are refused for what they ask: the next one on the connection may be served.
METHODS = {
    "CONNECT": (head(request=f"CONNECT {NAME}:80 HTTP/1.1"), (400, 405, 501)),
    "TRACE": (head(request="TRACE / HTTP/1.1"), (405, 501)),
    "TRACE with Max-Forwards": (head("Max-Forwards: 0", request="TRACE / HTTP/1.1"), (405, 501)),
    "a method without end": (head(request="X" * 300 + " / HTTP/1.1"), (400, 405, 414, 431, 501)),
    "an expectation nobody knows": (head("Expect: 200-ok"), (417,)),
    "an expectation behind another": (head("Expect: y 100-continue"), (417,)),
}

# RFC 9112 5, RFC 9110 5.
FIELDS = {
    "space before the colon": head("X-A : 1"),
    "tab before the colon": head("X-A\t: 1"),
    "folded value": head("X-A: 1", " folded"),
    "value folded by a tab": head("X-A: 1", "\tfolded"),
    "value folded onto an empty line": head("X-A: 1", " "),
    "fold that makes a length": post("Content: 5", " -Length: 4", body="body"),
    "fold that makes an expectation": post("Expect:", " 100-continue", "Content-Length: 4", body="body"),
    "fold that ends an expectation": post("Expect: y", " 100-continue", "Content-Length: 4", body="body"),
    "bare LF and a coding behind a space": post("Transfer-Encoding\n : chunked", body=LAST),
    "bare LF and a length": post("X-A: a\nContent-Length: 4", body="body"),
    "fold that makes a coding": post("Transfer-Encoding:", " chunked", body=LAST),
    "folded Host": head(host=f"Host:\r\n {NAME}\r\n"),
    "first line led by a space": head(host=" X-A: 1\r\n" + HOST),
    "first line led by a tab": head(host="\tX-A: 1\r\n" + HOST),
    "line without a colon": head("X-A"),
    "no name": head(": value"),
    "only a colon": head(":"),
    "space in a name": head("X A: 1"),
    "tab in a name": head("X\tA: 1"),
    "byte over 127 in a name": head("X\xe9: 1"),
    "NUL in a name": head("X\0A: 1"),
    "control character in a name": head("X\x01A: 1"),
    "bare CR in a name": head("X\rA: 1"),
    "NUL in a value": head("X-A: a\0b"),
    "bell in a value": head("X-A: a\x07b"),
    "vertical tab in a value": head("X-A: a\x0bb"),
    "form feed in a value": head("X-A: a\x0cb"),
    "escape in a value": head("X-A: a\x1bb"),
    "DEL in a value": head("X-A: a\x7fb"),
    "control character that ends a value": head("X-A: a\x01"),
    "control character that starts a value": head("X-A:\x01a"),
    "bare CR in a value": head("X-A: a\rX-B: b"),
    "bare CR that ends a value": head("X-A: a\r"),
    "bare CR and a coding": post("X-A: a\rTransfer-Encoding: chunked", body=LAST),
    "bare LF in a value": head("X-A: a\nX-B: b"),
    "bare LF and a coding": post("X-A: a\nTransfer-Encoding: chunked", body=LAST),
    "bare LF at the end of a field": head(host=f"Host: {NAME}\nX-A: 1\r\n"),
    "bare LF for the empty line": "GET / HTTP/1.1\r\n" + HOST + "\n",
    "bare LF everywhere": f"GET / HTTP/1.1\nHost: {NAME}\n\n",
    "bare CR everywhere": f"GET / HTTP/1.1\rHost: {NAME}\r\r",
    "CR CR LF for the empty line": "GET / HTTP/1.1\r\n" + HOST + "\r\r\n",
    **{f"{c} in a name": head(f"X{c}A: 1") for c in '"(),/;<=>?@[\\]{}'},
}

# RFC 9112 3.2, RFC 9110 7.2.
HOSTS = {
    "no Host": head(host=""),
    "two Hosts": head(HOST[:-2]),
    "two different Hosts": head(f"Host: {OTHER}"),
    "two Hosts in two spellings": head(f"hOST: {NAME}"),
    "two Hosts in HTTP/1.0": head(HOST[:-2], request="GET / HTTP/1.0"),
    **{name: head(host=f"Host:{value}\r\n") for name, value in {
        "Host empty": "",
        "Host of blanks": " \t ",
        "Host with userinfo": f" user@{NAME}",
        "Host with a path": f" {NAME}/x",
        "Host with a query": f" {NAME}?x",
        "Host with a fragment": f" {NAME}#x",
        "Host with a list": f" {NAME}, {OTHER}",
        "Host with a comma": f" {NAME},{OTHER}",
        "Host with a space": f" {NAME} {OTHER}",
        "Host with a tab": f" {NAME}\t{OTHER}",
        "Host with a scheme": f" http://{NAME}",
        "Host with a backslash": f" {NAME}\\x",
        "Host with percent-encoding": " table%2elocalhost",
        "Host in quotes": f' "{NAME}"',
        "Host of bytes over 127": " t\xe4ble.localhost",
        "Host of a port only": " :80",
        "Host with a port of letters": f" {NAME}:http",
        "Host with a port too large": f" {NAME}:65536",
        "Host with a negative port": f" {NAME}:-1",
        "Host with two ports": f" {NAME}:80:80",
        "Host with a space before the port": f" {NAME}: 80",
        "Host of IPv6 without brackets": " ::1",
        "Host with an open bracket": " [::1",
        "Host with brackets around nothing": " []",
        "Host with brackets around a name": f" [{NAME}]",
        "Host with something behind the brackets": " [::1]x",
    }.items()},
}

# RFC 9112 6: where the body ends.
FRAMING = {
    "length and coding": post("Content-Length: 5", CHUNKED, body=LAST),
    "coding and length": post(CHUNKED, "Content-Length: 5", body=LAST),
    "length and a coding nobody knows": (post("Content-Length: 5", "Transfer-Encoding: x", body=LAST), CODING),
    "length zero and coding": post("Content-Length: 0", CHUNKED, body=LAST),
    "two lengths": post("Content-Length: 4", "Content-Length: 5", body="body"),
    "two lengths, a zero first": post("Content-Length: 0", "Content-Length: 4", body="body"),
    "the same length twice": post("Content-Length: 4", "content-length: 4", body="body"),
    **{f"length {name}": post(f"Content-Length:{value}", body="body") for name, value in {
        "as a list": " 4, 4",
        "as a list of two": " 4,5",
        "with a comma behind it": " 4,",
        "with a sign": " +4",
        "below zero": " -4",
        "in hexadecimal": " 0x4",
        "with a letter": " 4b",
        "with an exponent": " 4e0",
        "with a point": " 4.0",
        "in quotes": ' "4"',
        "empty": "",
        "with a space inside": " 1 0",
        "with an underscore": " 1_0",
        "in other digits": " \xd9\xa4",
    }.items()},
    "length over 64 bits": (post("Content-Length: 18446744073709551620", body="body"), (400, 413)),
    "length over 63 bits": (post("Content-Length: 9223372036854775808", body="body"), (400, 413)),
    "length of 40 digits": (post("Content-Length: " + "9" * 40, body="body"), (400, 413)),
    "space before the length's colon": post("Content-Length : 4", body="body"),
    "space before the coding's colon": post("Transfer-Encoding : chunked", body=LAST),
    "folded length": post("Content-Length: 4", " 0", body="body"),
    **{f"coding {name}": (post(f"Transfer-Encoding:{value}", body=LAST), CODING) for name, value in {
        "gzip": " gzip",
        "identity": " identity",
        "gzip, chunked": " gzip, chunked",
        "chunked, gzip": " chunked, gzip",
        "chunked, identity": " chunked, identity",
        "chunked twice": " chunked, chunked",
        "with a comma behind it": " chunked,",
        "with a comma before it": " ,chunked",
        "with a parameter": " chunked;q=1",
        "xchunked": " xchunked",
        "chunkedx": " chunkedx",
        "chunk": " chunk",
        "with a vertical tab": " \x0bchunked",
        "with a NUL": " chunked\0",
        "in quotes": ' "chunked"',
        "empty": "",
        "with a byte over 127": " chunked\xa0",
        "nobody knows": " cow",
        "chunked and one that nobody knows": " chunked, cow",
        "one that nobody knows and chunked": " cow, chunked",
        "with a form feed": " \x0cchunked",
        "with a space inside": " chu nked",
        "with a semicolon behind it": " chunked;",
    }.items()},
    "chunked in two fields": (post(CHUNKED, CHUNKED, body=LAST), CODING),
    "identity and chunked in two fields": (post("Transfer-Encoding: identity", CHUNKED, body=LAST), CODING),
    "chunked and identity in two fields": (post(CHUNKED, "Transfer-Encoding: identity", body=LAST), CODING),
    "chunked in HTTP/1.0": (post(CHUNKED, body=LAST, version="1.0"), CODING),
    "chunked and length in HTTP/1.0": (post("Content-Length: 5", CHUNKED, body=LAST, version="1.0"), CODING),
    "chunked in HTTP/1.0 that stays": (post(CHUNKED, "Connection: keep-alive", body=LAST, version="1.0"), CODING),
}

# Limits, RFC 9112 3 and RFC 6585 5.
LARGE = {
    "target of 100 KB": (head(request="GET /" + "a" * 100_000 + " HTTP/1.1"), (414, 431)),
    "field of 200 KB": (head("X-A: " + "a" * 200_000), (431,)),
    "10,000 fields": (head(*(f"X-{i}: {i}" for i in range(10_000))), (431,)),
}

BAD = [
    *group(True, REQUEST_LINE), *group(True, TARGET), *group(False, METHODS), *group(True, FIELDS), *group(True, HOSTS),
    *group(True, FRAMING), *group(True, LARGE),
]

# RFC 9112 7.1.
BAD_BODY = [BadBody("chunk " + name, encode(post(CHUNKED, body=body))) for name, body in {
    "size that is no number": "xyz\r\nbody\r\n" + LAST,
    "size with 0x": "0x4\r\nbody\r\n" + LAST,
    "size with a sign": "+4\r\nbody\r\n" + LAST,
    "size below zero": "-4\r\nbody\r\n" + LAST,
    "size in quotes": '"4"\r\nbody\r\n' + LAST,
    "size over 64 bits": "10000000000000004\r\nbody\r\n" + LAST,
    "size that wraps to zero": "10000000000000000\r\n\r\n",
    "size empty": "\r\nbody\r\n" + LAST,
    "size behind a space": " 4\r\nbody\r\n" + LAST,
    "size before a comma": "4,\r\nbody\r\n" + LAST,
    "size that a bare LF ends": "4\nbody\r\n" + LAST,
    "size that a bare CR ends": "4\rbody\r\n" + LAST,
    "extension with a bare LF": "4;a\nbody\r\n" + LAST,
    "data longer than its size": "4\r\nbodyX\r\n" + LAST,
    "data shorter than its size": "4\r\nbod\r\n" + LAST,
    "data that a bare LF ends": "4\r\nbody\n" + LAST,
    "data that nothing ends": "4\r\nbody" + LAST,
    "at last ended by a bare LF": "4\r\nbody\r\n0\n\n",
    "at last and a bare LF for the empty line": "4\r\nbody\r\n0\r\n\n",
    "at last behind a bare LF": "4\r\nbody\n0\r\n\r\n",
    "extension with a NUL": "4;a\0\r\nbody\r\n" + LAST,
    "extension with a bare CR": "4;a\rb\r\nbody\r\n" + LAST,
    "extension with a bare LF and nothing else": "4;\nbody\r\n" + LAST,
    "extension with a bare LF that hides a chunk": "4;\n0\r\n\r\n\r\n" + LAST,
    "extension with a bare CR that hides a chunk": "4;\r0\r\n\r\n\r\n" + LAST,
    "extension with a bare LF in quotes": '4;a="\n"\r\nbody\r\n' + LAST,
    "extension of 40 KB": f"4;{'x' * 40_000}\r\nbody\r\n" + LAST,
    "at last with an extension and a bare LF": "4\r\nbody\r\n0;a\n\r\n",
    "data followed by two bytes that are no line's end": "4\r\nbodyxx" + LAST,
    "size before a space": "4 \r\nbody\r\n" + LAST,
    "size before a NUL": "4\0\r\nbody\r\n" + LAST,
    "trailer that a bare LF ends": "4\r\nbody\r\n0\r\nX-T: 1\n\r\n",
    "trailer folded": "4\r\nbody\r\n0\r\nX-T: 1\r\n 2\r\n\r\n",
    "trailer without a colon": "4\r\nbody\r\n0\r\nX-T\r\n\r\n",
    "trailer with a space before the colon": "4\r\nbody\r\n0\r\nX-T : 1\r\n\r\n",
    "trailer with a NUL": "4\r\nbody\r\n0\r\nX-T: 1\0\r\n\r\n",
    "extensions without end": "".join(f"1;{'x' * 4000}\r\nb\r\n" for _ in range(6)) + LAST,
}.items()]


def fields(*lines):
    return tuple(encode(line) for line in lines)


def good(name, text, *wants, **kwargs):
    return Good(name, encode(text), wants, **kwargs)


def want(line, *lines, body="", absent=()):
    return Want(encode(line), fields(*lines), encode(body), absent)


GET, POST = "GET / HTTP/1.1", "POST / HTTP/1.1"
SELF = f"Host: {NAME}"
ROOT = want(GET, SELF)
MANY = [f"X-Field-{i}: value {i}" for i in range(100)]

GOOD = [
    good("plain", head(), ROOT),
    good("empty line before the request", "\r\n" + head(), ROOT),
    good("no space behind the colon", head("X-A:1", "X-B:2"), want(GET, SELF, "X-A: 1", "X-B: 2")),
    good("blanks around values", head("X-A: \t 1 \t ", "X-B:\t2\t"), want(GET, "X-A: 1", "X-B: 2")),
    good("blanks inside values", head("X-A: a \t  b"), want(GET, "X-A: a \t  b")),
    good("empty values", head("X-A:", "X-B: ", "X-C: c"), want(GET, "X-A: ", "X-B: ", "X-C: c")),
    good("bytes over 127 in values", head("X-A: \xe4\xff\x80"), want(GET, "X-A: \xe4\xff\x80")),
    good("names in lower case", head("x-a: 1", host=HOST.lower()), want(GET, SELF, "x-a: 1")),
    good("names in capitals", head("X-LOUD: 1", host=HOST.upper().replace(NAME.upper(), NAME)),
         want(GET, SELF, "X-LOUD: 1")),
    good("every character of a name", head("X!#$%&'*+-.^_`|~09: 1"), want(GET, "X!#$%&'*+-.^_`|~09: 1")),
    good("values full of delimiters", head('X-A: "(),/:;<=>?@[\\]{}'), want(GET, 'X-A: "(),/:;<=>?@[\\]{}')),
    good("one name many times", head("Cookie: a=1", "X-A: 1", "Cookie: b=2", "cookie: c=3"),
         want(GET, "Cookie: a=1", "X-A: 1", "Cookie: b=2", "cookie: c=3")),
    good("fields before Host", head("X-B: 2", host="X-A: 1\r\n" + HOST), want(GET, "X-A: 1", "X-B: 2")),
    good("Host with a port", head(host=f"Host: {NAME}:8080\r\n"), want(GET, f"Host: {NAME}:8080")),
    good("Host in capitals", head(host=f"Host: {NAME.upper()}\r\n"), want(GET, f"Host: {NAME.upper()}")),
    good("Host with an empty port", head(host=f"Host: {NAME}:\r\n"), want(GET)),
    good("a field of 15 KB", head("X-A: " + "a" * 15_000), want(GET, "X-A: " + "a" * 15_000)),
    good("100 fields", head(*MANY), want(GET, *MANY)),
    *(good(name, head(request=f"GET {target} HTTP/1.1"), want(f"GET {target} HTTP/1.1", SELF)) for name, target in {
        "a target of 4 KB": "/" + "a" * 4_000 + "?b",
        "an odd target": "/%2f%00%zz/../a//b;c=d/./?q=[x]{y}|\\^`<>\"'?&&=?/%",
        "a target of bytes over 127": "/\xc3\xa4?\xff",
        "an empty query": "/?",
        "two slashes": f"//{OTHER}/",
    }.items()),
    good("an absolute target", head(request=f"GET http://{NAME}/a?b HTTP/1.1"), want("GET /a?b HTTP/1.1", SELF)),
    good("an absolute target that overrides Host", head(request=f"GET HTTP://{OTHER}:80/ HTTP/1.1"),
         want(GET, f"Host: {OTHER}:80")),
    good("an absolute target without a path", head(request=f"GET http://{NAME} HTTP/1.1"), ROOT),
    good("an absolute target of host and query", head(request=f"GET http://{NAME}?a HTTP/1.1"),
         want("GET /?a HTTP/1.1")),
    good("OPTIONS", head(request="OPTIONS /a HTTP/1.1"), want("OPTIONS /a HTTP/1.1")),
    good("OPTIONS *", head(request="OPTIONS * HTTP/1.1"), want("OPTIONS * HTTP/1.1"),
         statuses=(200, 204, 404), arrives=False),
    good("a method nobody knows", head(request="BREW!#$ / HTTP/1.1"), want("BREW!#$ / HTTP/1.1")),
    good("a method in lower case", head(request="get / HTTP/1.1"), want("get / HTTP/1.1")),
    good("HTTP/1.0", head(request="GET / HTTP/1.0"), ROOT),
    good("HTTP/1.0 that stays", head("Connection: keep-alive", request="GET / HTTP/1.0"), ROOT),
    good("HTTP/1.0 without Host", head(request="GET / HTTP/1.0", host=""), want(GET),
         statuses=(200, 400, 404), arrives=False),
    good("HTTP/1.0 with a body", post("Content-Length: 4", body="body", version="1.0"), want(POST, body="body")),
    good("POST without a body", post(), want(POST)),
    good("POST of length zero", post("Content-Length: 0"), want(POST, "Content-Length: 0")),
    good("POST of length zero, then another", post("Content-Length: 0") + head(request="GET /2 HTTP/1.1"),
         want(POST), want("GET /2 HTTP/1.1")),
    good("a length with leading zeros", post("Content-Length: 0004", body="body"), want(POST, body="body")),
    good("a body that looks like a request", post(f"Content-Length: {len(head())}", body=head()),
         want(POST, body=head())),
    good("GET with a body", head("Content-Length: 4") + "body", want(GET, body="body")),
    good("DELETE with a chunked body", head(CHUNKED, request="DELETE / HTTP/1.1") + "4\r\nbody\r\n" + LAST,
         want("DELETE / HTTP/1.1", body="body")),
    good("chunks", post(CHUNKED, body="1\r\n\0\r\n2\r\n\r\n\r\n0004\r\nbody\r\n" + LAST),
         want(POST, body="\0\r\nbody")),
    good("a chunked body of nothing", post(CHUNKED, body="000\r\n\r\n"), want(POST)),
    good("coding in capitals", post("TRANSFER-ENCODING: ChunkeD", body="A\r\n0123456789\r\n" + LAST),
         want(POST, body="0123456789")),
    good("chunks with extensions", post(CHUNKED, body='4;a=b;c="d;e"\r\nbody\r\n0;last\r\n\r\n'),
         want(POST, body="body"), extended=True),
    good("chunks and a trailer", post(CHUNKED, "Trailer: X-T", body="4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n"),
         want(POST, body="body", absent=("trailer",))),
    good("framing fields in a trailer",
         post(CHUNKED, body="4\r\nbody\r\n0\r\nContent-Length: 40\r\nTransfer-Encoding: x\r\nHost: x\r\n\r\n"),
         want(POST, SELF, body="body", absent=("content-length",))),
    good("GET with a body that looks like a request", head(f"Content-Length: {len(head())}") + head(), want(GET, body=head())),
    good("OPTIONS with a chunked body that looks like a request",
         head(CHUNKED, request="OPTIONS / HTTP/1.1") + f"{len(head()):x}\r\n{head()}\r\n" + LAST,
         want("OPTIONS / HTTP/1.1", body=head())),
    good("an offer of h2c", head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAA"),
         want(GET, absent=("upgrade", "http2-settings"))),
    good("an offer that the service declines, and a request behind it",
         head("Connection: Upgrade", "Upgrade: websocket", request="GET /1 HTTP/1.1") + head(request="GET /2 HTTP/1.1"),
         want("GET /1 HTTP/1.1"), want("GET /2 HTTP/1.1")),
    good("an offer with a body", post("Connection: Upgrade", "Upgrade: x", f"Content-Length: {len(head())}", body=head()),
         want(POST, body=head())),
    good("a body after 100-continue is expected", post("Expect: 100-continue", "Content-Length: 4", body="body"),
         want(POST, body="body")),
    good("what Connection names stays here", head("Connection: X-Hop, keep-alive", "X-Hop: 1", "X-End: 2"),
         want(GET, "X-End: 2", absent=("x-hop",))),
    good("Connection that names Host and the length",
         post("Connection: Host, Content-Length", "Content-Length: 4", body="body"), want(POST, SELF, body="body")),
    good("names that only look like framing",
         head("Transfer_Encoding: chunked", "X-Content-Length: 4", "Content-Length-X: 5"),
         want(GET, "Transfer_Encoding: chunked", "X-Content-Length: 4", "Content-Length-X: 5")),
    good("HEAD", head(request="HEAD /h HTTP/1.1"), want("HEAD /h HTTP/1.1")),
    good("three in one",
         head(request="GET /1 HTTP/1.1") + post("Content-Length: 4", body="body") + head(request="GET /3 HTTP/1.1"),
         want("GET /1 HTTP/1.1"), want(POST, body="body"), want("GET /3 HTTP/1.1")),
    good("a chunked one and another", post(CHUNKED, body="4\r\nbody\r\n" + LAST) + head(request="GET /2 HTTP/1.1"),
         want(POST, body="body"), want("GET /2 HTTP/1.1")),
    good("bodies of every kind in a row, with empty lines between",
         "\r\n" + post(CHUNKED, body="4\r\nbody\r\n" + LAST) + "\r\n\r\n" + post("Content-Length: 5", body="1\n\r\nx")
         + post(CHUNKED, body="2;x\r\n\n\n\r\n1\r\n\r\r\n0\r\nX-T: 1\r\n\r\n") + "\r\n"
         + head(request="GET /4 HTTP/1.1") + post(CHUNKED, body="5\r\n0\r\n\r\n\r\n" + LAST),
         want(POST, body="body"), want(POST, body="1\n\r\nx"), want(POST, body="\n\n\r"), want("GET /4 HTTP/1.1"),
         want(POST, body="0\r\n\r\n"), extended=True),
]

# Sent behind what is bad: a second request, which nobody may see.
SMUGGLED = encode(head(request="GET /smuggled HTTP/1.1"))


def main():
    import hostile_runner

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--upstream", type=int, metavar="PORT", help="be the service behind it, on this port")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name holds this")
    parser.add_argument("--verbose", action="store_true", help="print also what is as it should be")
    args = parser.parse_args()
    return hostile_runner.report((args.host, args.port), args.upstream, args.only, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
