from __future__ import annotations

import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferopt.engine.worker.frames import MAX_FRAME_BYTES, Frames, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@pytest.fixture
def pipe():
    """`pipe(data)`: the frames at the end of a pipe that holds these bytes and is closed."""
    opened = []

    def pipe(data):
        readable, writable = os.pipe()
        opened.append(readable)
        os.write(writable, data)
        os.close(writable)
        return Frames(readable)

    yield pipe
    for fd in opened:
        os.close(fd)


def received(data, pieces):
    """The documents that come out when the data arrive in pieces of these sizes."""
    frames, documents = Frames(-1), []
    while data:
        size = next(pieces)
        frames._buffer += data[:size]
        data = data[size:]
        while (document := frames.read()) is not None:
            documents.append(document)
    return documents, frames.is_half


@given(st.lists(DOCUMENTS, max_size=4), st.integers(1, 20))
def test_documents_come_out_whole_and_in_order_however_their_bytes_arrive(documents, size):
    data = b"".join(map(encode, documents))
    assert received(data, iter(lambda: size, None)) == (documents, False)


@given(DOCUMENTS, st.data())
def test_a_document_that_was_cut_does_not_come_out(document, data):
    whole = encode(document)
    cut = data.draw(st.integers(1, len(whole) - 1))
    assert received(whole[:cut], iter(lambda: 7, None)) == ([], True)


def test_a_frame_is_its_length_and_then_json():
    assert encode({"a": "é"}) == (15).to_bytes(8, "big") + b'{"a": "\\u00e9"}'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_c49_nan_is_in_no_frame(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"latency": [value]})


def test_a_pipe_is_read_to_its_end(pipe):
    frames = pipe(encode({"a": 1}) + encode({"b": 2}) + b"\x00")
    assert (frames.read(), frames.is_half) == (None, False)
    assert frames.fill()
    assert [frames.read(), frames.read(), frames.read()] == [{"a": 1}, {"b": 2}, None]
    assert (frames.fill(), frames.is_half) == (False, True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((MAX_FRAME_BYTES + 1).to_bytes(8, "big"), f"a frame of {MAX_FRAME_BYTES + 1} bytes was announced"),
        (b"Traceback (most recent", r"a frame of \d+ bytes was announced"),
        ((3).to_bytes(8, "big") + b"{]}", "Expecting property name"),
        ((1).to_bytes(8, "big") + b"\xff", "codec can't decode"),
        ((1).to_bytes(8, "big") + b"5", "a frame holds a int, not an object"),
        ((10).to_bytes(8, "big") + b'["result"]', "a frame holds a list, not an object"),
    ],
)
def test_what_is_no_frame_is_an_error(pipe, data, message):
    frames = pipe(data)
    frames.fill()
    with pytest.raises(ValueError, match=message):
        frames.read()


def test_a_frame_of_the_largest_size_is_awaited(pipe):
    frames = pipe(MAX_FRAME_BYTES.to_bytes(8, "big") + json.dumps({"a": 1}).encode())
    frames.fill()
    assert (frames.read(), frames.is_half) == (None, True)
