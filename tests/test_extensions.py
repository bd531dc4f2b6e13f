"""Modules of a user's own are found where a name is looked up, and what is wrong with them is said."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import torch

from align import extensions
from align.data.sources import SOURCES, make_source
from align.models.families import FAMILIES, family_named
from align.run import content_digest, write_run_json
from align.training import losses
from align.training.losses import PairLogps, add_term, parse_losses

LOSS = """
from align.training.losses import add_term

def gap(logps, *, margin):
    return margin - (logps.chosen - logps.rejected)

add_term("gap", gap)
"""
READER = """
from dataclasses import dataclass
from align.data.sources import SOURCES
from align.data.sources.base import Source
from align.models.families import FAMILIES, Family

@dataclass(frozen=True)
class Mine(Source):
    name: str = "mine"

SOURCES["mine"] = Mine
FAMILIES["mine"] = Family("mine", ("model.eye",), ("model.bridge",), ("model.mouth",))
"""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No extension loaded, tables that are put back afterwards, and a working directory."""
    monkeypatch.setattr(extensions, "_loaded", None)
    monkeypatch.setattr(extensions, "_failed", None)
    for name in ("my_loss", "my_reader", "packaged_loss"):  # of an earlier test
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(losses, "_KINDS", dict(losses._KINDS))
    for table in (SOURCES, FAMILIES):
        monkeypatch.setitem(table, "mine", None)  # and so taken out in the end
        del table["mine"]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pairs(chosen: float, rejected: float) -> PairLogps:
    one = torch.ones(1, dtype=torch.long)
    return PairLogps(torch.tensor([chosen]), torch.tensor([rejected]), one, one)


def test_files_are_imported_when_a_name_is_missing(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "my_loss.py").write_text(LOSS)
    (fresh / "my_reader.py").write_text(READER)
    monkeypatch.setenv("MOHOALIGN_EXTENSIONS", "my_loss.py, my_reader.py")
    parse_losses({"dpo": {"beta": 0.1}})
    assert extensions.loaded_extensions() == {}, "what is here needs no extension"

    terms = parse_losses({"gap": {"margin": 2.0, "weight": 3.0}})
    loss, logged = terms.pair_loss(pairs(-1.0, -2.0))
    assert (loss.item(), logged["loss/gap"].item()) == (3.0, 1.0)
    assert not terms.needs_reference
    assert terms.needs_rejected
    assert make_source("mine", {"license": "CC0"}).license == "CC0"
    assert family_named("mine").part_of("model.eye.layers.0") == "vision_tower"
    assert set(extensions.loaded_extensions()) == {"my_loss.py", "my_reader.py"}
    write_run_json(fresh, config={}, seeds=0, inputs={})
    assert json.loads((fresh / "run.json").read_text())["extensions"] == {
        name: content_digest(fresh / name) for name in ("my_loss.py", "my_reader.py")
    }, "the record says which code of one's own was at work"


def test_an_installed_package_needs_no_variable(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "packaged_loss.py").write_text(LOSS)
    monkeypatch.syspath_prepend(fresh)
    entry = importlib.metadata.EntryPoint("x", "packaged_loss", "mohoalign.extensions")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [entry])
    assert parse_losses({"gap": {"margin": 0}}).terms[0].parameters == {"margin": 0.0}


def test_a_file_that_is_not_there(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOHOALIGN_EXTENSIONS", "no_such.py")
    for _ in range(2):  # not "no such term" to whoever asks next
        with pytest.raises(FileNotFoundError, match=r"MOHOALIGN_EXTENSIONS names no_such\.py"):
            parse_losses({"gap": {}})


def test_what_a_module_raises_is_raised_each_time(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "my_loss.py").write_text("import no_such_package")
    monkeypatch.setenv("MOHOALIGN_EXTENSIONS", "my_loss.py")
    for look_up in (lambda: parse_losses({"gap": {}}), lambda: make_source("mine", {})):
        with pytest.raises(ModuleNotFoundError, match="no_such_package"):
            look_up()
    assert "my_loss" not in sys.modules


@pytest.mark.parametrize("name", ["json.py", "torch.py", "wave.py", "sys.py"])  # loaded, not yet, built in
def test_a_file_does_not_take_the_place_of_another_module(
    name: str, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fresh / name).write_text(LOSS)
    monkeypatch.setenv("MOHOALIGN_EXTENSIONS", name)
    before = sys.modules.get(name.removesuffix(".py"))
    with pytest.raises(ValueError, match=rf"names {name}, but there is a module .* such as my_{name}"):
        parse_losses({"gap": {}})
    assert sys.modules.get(name.removesuffix(".py")) is before


def test_a_file_that_can_be_imported_is_imported_once(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "my_loss.py").write_text(LOSS)
    monkeypatch.syspath_prepend(fresh)  # as of a script that lies beside it
    monkeypatch.setenv("MOHOALIGN_EXTENSIONS", "my_loss.py")
    monkeypatch.setattr(losses, "_KINDS", dict(losses._KINDS))
    import my_loss

    assert parse_losses({"gap": {"margin": 0}}).terms[0].parameters == {"margin": 0.0}
    assert sys.modules["my_loss"] is my_loss


def test_a_setting_of_a_users_term_is_a_finite_number(fresh: Path) -> None:
    add_term("gap", lambda logps, *, margin: margin - logps.chosen)
    with pytest.raises(ValueError, match=r"losses\.gap\.margin is inf: give a finite number"):
        parse_losses({"gap": {"margin": float("inf")}})


def test_terms_that_cannot_be(fresh: Path) -> None:
    with pytest.raises(ValueError, match="there is a term 'dpo' already"):
        add_term("dpo", losses.nll)
    with pytest.raises(ValueError, match="no `beta`"):
        add_term("mine", losses.nll, reward="mean")
