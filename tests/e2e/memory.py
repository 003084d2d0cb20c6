# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""Looks into the memory of running processes, as root may."""
import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

import harness

CHUNK = 128 << 10
ZEROES = bytes(CHUNK)
MAX_REGION = 1 << 30  # sanitizers reserve terabytes

MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+\s*(.*)")


@dataclass(frozen=True)
class Region:
    start: int
    end: int
    modes: str
    name: str

    @property
    def is_shared(self):
        return self.modes[3] == "s"

    @property
    def is_ours(self):
        """Readable, and not just a part of a program's file."""
        return self.modes[0] == "r" and (
            self.modes[1] == "w" or not self.name.startswith("/"))


def regions(pid):
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        match = MAPPING.match(line)
        region = Region(int(match[1], 16), int(match[2], 16), match[3],
                        match[4])
        if region.is_ours and region.end - region.start <= MAX_REGION:
            found.append(region)
    return found


def chunks(read, start, end, overlap):
    """Pieces of [start, end) that overlap, as far as they can be read."""
    while start < end:
        try:
            data = read(start, min(CHUNK, end - start))
        except OSError:
            return  # [vvar] and the like
        if not data:
            return
        yield start, data
        if len(data) <= overlap:
            return
        start += len(data) - overlap


def find(needles, read, start, end):
    """(address, needle) of the first place where one of them occurs."""
    overlap = max(map(len, needles)) - 1
    for at, data in chunks(read, start, end, overlap):
        if data == ZEROES:
            continue  # most of what is reserved for counters
        for needle in needles:
            where = data.find(needle)
            if where != -1:
                return at + where, needle
    return None


def find_in_process(pid, needles, shared_only=False):
    """Where one of the needles is, in words; "" for nowhere. Without the stack
    of a sanitized process: calls are bound late there, and the loader saves
    registers, with whatever was copied last."""
    no_stack = is_sanitized()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        def read(start, length):
            return os.pread(memory.fileno(), length, start)

        for region in regions(pid):
            if shared_only and not region.is_shared or \
                    no_stack and region.name == "[stack]":
                continue
            found = find(needles, read, region.start, region.end)
            if found:
                around = read(max(region.start, found[0] - 32), 96)
                return f"{found[0]:x} in {region}: {around!r}"
    return ""


def find_in_file(path, needles):
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        found = find(needles, lambda start, length: os.pread(
            file.fileno(), length, start), 0, size)
        return f"{path} at {found[0]}" if found else ""


def find_in_memfds(pid, needles):
    """In files without a name that the process holds, mapped or not."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "memfd:" in os.readlink(fd):
                found = find_in_file(fd, needles)
                if found:
                    return f"{found}, {os.readlink(fd)}"
        except FileNotFoundError:
            pass
    return ""


@functools.cache
def is_sanitized():
    """How much memory it takes, for instance, says nothing then."""
    return b"__asan_init" in \
        Path(harness.program("PORTEROD", "porterod")).read_bytes()
