# SPDX-License-Identifier: ISC
"""Runs, and never listens."""

import signal

import base

base.start()
while True:
    signal.pause()
