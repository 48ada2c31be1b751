# SPDX-License-Identifier: ISC
"""Sockets that a service manager keeps: which service answers on which, whoever has ended meanwhile."""

import pytest

from harness import Raw, process, wait_for
from harness.machine import GATEWAY, MANAGER

GET = "GET / HTTP/1.1\r\nHost: whatever\r\n\r\n"


def answer(port, host="127.0.0.1"):
    with Raw((host, port)) as c:
        c.send(GET)
        r = c.reply()
        return r.text if r.status == 200 else r.status


def holds(machine, unit, port):
    """Has the program the listening socket of this port open? That is the one without a peer."""
    return 0 in process.accepted(port, [machine.unit(unit)["pid"]])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_passed_socket_at_the_address_of_a_port_serves_that_port(site, workers):
    blog, shop = process.free_port(), process.free_port()
    machine = site.machine(site.app(host=None, port=f"127.0.0.1:{blog}"),
                           site.app(name="shop", host=None, port=f"127.0.0.1:{shop}"),
                           listen=[["127.0.0.1", shop]], workers=workers)
    assert answer(blog) == "hello from blog\n", "bound by the manager"
    for _ in range(10):
        assert answer(shop) == "hello from shop\n", "passed"
    assert answer(machine.port) == 404, "the shared one"
    assert not machine.find_log("Cannot listen")

    # It stays so, whoever is new.
    for unit in (GATEWAY, MANAGER, GATEWAY):
        machine.kill_unit(unit)
        machine.wait_unit_ready(unit)
        if unit == MANAGER:
            machine.wait_log("Attached to a new manager")
        assert answer(shop) == "hello from shop\n"
        assert answer(machine.port) == 404
        assert answer(blog) == "hello from blog\n"


def test_nobody_but_its_owner_keeps_a_passed_socket_when_the_gateway_has_ended(site):
    """Else the owner could not close it and bind the address anew."""
    port = process.free_port()
    machine = site.machine(site.app(host=None, port=f"127.0.0.1:{port}"), listen=[["127.0.0.1", port]])
    assert answer(port) == "hello from blog\n"
    assert holds(machine, MANAGER, port)
    machine.stop_unit(GATEWAY)
    wait_for(lambda: not holds(machine, MANAGER, port), "the manager lets go")
    machine.start_unit(GATEWAY)
    assert answer(port) == "hello from blog\n"


def test_a_port_on_all_addresses_is_recognised(site):
    port = process.free_port()
    machine = site.machine(site.app(host=None, port=port), listen=[["::", port]])
    assert answer(port) == "hello from blog\n"
    assert answer(machine.port) == 404


def test_an_option_may_name_the_address_of_a_port(site):
    port = process.free_port()
    gw = site.gateway(site.app(host=None, port=f"127.0.0.1:{port}"),
                      listen=[f"127.0.0.1:{port}", f"127.0.0.1:{process.free_port()}"])
    assert answer(port) == "hello from blog\n"
    assert not gw.find_log("Cannot listen")
