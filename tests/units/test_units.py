# SPDX-License-Identifier: ISC
"""What `meson install` puts on a machine, looked at with the tools of those who read it; no root needed."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree
from pathlib import Path

import pytest

BUILD = Path(os.environ["DYNAPM_BUILD_DIR"])
UNITS = ["dynapm.socket", "dynapm.service", "dynapm-manager.socket", "dynapm-manager.service", "dynapm.slice"]


def run(*command, **env):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **env})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root folder with the installed files and systemd's own units beside them."""
    folder = tmp_path_factory.mktemp("root")
    p = run("meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", DESTDIR=str(folder))
    assert p.returncode == 0, p.stdout + p.stderr
    for scope in ("system", "user"):
        shutil.copytree(f"/usr/lib/systemd/{scope}", folder / "usr/lib/systemd" / scope, symlinks=True,
                        dirs_exist_ok=True, ignore=lambda _, names: [n for n in names if n.startswith("dynapm")])
    return folder


def unit(root, scope, name):
    return root / "usr/lib/systemd" / scope / name


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit_of_the_system(root, name):
    p = run("systemd-analyze", "verify", "--man=no", f"--root={root}", name)
    assert (p.returncode, p.stdout + p.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit_of_a_user(root, tmp_path, name):
    for other in UNITS:  # there is no --root= for them: the programs have to be where the units say
        text = unit(root, "user", other).read_text()
        (tmp_path / other).write_text(re.sub("^(ExecStart|ExecReload)=", rf"\1={root}", text, flags=re.MULTILINE))
    p = run("systemd-analyze", "verify", "--man=no", "--user", name, XDG_RUNTIME_DIR=str(tmp_path),
            SYSTEMD_UNIT_PATH=f"{tmp_path}:/usr/lib/systemd/user")
    assert (p.returncode, p.stdout + p.stderr) == (0, "")


@pytest.mark.parametrize("name, limit", [("dynapm.service", 1.3), ("dynapm-manager.service", 3.0)])
def test_a_program_is_exposed_no_more_than_it_has_to_be(root, name, limit):
    p = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit(root, "system", name)))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", p.stdout)
    assert level and float(level[1]) <= limit, p.stdout + p.stderr


@pytest.mark.parametrize("scope", ["system", "user"])
def test_units_refer_to_manual_pages_that_are_there(root, scope):
    for name in UNITS:
        pages = re.findall(r"man:(\S+)\((\d)\)", unit(root, scope, name).read_text())
        assert pages, name
        for page, section in pages:
            p = subprocess.run(["mandoc", f"man{section}/{page}.{section}"], cwd=root / "usr/share/man", text=True,
                               capture_output=True, timeout=60)
            assert p.returncode == 0 and p.stdout.startswith("DYNAPM"), f"{name}: {page}({section})\n{p.stdout}{p.stderr}"


@pytest.mark.parametrize("scope", ["system", "user"])
def test_units_run_programs_that_are_installed(root, scope):
    for name in ("dynapm.service", "dynapm-manager.service"):
        program = re.search(r"^ExecStart=(\S+)", unit(root, scope, name).read_text(), re.MULTILINE)[1]
        assert os.access(root / program[1:], os.X_OK), program


def test_sysusers_makes_two_users_that_have_no_group_in_common(root):
    """Each gets a group of its own name (sysusers.d(5)), and no `m` line adds it to another."""
    lines = [line.split(None, 3) for line in (root / "usr/lib/sysusers.d/dynapm.conf").read_text().splitlines()
             if line and not line.startswith("#")]
    assert [line[:3] for line in lines] == [["u", "dynapm", "-"], ["u", "dynapm-app", "-"]]


def test_dbus_and_polkit_get_files_that_they_can_parse(root):
    policy = xml.etree.ElementTree.parse(root / "usr/share/dbus-1/system.d/org.dynapm1.conf").getroot()
    assert [a.get("own") for a in policy.iterfind("policy[@user='root']/allow")] == ["org.dynapm1"]
    actions = xml.etree.ElementTree.parse(root / "usr/share/polkit-1/actions/org.dynapm1.policy").getroot()
    assert [a.get("id") for a in actions.iter("action")] == ["org.dynapm1.manage-services", "org.dynapm1.reload"]
    activation = (root / "usr/share/dbus-1/system-services/org.dynapm1.service").read_text()
    assert "\nName=org.dynapm1\n" in activation and "\nSystemdService=dynapm-manager.service\n" in activation


def test_everything_goes_below_a_prefix_of_ones_own(tmp_path):
    build, prefix = tmp_path / "build", tmp_path / "prefix"
    source = Path(__file__).parents[2]
    for command in (["meson", "setup", f"--prefix={prefix}", "-Dtests=false", str(build), str(source)],
                    ["ninja", "--quiet", "-C", str(build)],
                    ["meson", "install", "-C", str(build), "--no-rebuild", "--quiet"]):
        p = run(*command, DESTDIR="")
        assert p.returncode == 0, p.stdout + p.stderr
    text = (prefix / "lib/systemd/system/dynapm.service").read_text()
    assert f"ExecStart={prefix}/bin/dynapm\n" in text
    log = (build / "meson-logs/install-log.txt").read_text().splitlines()
    outside = [line for line in log if not line.startswith((str(prefix), "#"))]
    assert not outside


def test_each_kind_of_message_is_explained_in_the_catalog(root):
    header = Path(__file__).parents[2] / "src/util/messages.h"
    ids = re.findall(r"MESSAGE_ID=(\w{32})", header.read_text())
    p = run("journalctl", "--update-catalog", f"--root={root}")
    assert p.returncode == 0, p.stdout + p.stderr
    catalog = (root / "usr/lib/systemd/catalog/dynapm.catalog").read_text()
    assert sorted(re.findall(r"^-- (\w{32})$", catalog, re.MULTILINE)) == sorted(ids)
    for entry in re.split(r"^-- \w{32}$", catalog, flags=re.MULTILINE)[1:]:
        assert "\nSubject: " in entry and "\nDefined-By: dynapm\n" in entry
        assert max(map(len, entry.splitlines())) <= 90
