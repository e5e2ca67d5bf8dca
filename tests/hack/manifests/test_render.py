import shutil

import pytest
from manifests.render import RenderError, Rendering, parse, read, render

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on the PATH")
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"


@needs_kubectl
def test_a_folder_is_rendered_under_its_name(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "namespace.yaml").write_text(NAMESPACE)
    (folder / "kustomization.yaml").write_text("resources: [namespace.yaml]\n")
    rendering = render(folder)
    assert rendering.name == "local"
    assert [each["kind"] for each in rendering.documents] == ["Namespace"]


@needs_kubectl
def test_a_folder_that_does_not_render_is_named_with_the_reason(tmp_path):
    with pytest.raises(RenderError, match=rf"{tmp_path} does not render: .*kustomization"):
        render(tmp_path)


def test_without_kubectl_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match="install it"):
        render(tmp_path)


def test_a_file_is_read_as_it_is(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(NAMESPACE)
    assert read(file).name == "a.yaml"
    assert len(read(file).documents) == 1


def test_empty_documents_count_for_nothing_and_lists_for_their_items():
    text = "---\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n"
    assert [each["kind"] for each in parse(text)] == ["A", "B", "C"]


def test_an_object_is_found_by_kind_name_and_namespace():
    inner, outer = {"name": "a", "namespace": "n"}, {"name": "b"}
    rendering = Rendering("test", [{"kind": "A", "metadata": inner}, {"kind": "A", "metadata": outer}])
    assert rendering.find("A", "a", "n")
    assert rendering.find("A", "a")
    assert rendering.find("A", "b", "n")
    assert not rendering.find("A", "a", "m")
    assert not rendering.find("B", "a", "n")
