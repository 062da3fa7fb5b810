"""Downloads from a server on this machine; nothing here reaches the internet."""

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from segsweep.data import download as downloads
from segsweep.data.download import Archive, download, missing
from segsweep.data.sets.coco_voc import CocoVoc
from segsweep.data.sets.sbd import Sbd
from segsweep.data.sets.voc2012 import Voc2012
from segsweep.errors import DataError, UserError
from tests.data.writers_voc import write_voc


class Server(ThreadingHTTPServer):
    """Gives `content` for every path, at most `most` bytes an answer, and notes the ranges asked for."""

    content = b""
    most = 1 << 30
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if self.path.endswith("missing.tar"):
            self.send_error(404)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        body = server.content[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.most])

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def packed_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def packed_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


FILES = {
    "outer/inner/list.txt": b"one\n",
    "outer/inner/deep/big.bin": bytes(range(256)) * 400,
    "outer/x": b"",
}


def offer(server: Server, content: bytes, name: str = "set.tar", md5: bool = True) -> Archive:
    server.content = content
    return Archive(
        url=f"http://127.0.0.1:{server.server_port}/{name}",
        size=len(content),
        md5=hashlib.md5(content).hexdigest() if md5 else None,
        inside="outer/inner",
        marker="list.txt",
    )


def quiet(name: str, done: int, total: int) -> None:
    pass


def names(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


@pytest.mark.parametrize("pack", [packed_tar, packed_zip])
@pytest.mark.parametrize("md5", [True, False])
def test_an_archive_becomes_its_folder_and_is_not_fetched_twice(tmp_path, server, pack, md5):
    archive, target = offer(server, pack(FILES), md5=md5), tmp_path / "data" / "target"
    assert missing([(archive, target)]) == [(archive, target)]
    told = []
    download([(archive, target)], lambda *step: told.append(step))
    assert names(tmp_path) == ["data/target/deep/big.bin", "data/target/list.txt"]
    assert (target / "deep" / "big.bin").read_bytes() == FILES["outer/inner/deep/big.bin"]
    assert told[-1] == ("set.tar", archive.size, archive.size)
    download([(archive, target)], quiet)
    assert server.asked == [None]


def test_a_broken_connection_goes_on_where_it_stopped(tmp_path, server):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    server.most = 100
    with pytest.raises(DataError, match=r"ended after 100 of .* goes on where it stopped") as error:
        download([(archive, target)], quiet)
    assert "\n" not in str(error.value)
    assert not target.exists()
    server.most = 1 << 30
    download([(archive, target)], quiet)
    assert server.asked == [None, "bytes=100-"]
    assert names(tmp_path) == ["target/deep/big.bin", "target/list.txt"]


def test_a_server_without_ranges_is_asked_for_all_of_it(tmp_path, server):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    server.ranges = False
    (tmp_path / "set.tar.part").write_bytes(archive.url.encode())
    download([(archive, target)], quiet)
    assert (target / "list.txt").read_text() == "one\n"


def test_other_bytes_than_the_official_ones_are_refused_and_removed(tmp_path, server):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    server.content = bytes(reversed(server.content))
    with pytest.raises(DataError, match=r"set\.tar\.part: MD5 .* is not the official"):
        download([(archive, target)], quiet)
    assert names(tmp_path) == []
    with pytest.raises(DataError, match=r"ended after"):
        download([(replace(archive, md5=None, size=1 << 20), target)], quiet)


def test_an_address_that_does_not_answer_is_named(tmp_path, server):
    archive = offer(server, b"x", name="missing.tar")
    for url in (archive.url, "http://127.0.0.1:9/set.tar"):
        with pytest.raises(DataError, match=r"set\.tar|missing\.tar: cannot be fetched .*by hand") as error:
            download([(replace(archive, url=url), tmp_path / "target")], quiet)
        assert "\n" not in str(error.value)


def test_one_put_there_by_hand_is_unpacked_and_kept(tmp_path, server):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    (tmp_path / "set.tar").write_bytes(server.content)
    download([(archive, target)], quiet)
    assert names(tmp_path) == ["set.tar", "target/deep/big.bin", "target/list.txt"]
    assert server.asked == []
    (target / "list.txt").unlink()
    (tmp_path / "set.tar").write_bytes(b"other")
    with pytest.raises(DataError, match=r"set\.tar: MD5"):
        download([(archive, target)], quiet)
    assert (tmp_path / "set.tar").exists()


def test_what_is_in_the_folder_stays_beside_what_comes(tmp_path, server):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    (target / "deep").mkdir(parents=True)
    (target / "deep" / "own.txt").write_text("mine")
    download([(archive, target)], quiet)
    assert names(target) == ["deep/big.bin", "deep/own.txt", "list.txt"]


def test_files_of_others_are_not_overwritten_but_named(tmp_path, server):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    (target / "deep").mkdir(parents=True)
    (target / "deep" / "big.bin").write_text("mine")
    with pytest.raises(DataError, match=r"deep/big\.bin: is another file than the archive's, as 1 of 2 are"):
        download([(archive, target)], quiet)
    assert names(target) == ["deep/big.bin"]
    assert (target / "deep" / "big.bin").read_text() == "mine"
    (target / "deep" / "big.bin").unlink()
    download([(archive, target)], quiet)
    assert names(target) == ["deep/big.bin", "list.txt"]


def test_unpacking_that_was_cut_short_is_done_again(tmp_path, server, monkeypatch):
    archive, target = offer(server, packed_tar(FILES)), tmp_path / "target"
    (target / "deep").mkdir(parents=True)

    def cut(source: Path, target: Path) -> None:
        (source / "list.txt").replace(target / "list.txt")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(downloads, "_merge", cut)
        with pytest.raises(KeyboardInterrupt):
            download([(archive, target)], quiet)
    assert (target / "list.txt").exists()
    assert missing([(archive, target)])
    download([(archive, target)], quiet)
    assert names(tmp_path) == ["target/deep/big.bin", "target/list.txt"]
    assert server.asked == [None]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, server):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"target cannot be written .*dataset\.root="):
        download([(offer(server, packed_tar(FILES)), tmp_path / "file" / "target")], quiet)


def test_data_sets_name_official_archives_and_the_folders_they_become(tmp_path):
    found = {
        archive.name: (archive.url.split("/")[2], str(target.relative_to(tmp_path)))
        for data in (
            Voc2012(root=tmp_path / "VOCdevkit"),
            Sbd(root=tmp_path / "VOCdevkit"),
            Sbd(root=tmp_path / "benchmark_RELEASE"),
            CocoVoc(root=tmp_path / "coco"),
        )
        for archive, target in data.archives()
    }
    assert found == {
        "VOCtrainval_11-May-2012.tar": ("host.robots.ox.ac.uk", "VOCdevkit/VOC2012"),
        "benchmark.tgz": ("www2.eecs.berkeley.edu", "benchmark_RELEASE"),
        "train2017.zip": ("images.cocodataset.org", "coco/train2017"),
        "val2017.zip": ("images.cocodataset.org", "coco/val2017"),
        "annotations_trainval2017.zip": ("images.cocodataset.org", "coco/annotations"),
    }
    devkit = write_voc(tmp_path / "aug" / "VOCdevkit")
    assert [archive.name for archive, _ in Sbd(root=devkit).archives()] == ["VOCtrainval_11-May-2012.tar"]


def test_official_folder_names_fit_the_archives(tmp_path, server, monkeypatch):
    """VOC and SBD as their archives unpack, from a folder with nothing in it to training."""
    write_voc(tmp_path / "source" / "VOCdevkit", aug=True)
    voc = tmp_path / "source" / "VOCdevkit" / "VOC2012"
    (voc / "ImageSets" / "Segmentation" / "trainval.txt").write_text("")
    files = {f"VOCdevkit/VOC2012/{f.relative_to(voc)}": f.read_bytes() for f in voc.rglob("*") if f.is_file()}
    archive = replace(
        offer(server, packed_tar(files)),
        inside="VOCdevkit/VOC2012",
        marker="ImageSets/Segmentation/trainval.txt",
    )
    monkeypatch.setattr("segsweep.data.sets.voc2012.TRAINVAL", archive)
    data = Voc2012(root=tmp_path / "data" / "VOCdevkit")
    download(data.archives(), quiet)
    data.check_files()
    assert missing(data.archives()) == []
