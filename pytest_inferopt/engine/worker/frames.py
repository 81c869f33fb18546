"""The worker's pipe: JSON documents, each after its length. Results never travel as pickles."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

__all__ = ["MAX_FRAME_BYTES", "Frames", "encode"]

HEADER = struct.Struct(">Q")
MAX_FRAME_BYTES = 256 * 1024 * 1024


def encode(document: dict[str, Any]) -> bytes:
    """One frame: 8 bytes of length (big-endian), then JSON in UTF-8.

    Raises:
        ValueError: the document holds NaN or infinity, which JSON does not have.
    """
    body = json.dumps(document, allow_nan=False).encode()
    return HEADER.pack(len(body)) + body


class Frames:
    """Collects bytes from a descriptor and gives the whole documents among them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._buffer = bytearray()

    def read(self) -> dict[str, Any] | None:
        """The next whole document that has already come, without reading; None if there is none yet.

        Raises:
            ValueError: what came is no frame.
        """
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes was announced")
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        document = json.loads(self._buffer[HEADER.size : end])
        if not isinstance(document, dict):
            raise ValueError(f"a frame holds a {type(document).__name__}, not an object")  # noqa: TRY004 - a frame's fault
        del self._buffer[:end]
        return document

    def fill(self) -> bool:
        """Take what the descriptor has (blocks if it has nothing); False at its end."""
        chunk = os.read(self.fd, 65_536)
        self._buffer += chunk
        return bool(chunk)

    @property
    def is_half(self) -> bool:
        """Whether bytes are left that make no whole document."""
        return bool(self._buffer)
