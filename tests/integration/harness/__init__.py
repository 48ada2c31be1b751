# SPDX-License-Identifier: ISC
"""Runs the real programs, starts real services behind them, and asks as a client would."""

from harness.client import Raw, Reply
from harness.gateway import Gateway
from harness.process import free_port, wait_for
from harness.script import Script
from harness.site import Service, Site

__all__ = ["Gateway", "Raw", "Reply", "Script", "Service", "Site", "free_port", "wait_for"]
