from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
from botocore.config import Config

from schemas.errors import ObjectConflict, ObjectMissing, SettingsError, StoreError, StoreUnavailable
from schemas.settings import Settings
from storage.objects import FolderStore, S3Store, Store, content_key, open_store, s3_client
from tests import servers

PNG = "image/png"


def test_what_was_put_is_got_back(store: Store) -> None:
    for data in (b"", b"bytes", os.urandom(3_000_000)):
        key = store.put_content("images", data, extension="png", media_type=PNG)
        assert key == content_key("images", data, extension="png")
        assert store.get(key) == data and store.size(key) == len(data) and store.exists(key)
        assert store.put_content("images", data, extension="png", media_type=PNG) == key


def test_an_object_is_written_once(store: Store) -> None:
    assert store.put_once("delivery/Red Potion/T_Röt.png", b"one", media_type=PNG)
    assert not store.put_once("delivery/Red Potion/T_Röt.png", b"one", media_type=PNG)
    with pytest.raises(ObjectConflict, match="T_Röt"):
        store.put_once("delivery/Red Potion/T_Röt.png", b"two", media_type=PNG)
    assert store.get("delivery/Red Potion/T_Röt.png") == b"one"


def test_what_is_not_there_is_missing(store: Store) -> None:
    store.put_once("images/ab/x.png", b"x", media_type=PNG)
    assert not store.exists("images/y.png") and not store.exists("images/ab")
    for key in ("images/y.png", "images/ab", "images/ab/x.png/z"):
        with pytest.raises(ObjectMissing, match=key):
            store.get(key)
        with pytest.raises(ObjectMissing):
            store.size(key)


def test_keys_are_found_by_their_beginning(store: Store) -> None:
    names = ["images/ab/1.png", "images/ab/12.png", "images/ac/1.png", "masks/ab/1.png"]
    for name in names:
        store.put_once(name, b"x", media_type=PNG)
    assert sorted(store.keys("")) == names
    assert sorted(store.keys("images/")) == names[:3]
    assert sorted(store.keys("images/a")) == names[:3]
    assert sorted(store.keys("images/ab/1")) == names[:2]
    assert list(store.keys("previews/")) == []


WRONG = [
    "",
    "/etc/passwd",
    "../x",
    "images/../../x",
    "a//b",
    "a/./b",
    "a/",
    ".hidden/x",
    "a\\b",
    "a\0b",
    "a\nb",
    "C:/x",
]


@pytest.mark.parametrize("key", [*WRONG, "a" * 201, "a/" * 500 + "a"])
def test_a_key_that_could_lead_elsewhere_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "x").write_bytes(b"not an object")
    folder = FolderStore(tmp_path / "objects")
    bucket = S3Store("dailies", "tests", s3_client(endpoint_url="http://127.0.0.1:1", region="us-east-1"))
    for refused in (folder.get, folder.exists, folder.url, bucket.get, bucket.url):
        with pytest.raises(StoreError, match="object key"):
            refused(key)
    for put in (folder.put_once, bucket.put_once):
        with pytest.raises(StoreError, match="object key"):
            put(key, b"x", media_type=PNG)
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["x"]


def test_listing_cannot_leave_the_store(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not an object")
    with pytest.raises(StoreError):
        list(FolderStore(tmp_path / "objects").keys("../"))


def test_of_many_who_put_at_once_one_wins_and_its_bytes_are_whole(store: Store) -> None:
    outcomes: list[object] = []
    start = threading.Barrier(8)

    def put(number: int) -> None:
        data = bytes([number % 4]) * 500_000  # two threads each have the same bytes
        start.wait()
        try:
            outcomes.append((store.put_once("images/raced.png", data, media_type=PNG), data))
        except ObjectConflict:
            outcomes.append(None)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = store.get("images/raced.png")
    assert sorted(str(o and o[0]) for o in outcomes) == ["False"] + ["None"] * 6 + ["True"]  # type: ignore[index]
    assert all(outcome[1] == there for outcome in outcomes if outcome)  # type: ignore[index]
    assert list(store.keys("")) == ["images/raced.png"]


def test_half_a_file_is_no_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put_once("images/a.png", b"x", media_type=PNG)
    (tmp_path / "images" / ".123-abc.part").write_bytes(b"what a crash left")
    assert list(store.keys("")) == ["images/a.png"]
    (tmp_path / "images" / "b.png").mkdir()
    with pytest.raises(ObjectMissing):
        store.get("images/b.png")


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(StoreUnavailable, match=r"images/a\.png: .* in .*file"):
        FolderStore(tmp_path / "file").put_once("images/a.png", b"x", media_type=PNG)


def test_settings_name_the_store(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    assert isinstance(store, FolderStore) and store.root == (tmp_path / "objects").resolve()
    assert store.url("images/a.png") == str((tmp_path / "objects/images/a.png").resolve())
    for place in ("gs://bucket", "s3://"):
        with pytest.raises(SettingsError, match="expected s3://bucket/prefix"):
            open_store(Settings(object_store=place))


@pytest.mark.servers
class TestS3:
    @pytest.fixture
    def bucket(self, s3_server: servers.S3Server) -> S3Store:
        settings = Settings(object_store="s3://another-bucket/a/b/", s3_endpoint_url=s3_server.endpoint_url)
        open_store(settings)  # makes it
        store = open_store(settings)
        assert isinstance(store, S3Store)
        return store

    def test_a_url_opens_one_object_without_credentials_and_no_other(self, bucket: S3Store) -> None:
        one = bucket.put_content("images", b"one", extension="png", media_type=PNG)
        two = bucket.put_content("images", b"two", extension="png", media_type=PNG)
        url = bucket.url(one, seconds=60)
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"one" and answer.headers["Content-Type"] == PNG
        for wrong in (url.replace(one, two), url.replace("X-Amz-Signature=", "X-Amz-Signature=0")):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(wrong)
            assert refused.value.code == 403

    def test_the_server_keeps_the_checksum(self, bucket: S3Store, s3_server: servers.S3Server) -> None:
        key = bucket.put_content("images", b"summed", extension="png", media_type=PNG)
        client = s3_client(endpoint_url=s3_server.endpoint_url, region="us-east-1")
        found = client.head_object(Bucket="another-bucket", Key=f"a/b/{key}", ChecksumMode="ENABLED")
        assert found["ChecksumSHA256"] == b64encode(hashlib.sha256(b"summed").digest()).decode()

    def test_wrong_credentials_are_said_and_not_shown(
        self, s3_server: servers.S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
        settings = Settings(object_store="s3://another-bucket/x", s3_endpoint_url=s3_server.endpoint_url)
        with pytest.raises(StoreUnavailable) as raised:
            open_store(settings).get("images/a.png")
        assert "wrong-and-secret" not in str(raised.value) and "s3://another-bucket/x" in str(raised.value)


def test_a_server_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    import boto3

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{servers.free_port()}",
        region_name="us-east-1",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )
    store = S3Store("dailies", "", client)
    for act in (lambda: store.get("images/a.png"), lambda: store.put_once("images/a.png", b"x", media_type=PNG)):
        with pytest.raises(StoreUnavailable, match="EndpointConnectionError") as raised:
            act()
        assert "very-secret" not in str(raised.value) and "http://" not in str(raised.value)
