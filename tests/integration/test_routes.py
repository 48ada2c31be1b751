# SPDX-License-Identifier: ISC
"""Which service a request reaches: hosts, wildcards, paths, ports, and targets of their own."""

import json

from harness import process


def who(gw, host, path="/", *args):
    return gw.curl(host, path, *args).text.strip()


def test_an_exact_host_beats_a_wildcard_and_a_longer_wildcard_a_shorter(site):
    exact = site.app(name="exact", host="www.example.com")
    short = site.app(name="short", host="*.example.com")
    long = site.app(name="long", host="*.eu.example.com")
    gw = site.gateway(exact, short, long)

    assert who(gw, "www.example.com") == "hello from exact"
    assert who(gw, "WWW.Example.COM") == "hello from exact"
    assert who(gw, "blog.example.com") == "hello from short"
    assert who(gw, "a.b.example.com") == "hello from short"
    assert who(gw, "shop.eu.example.com") == "hello from long"
    assert gw.curl("example.com").status == 404, "a wildcard needs a label"
    assert gw.curl("wwwexample.com").status == 404


def test_the_port_in_the_host_field_does_not_matter(site):
    blog = site.app()
    gw = site.gateway(blog)
    for host in ("blog.localhost", "blog.localhost:80", f"blog.localhost:{gw.port}", "BLOG.localhost:1"):
        with gw.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n") as c:
            assert c.reply().text == "hello from blog\n", host


def test_several_hosts_reach_one_service(site):
    blog = site.app(host=None, hosts=["a.example", "b.example"])
    gw = site.gateway(blog)
    assert who(gw, "a.example") == who(gw, "b.example") == "hello from blog"
    assert gw.curl("c.example").status == 404
    assert blog.starts == 1


def test_the_longest_path_wins_on_a_slash_boundary(site):
    root = site.app("echo.py", name="root", host="example.com")
    api = site.app("echo.py", name="api", host="example.com", path="/api")
    v2 = site.app("echo.py", name="v2", host="example.com", path="/api/v2")
    gw = site.gateway(root, api, v2)

    for path, service in (("/", root), ("/apix", root), ("/ap", root), ("/api", api), ("/api/", api),
                          ("/api?x=1", api), ("/api/v1", api), ("/api/v2", v2), ("/api/v2/x", v2),
                          ("/api/v22", api), ("/x/api", root)):
        answer = json.loads(gw.curl("example.com", path).body)
        assert (answer["pid"], answer["target"]) == (service.pid, path), path


def test_a_host_with_paths_only_answers_404_elsewhere(site):
    api = site.app(host="example.com", path="/api")
    gw = site.gateway(api)
    assert gw.curl("example.com", "/api").status == 200
    assert gw.curl("example.com", "/").status == 404
    assert gw.curl("example.com", "/apiary").status == 404


def test_strip_path_removes_the_prefix_and_nothing_else(site):
    api = site.app("echo.py", name="api", host="example.com", path="/api", stripPath=True)
    gw = site.gateway(api)

    for sent, seen in (("/api", "/"), ("/api/", "/"), ("/api/x", "/x"), ("/api/x/../y", "/x/../y"),
                       ("/api?q=1", "/?q=1"), ("/api//x", "//x"), ("/api/api/x?y=/api", "/api/x?y=/api"),
                       ("/api/%2Fapi", "/%2Fapi")):
        assert json.loads(gw.curl("example.com", sent, "--path-as-is").body)["target"] == seen, sent


def test_a_route_may_have_a_target_of_its_own(site):
    main = site.app("echo.py", name="main", host=None, base=None)
    side = site.app("echo.py", name="side")
    site.run(side)
    main.config["routes"] = [
        {"type": "host", "value": "example.com", "target": f"http://127.0.0.1:{main.port}"},
        {"type": "host", "value": "example.com", "path": "/side", "target": f"http://127.0.0.1:{side.port}"},
    ]
    main.config["healthCheck"] = {"type": "tcp", "port": main.port}
    gw = site.gateway(main)

    assert json.loads(gw.curl("example.com", "/x").body)["pid"] == main.pid
    assert json.loads(gw.curl("example.com", "/side/x").body)["pid"] == side.pid


def test_a_port_route_serves_every_host_on_a_port_of_its_own(site):
    port = process.free_port()
    blog = site.app(host=None, port=f"127.0.0.1:{port}")
    gw = site.gateway(blog)

    for host in ("anything.example", "127.0.0.1"):
        r = gw.curl(host)
        assert r.status == 404, "the shared port does not know it"
    for host in ("anything.example", "blog.localhost"):
        gw.port, shared = port, gw.port
        assert gw.curl(host).text == "hello from blog\n"
        gw.port = shared
    assert blog.starts == 1


def test_host_and_port_routes_lead_to_the_same_service(site):
    port = process.free_port()
    blog = site.app(host=None)
    blog.config["routes"] = [{"type": "host", "value": "blog.localhost"},
                             {"type": "port", "value": port}]
    gw = site.gateway(blog)

    assert who(gw, "blog") == "hello from blog"
    gw.port = port
    assert who(gw, "whatever.example") == "hello from blog"
    assert blog.starts == 1


def test_proxy_only_forwards_and_neither_starts_nor_stops(site):
    blog = site.app(kind="proxyOnly", idleTimeout="100ms")
    gw = site.gateway(blog)

    dead = gw.curl("blog")
    assert dead.status == 502
    assert dead.seconds < 2

    site.run(blog)
    assert gw.curl("blog").text == "hello from blog\n"
    with gw.raw() as c:
        assert c.silent(0.4)
    assert blog.running
    assert gw.curl("blog").text == "hello from blog\n"
    assert gw.count_transitions("blog", "stopping") == 0


def test_a_unix_socket_upstream(site):
    echo = site.app("echo.py", name="echo", unix=True, idleTimeout="400ms")
    gw = site.gateway(echo)

    for i in range(3):
        assert json.loads(gw.curl("echo", f"/{i}").body)["target"] == f"/{i}"
    assert echo.starts == 1
    gw.wait_state("echo", "offline")
    assert gw.curl("echo").status == 200, "and again over the file that the last run left behind"
    assert echo.starts == 2


def test_an_ipv6_upstream_and_localhost(site):
    six = site.app("echo.py", name="six", env={"HOST": "::1"})
    six.config["base"] = f"http://[::1]:{six.port}"
    either = site.app("echo.py", name="either", env={"HOST": "::1"})
    either.config["base"] = f"http://localhost:{either.port}"
    gw = site.gateway(six, either)

    assert json.loads(gw.curl("six", "/x").body)["target"] == "/x"
    assert json.loads(gw.curl("either", "/y").body)["target"] == "/y"
