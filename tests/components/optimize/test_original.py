"""A package's data is found and dealt out again, and nothing else is taken for it."""

import shutil

import pytest
from small_network import Network

import modelpackage
from components.errors import OptimizeError
from components.optimize.original import configuration, find_source, rebuild
from components.publish import upload
from components.record import Record
from components.store import open_store
from components.versions import push
from components.versions.manifest import Summary
from modelpackage import Package

DIGITS = "builtin://digits"


def resealed(package: Package, directory, **parameters) -> Package:
    """The same package, but for what it says that it was made with."""
    known = package.descriptor
    lineage = known.lineage.model_copy(update={"parameters": {**known.lineage.parameters, **parameters}})
    names = ("name", "kind", "signature", "labels", "preprocessing", "tolerance", "metrics")
    return modelpackage.seal(
        directory,
        **{name: getattr(known, name) for name in names},
        lineage=lineage,
        graph=package.graph(),
        golden=package.golden(),
        reference=package.reference(),
    )


def test_the_rows_are_dealt_out_as_the_run_did(network: Network, tmp_path):
    config, splits = rebuild(network.package, DIGITS, tmp_path / "scratch", tmp_path / "cache")
    # A package names what was left to the machine by what it came out as.
    settled = {"device": "cpu", "precision": "float32"}
    train = network.run.config.train.model_copy(update=settled)
    assert config == network.run.config.model_copy(update={"train": train})
    for split in ("train", "test"):
        rows, expected = splits.part(split), network.run.splits.part(split)
        assert (rows.x == expected.x).all() and (rows.y == expected.y).all()


def test_other_data_is_refused_with_both_digests_and_the_way_out(network: Network, tmp_path):
    (tmp_path / "flowers.csv").write_text("a,label\n" + "1,x\n2,y\n" * 20)
    own = network.package.descriptor.lineage.data[:12]
    other = resealed(network.package, tmp_path / "other", data={"label": "label"})
    with pytest.raises(OptimizeError, match=rf"flowers.csv is data sha256:\w{{12}}, .* from sha256:{own}.*--data"):
        rebuild(other, str(tmp_path / "flowers.csv"), tmp_path / "scratch", tmp_path / "cache")


def test_the_same_data_dealt_out_otherwise_is_refused(network: Network, tmp_path):
    moved = resealed(network.package, tmp_path / "moved", seed=5)
    with pytest.raises(OptimizeError, match="holds out other rows"):
        rebuild(moved, DIGITS, tmp_path / "scratch", tmp_path / "cache")


def test_a_variant_is_not_optimised_twice(network: Network, tmp_path):
    variant = resealed(network.package, tmp_path / "variant", optimize={"method": "int8"})
    with pytest.raises(OptimizeError, match="is an optimised package already"):
        configuration(variant, DIGITS)


def test_the_record_of_the_run_knows_where_the_data_is(network: Network, tmp_path):
    store, run = open_store((tmp_path / "store").as_uri()), network.run
    (tmp_path / "record").mkdir()
    uri = upload(store, network.package)
    Record.gather(
        run.config, "run-1", network.package, uri, run.evaluation_path, run.model, tmp_path / "record"
    ).keep(store)  # fmt: skip
    assert find_source(network.package, store) == DIGITS


def test_a_pushed_version_of_the_data_is_found_by_its_digest(network: Network, tmp_path):
    store, digest = open_store((tmp_path / "store").as_uri()), network.package.descriptor.lineage.data
    with pytest.raises(OptimizeError, match=rf"where the data sha256:{digest[:12]} .*--data SOURCE"):
        find_source(network.package, store)
    (tmp_path / "digits").mkdir()
    shutil.copyfile(network.package.path / "model.json", tmp_path / "digits" / "some.file")
    summary = Summary(format="pictures", kind="image", rows=1, labels={"0": 1})
    push(store, "scans", tmp_path / "digits", digest=digest, summary=summary, say=lambda _: None)
    assert find_source(network.package, store) == f"data://scans@{digest}"
