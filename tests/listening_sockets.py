"""Where processes accept connections, as Linux reports it; for the tests of the explorer."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from pathlib import Path

import pytest

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
needs_tables = pytest.mark.skipif(not TABLES[0].exists(), reason="only Linux has /proc/net/tcp")
_LISTEN = "0A"


def listening(pid: int) -> list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """Return the address and port of each TCP socket on which a process or its children listen."""
    own = _sockets(pid)
    found = []
    for table in TABLES:
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in own:
                address, port = fields[1].split(":")
                found.append((_address(address), int(port, 16)))
    return found


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address that the kernel prints in words of 4 bytes, each in the machine's order."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    return ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))


def _sockets(pid: int) -> set[str]:
    """Return the inode numbers of the sockets of a process and its descendants."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            socket = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry))
        except FileNotFoundError:  # closed in the meantime
            continue
        if socket:
            found.add(socket[1])
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            try:
                found |= _sockets(int(child))
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # has ended
                continue
    return found
