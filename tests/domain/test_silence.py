from __future__ import annotations

import logging
import sys
import warnings

import pytest

from pytest_inferopt.domain.silence import silence


def test_what_a_library_prints_logs_and_warns_of_is_not_heard(capsys, caplog):
    with silence("chatty"):
        sys.stdout.write("progress")
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
        logging.getLogger("chatty").error("advice")
    assert (capsys.readouterr().out, caplog.records) == ("", [])


def test_afterwards_all_is_as_before_also_where_something_was_raised(capsys):
    log = logging.getLogger("chatty")
    log.setLevel(logging.INFO)
    with pytest.raises(KeyError), silence("chatty"):
        raise KeyError
    assert log.level == logging.INFO
    sys.stdout.write("heard\n")
    with pytest.warns(DeprecationWarning, match="heard"):
        warnings.warn("heard", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().out == "heard\n"
