import pytest
from manifests.documents import Finding
from manifests.waivers import Waiver, WaiverError, kept, read_waivers, unused

FINDING = Finding("probes", "deployment/web[web]", "has none", "add one")


def test_a_finding_reads_as_one_line():
    assert str(FINDING) == "probes deployment/web[web]: has none; add one"


@pytest.mark.parametrize(
    ("rule", "place", "overlay", "waived"),
    [
        ("probes", "deployment/web[web]", "", True),
        ("probes", "deployment/web", "", True),
        ("probes", "deployment/*", "local", True),
        ("probes", "*[web]", "local", True),
        ("probes", "deployment/web[other]", "", False),
        ("resources", "deployment/web", "", False),
        ("probes", "deployment/web", "production", False),
    ],
)
def test_a_waiver_covers_its_rule_its_object_and_its_overlay(rule, place, overlay, waived):
    waivers = [Waiver(rule, place, "because", overlay)]
    assert kept([FINDING], waivers, "local") == ([] if waived else [FINDING])


def test_a_waiver_that_waives_nothing_is_a_finding():
    used, idle = Waiver("probes", "deployment/web", "because"), Waiver("probes", "deployment/none", "because")
    kept([FINDING], [used, idle], "local")
    [finding] = unused([used, idle], ["local"], "waivers.yaml", all_of_them=True)
    assert str(finding) == "waiver-unused waivers.yaml/probes[deployment/none]: waives nothing; take it out"


def test_two_waivers_of_one_finding_are_both_used():
    waivers = [Waiver("probes", "deployment/web", "because"), Waiver("probes", "deployment/*", "because")]
    assert kept([FINDING], waivers, "local") == []
    assert unused(waivers, ["local"], "waivers.yaml", all_of_them=True) == []


@pytest.mark.parametrize(
    ("overlay", "looked", "all_of_them", "idle"),
    [
        ("production", ["local"], False, False),
        ("production", ["local", "production"], False, True),
        ("production", ["local", "production"], True, True),
        ("", ["local"], False, False),
        ("", ["local"], True, True),
    ],
)
def test_a_waiver_is_idle_only_where_it_could_have_waived(overlay, looked, all_of_them, idle):
    waiver = Waiver("probes", "deployment/none", "because", overlay)
    assert bool(unused([waiver], looked, "waivers.yaml", all_of_them=all_of_them)) is idle


def test_only_the_waivers_of_the_rules_in_question_are_read(tmp_path):
    file = tmp_path / "waivers.yaml"
    file.write_text(
        "- {rule: probes, object: job/*, overlay: local, reason: it ends}\n"
        "- {rule: CKV_K8S_43, object: '*', reason: local images}\n"
    )
    assert read_waivers(file, ["probes"]) == [Waiver("probes", "job/*", "it ends", "local")]
    file.write_text("")
    assert read_waivers(file, ["probes"]) == []


@pytest.mark.parametrize(
    "entry",
    [
        "{rule: probes, object: job/*}",
        "{rule: probes, object: job/*, reason: ''}",
        "{rule: probes, object: job/*, reason: x, because: y}",
        "{rule: probes, object: 5, reason: x}",
        "probes",
    ],
)
def test_an_entry_that_is_no_waiver_is_refused(tmp_path, entry):
    file = tmp_path / "waivers.yaml"
    file.write_text(f"- {entry}\n")
    with pytest.raises(WaiverError, match=f"{file}: waiver 1 "):
        read_waivers(file, ["probes"])


def test_a_file_that_is_no_list_is_refused(tmp_path):
    file = tmp_path / "waivers.yaml"
    file.write_text("probes: all\n")
    with pytest.raises(WaiverError, match="a list"):
        read_waivers(file, ["probes"])
