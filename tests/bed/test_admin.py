# SPDX-License-Identifier: ISC
"""The admin API of the installed dynapm: its token a credential of the manager's unit, its gateway without any secret."""

import json
import stat
from pathlib import Path

from machine import run, wait_for

CONFIG, TOKEN_FILE = Path("/etc/dynapm.json"), Path("/etc/dynapm.token")
TOKEN = "a-token-of-the-bed/0123456789"
URL = "http://127.0.0.1:4000/_dynapm/api/"


def curl(path, *args, token=TOKEN, url=URL):
    p = run("curl", "-sS", "-w", "\n%{http_code}", *(["-H", f"Authorization: Bearer {token}"] if token else []), *args,
            url + path)
    body, status = p.stdout.rsplit("\n", 1)
    return int(status), json.loads(body or "null")


def configure(**admin):
    CONFIG.write_text(json.dumps({"adminApi": {"enabled": True, **admin}}))
    CONFIG.chmod(0o600)


def test_its_token_is_a_credential_that_only_the_manager_has(machine, request):
    TOKEN_FILE.write_text(TOKEN + "\n")
    TOKEN_FILE.chmod(0o600)
    request.addfinalizer(TOKEN_FILE.unlink)
    machine.configure_unit("dynapm-manager.service", f"[Service]\nLoadCredential=dynapm.admin-token:{TOKEN_FILE}\n")
    configure(tokenCredential="dynapm.admin-token")
    machine.app(kind="exec")
    machine.enable()
    run("curl", "-sS", "-H", "Host: none.test", "http://127.0.0.1/")  # the gateway is there
    wait_for(lambda: run("curl", "-s", URL, check=False).returncode == 0, "the API's listener")
    assert curl("services", token=None)[0] == 401
    assert curl("services", token="wrong")[0] == 401
    status, told = curl("services")
    assert (status, [s["name"] for s in told["services"]]) == (200, ["blog"])
    assert curl("services/blog/start", "-XPOST")[0] == 200
    assert curl("services/blog")[1]["unit"] == "dynapm-blog.service"

    def lines():
        status, told = curl("services/blog/logs?lines=50")
        assert status == 200
        return [line["text"] for line in told["lines"]]

    wait_for(lambda: any("start by hand: admin API, 127.0.0.1" in line for line in lines()), "what was said about it")
    assert any("Started dynapm-blog" in line or "dynapm-blog.service" in line for line in lines())


def ask_through(socket):
    status, told = curl("services", "--unix-socket", socket, token=None, url="http://localhost/_dynapm/api/")
    return status == 200 and len(told["services"]) == 1


def test_a_unix_socket_is_for_root(machine):
    configure(listen="unix:/run/dynapm/admin")
    machine.app(kind="exec")
    machine.enable()
    run("curl", "-sS", "-H", "Host: none.test", "http://127.0.0.1/")
    socket = Path("/run/dynapm/admin")
    wait_for(socket.exists, "its socket")
    assert (stat.S_IMODE(socket.stat().st_mode), socket.owner(), socket.group()) == (0o660, "root", "root")
    assert ask_through(str(socket))


def test_a_socket_unit_says_whose_a_unix_socket_is(machine):
    configure(listen="unix:/run/dynapm-admin")
    machine.app(kind="exec")
    machine.unit_file("dynapm-admin.socket", "[Socket]\nListenStream=/run/dynapm-admin\nSocketMode=0660\n"
                      "SocketGroup=adm\nService=dynapm.service\nRemoveOnStop=yes\n")
    machine.configure_unit("dynapm.service", "[Service]\nSockets=dynapm.socket dynapm-admin.socket\n")
    machine.enable()
    machine.systemctl("start", "dynapm-admin.socket")
    assert Path("/run/dynapm-admin").group() == "adm"
    assert ask_through("/run/dynapm-admin")
