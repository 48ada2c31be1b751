# SPDX-License-Identifier: ISC
"""What an administrator would write by hand: a service of kind exec or commands as a unit of its own, and the drop-in
that names it."""

import re

APP_USER = "dynapm-app"
COMMANDS = ("exec", "commands", "env", "cwd", "check")


def quoted(word):
    """One word of a command line or of Environment=, systemd.syntax(7): nothing in it means anything."""
    word = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{word}"'


def command_line(words):
    return " ".join(quoted(word).replace("$", "$$") for word in words)


def shell(line):
    return command_line(["/bin/sh", "-c", line])


def span(value):
    return f"{value}ms" if isinstance(value, int) else value


def unit_for(name, config):
    """(unit's name, its text, the drop-in that is left), or None for a drop-in that starts nothing."""
    if not isinstance(config, dict) or not {"exec", "commands"} & config.keys():
        return None
    lines = ["[Unit]", f"Description=The test's {name}", "StartLimitIntervalSec=0", "[Service]", f"User={APP_USER}"]
    if "exec" in config:
        lines += ["Type=exec", f"ExecStart={command_line(config['exec'])}"]
    else:
        commands = config["commands"]
        pid_file = re.search(r"echo \$! >(\S+)", commands["start"])
        lines += ["Type=forking", f"PIDFile={pid_file[1]}"] if pid_file else ["Type=oneshot", "RemainAfterExit=yes"]
        lines += [f"ExecStart={shell(commands['start'])}"]
        lines += [f"ExecStop={shell(commands['stop'])}"] if "stop" in commands else []
    lines += [f"Environment={quoted(f'{k}={v}')}" for k, v in config.get("env", {}).items()]
    lines += [f"WorkingDirectory={config['cwd']}"] if "cwd" in config else []
    lines += [f"TimeoutStopSec={span(config['stopTimeout'])}"] if "stopTimeout" in config else []
    unit = f"of-test-{name}.service"
    return unit, "\n".join(lines) + "\n", {**{k: v for k, v in config.items() if k not in COMMANDS}, "unit": unit}
