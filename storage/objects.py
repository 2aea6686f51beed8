"""Bytes by key, written once: in a folder, or in any S3. The only boto3 of the house.

Both stores keep the same promises. An object appears whole or not at all, is never changed, and putting it again with
the same bytes is harmless while other bytes are an `ObjectConflict`. What is read back is what was put. Only
tasks/gc.py moves and deletes. Nothing here logs a URL or a credential.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from schemas.errors import (
    ObjectConflict,
    ObjectDamaged,
    ObjectMissing,
    SettingsError,
    StoreError,
    StoreUnavailable,
)
from schemas.settings import Settings
from storage.failpoint import failpoint

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KINDS = (
    "manifests",
    "sources",
    "conditions",
    "images",
    "previews",
    "thumbs",
    "masks",
    "shifts",
    "reports",
    "delivery",
    "indexes",
)


TRASH = "trash/"
"""Before a key that `dailies gc` removed: its bytes wait there for some days, and can be put back."""


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing names it. `changed_at`: when it was put, or moved here."""

    key: str
    bytes: int
    changed_at: datetime


def content_key(kind: str, data: bytes, *, extension: str) -> str:
    """`kind/ab/<sha256>.extension`: the same bytes always have the same key."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{kind}/{digest[:2]}/{digest}.{extension}"


CONTENT_KEY = re.compile(
    r"(?:manifests|sources|images|previews|thumbs|masks|shifts|reports)/[0-9a-f]{2}/([0-9a-f]{64})\.\w+"
)
"""Keys that `content_key` made. A condition's key is the digest of its recipe, not of its bytes."""


def checked_bytes(key: str, data: bytes) -> bytes:
    """The bytes themselves; ObjectDamaged when the key names other bytes."""
    match = CONTENT_KEY.fullmatch(key)
    if match is not None and (digest := hashlib.sha256(data).hexdigest()) != match[1]:
        raise ObjectDamaged(
            f"{key}: the object is damaged or was replaced: its {len(data)} bytes have the SHA-256 {digest[:12]}"
        )
    return data


def checked_key(key: str) -> str:
    """The key itself; StoreError when it could mean another place in one store than in another."""
    parts = key.split("/")
    wrong = (
        any(not part or part.startswith(".") or part.endswith((" ", ".")) or len(part.encode()) > 200 for part in parts)
        or any(ord(letter) < 32 or letter in '\\:*?"<>|' for letter in key)
        or len(key.encode()) > 900
    )
    if wrong:
        raise StoreError(
            f"object key {key!r}: expected folder/name with no empty, hidden or '..' part, "
            'none of \\ : * ? " < > |, at most 200 bytes a part and 900 in all'
        )
    return key


class FolderStore:
    """Objects as files under `root`, which must be on one file system that has hard links."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def put_once(self, key: str, data: bytes, *, media_type: str) -> bool:
        """True: written. False: these bytes were there. Durable (fsync) when this returns."""
        path = self.path(key)
        with self._translated(key, reading=False):
            # 1. All of it under a hidden name beside its place.
            _make_folder(path.parent)
            unborn = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.part")
            try:
                with unborn.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                failpoint("objects.before_link")
                # 2. A hard link is made or refused, never half, and never replaces.
                try:
                    os.link(unborn, path)
                except FileExistsError:
                    pass
                else:
                    _sync_folder(path.parent)
                    failpoint("objects.after_link")
                    return True
            finally:
                unborn.unlink(missing_ok=True)
            # 3. Somebody was first.
            if _read_file(path) != data:
                raise ObjectConflict(f"{key}: other bytes are already kept under this key")
            return False

    def put_content(self, kind: str, data: bytes, *, extension: str, media_type: str) -> str:
        """Puts under `content_key` and returns that."""
        key = content_key(kind, data, extension=extension)
        self.put_once(key, data, media_type=media_type)
        return key

    def get(self, key: str) -> bytes:
        """ObjectDamaged when the key names other bytes."""
        with self._translated(key):
            data = _read_file(self.path(key))
        if data is None:
            raise ObjectMissing(f"{key}: there is no such object in {self.root}, but something that is no file")
        return checked_bytes(key, data)

    def exists(self, key: str) -> bool:
        with self._translated(key):
            return self.path(key).is_file()

    def size(self, key: str) -> int:
        """Bytes."""
        with self._translated(key):
            found = self.path(key).stat()
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFoundError
            return found.st_size

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with `prefix`."""
        return (found.key for found in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Objects whose keys start with `prefix`."""
        within = prefix.rpartition("/")[0]
        folder = self.root / (checked_key(within) if within else "")
        for where, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            at = Path(where).relative_to(self.root).as_posix()
            for name in sorted(names):
                key = name if at == "." else f"{at}/{name}"
                if name.startswith(".") or not key.startswith(prefix):
                    continue
                with contextlib.suppress(FileNotFoundError):  # moved meanwhile
                    about = (Path(where) / name).stat()
                    yield StoredObject(key, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))

    def move(self, key: str, to: str) -> bool:
        """Under another key, in place of what is there. False when there is nothing to move."""
        source, target = self.path(key), self.path(to)
        with self._translated(key):
            _make_folder(target.parent)
            try:
                os.utime(source)
                os.replace(source, target)
            except FileNotFoundError:
                return False
            _sync_folder(target.parent)
            _sync_folder(source.parent)
        return True

    def delete(self, key: str) -> None:
        """For ever; nothing happens when it is gone already."""
        with self._translated(key):
            self.path(key).unlink(missing_ok=True)

    def unfinished(self, before: datetime) -> Iterator[StoredObject]:
        """What killed processes left of objects that they were putting. `key` is for `delete_unfinished`."""
        for where, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(".") and name.endswith(".part"):
                    path = Path(where) / name
                    try:
                        about = path.stat()
                    except FileNotFoundError:  # its process has finished it meanwhile
                        continue
                    changed_at = datetime.fromtimestamp(about.st_mtime, UTC)
                    if changed_at < before:
                        yield StoredObject(path.relative_to(self.root).as_posix(), about.st_size, changed_at)

    def delete_unfinished(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def url(self, key: str, *, seconds: int = 3600) -> str:
        """A path on this machine; whoever serves pages must serve the file."""
        return str(self.path(key))

    def path(self, key: str) -> Path:
        return self.root / checked_key(key)

    @contextlib.contextmanager
    def _translated(self, key: str, *, reading: bool = True) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if reading and isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
                raise ObjectMissing(f"{key}: there is no such object in {self.root}") from None
            links = error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)
            hint = "; the object folder must be on one file system that has hard links" if links else ""
            if isinstance(error, (FileExistsError, NotADirectoryError)) and self.root.is_dir():
                raise ObjectConflict(f"{key}: a file lies where its folder would be in {self.root}") from None
            raise StoreUnavailable(f"{key}: {error.strerror or type(error).__name__} in {self.root}{hint}") from error


class S3Store:
    """Objects in a bucket, under `prefix`. Conditional writes and SHA-256 checksums are the server's to enforce."""

    def __init__(self, bucket: str, prefix: str, client: S3Client) -> None:
        self.bucket, self.prefix, self._client = bucket, prefix.strip("/"), client

    def put_once(self, key: str, data: bytes, *, media_type: str) -> bool:
        """True: written. False: these bytes were there, perhaps by an earlier try whose answer was lost."""
        digest = hashlib.sha256(data).digest()
        for _ in range(5):
            failpoint("objects.before_put")
            try:
                with self._translated(key):
                    self._client.put_object(
                        Bucket=self.bucket,
                        Key=self._name(key),
                        Body=data,
                        ContentType=media_type,
                        IfNoneMatch="*",
                        ChecksumSHA256=b64encode(digest).decode(),
                    )
                failpoint("objects.after_put")
                return True
            except _Refused as refused:
                if refused.code in ("409", "ConditionalRequestConflict"):
                    continue  # another put of this key is under way; its outcome decides
            try:
                there = self._read(key)
            except ObjectMissing:
                continue
            if there != data:
                raise ObjectConflict(f"{key}: other bytes are already kept under this key")
            return False
        raise StoreUnavailable(f"{key}: somebody else keeps putting it, and it never appears")

    def put_content(self, kind: str, data: bytes, *, extension: str, media_type: str) -> str:
        """Puts under `content_key` and returns that."""
        key = content_key(kind, data, extension=extension)
        self.put_once(key, data, media_type=media_type)
        return key

    def get(self, key: str) -> bytes:
        """ObjectDamaged when the key names other bytes."""
        return checked_bytes(key, self._read(key))

    def _read(self, key: str) -> bytes:
        for again in (True, True, False):
            try:
                with self._translated(key):
                    found = self._client.get_object(Bucket=self.bucket, Key=self._name(key), ChecksumMode="ENABLED")
                    return found["Body"].read()
            except StoreUnavailable:  # a connection that broke while the body came is not among botocore's own retries
                if not again:
                    raise
        raise AssertionError("not reached")

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    def size(self, key: str) -> int:
        """Bytes."""
        with self._translated(key):
            return self._client.head_object(Bucket=self.bucket, Key=self._name(key))["ContentLength"]

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with `prefix`."""
        return (found.key for found in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Objects whose keys start with `prefix`."""
        under = f"{self.prefix}/" if self.prefix else ""
        with self._translated(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=under + prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    yield StoredObject(found["Key"].removeprefix(under), found["Size"], found["LastModified"])

    def move(self, key: str, to: str) -> bool:
        """Under another key, in place of what is there. False when there is nothing to move."""
        try:
            size = self.size(key)
        except ObjectMissing:
            return False
        with self._translated(key):
            self._client.copy_object(
                Bucket=self.bucket, Key=self._name(to), CopySource={"Bucket": self.bucket, "Key": self._name(key)}
            )
        if self.size(to) != size:
            raise StoreUnavailable(f"{key}: the server's copy has {self.size(to)} bytes and not {size}")
        self.delete(key)
        return True

    def delete(self, key: str) -> None:
        """For ever; nothing happens when it is gone already."""
        with self._translated(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def unfinished(self, before: datetime) -> Iterator[StoredObject]:
        """None: an object of S3 is there whole or not at all."""
        return iter(())

    def delete_unfinished(self, key: str) -> None:
        raise StoreError(f"{key}: S3 keeps nothing unfinished")

    def url(self, key: str, *, seconds: int = 3600) -> str:
        """A presigned URL (SigV4): whoever has it can read this one object until it expires. Not to be logged."""
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": self._name(key)}, ExpiresIn=seconds
        )

    def refuses_wrong_checksum(self, key: str) -> bool:
        """Whether the server compares bytes with their checksum; some S3-alikes ignore the header. Puts an
        object only where the server does not."""
        from botocore.exceptions import ClientError

        wrong = b64encode(hashlib.sha256(b"other bytes").digest()).decode()
        with self._translated(key):
            try:
                self._client.put_object(Bucket=self.bucket, Key=self._name(key), Body=b"bytes", ChecksumSHA256=wrong)
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
                if status >= 500:
                    raise
                return True
        return False

    def make_bucket(self, *, region: str) -> None:
        """Makes the bucket when there is none; one that is there, or may not be looked for, is left alone."""
        from botocore.exceptions import ClientError

        with self._translated("bucket"):
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                    return
                try:
                    if region == "us-east-1":
                        self._client.create_bucket(Bucket=self.bucket)
                    else:
                        self._client.create_bucket(
                            Bucket=self.bucket,
                            CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
                        )
                except ClientError as made:
                    if made.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{checked_key(key)}" if self.prefix else checked_key(key)

    @contextlib.contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Messages are ours: botocore's can carry addresses. `from None` for the same reason."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

        at = f"{key} in s3://{self.bucket}/{self.prefix}"
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code in ("404", "NoSuchKey"):
                raise ObjectMissing(f"{at}: there is no such object") from None
            if code in ("412", "PreconditionFailed", "409", "ConditionalRequestConflict"):
                raise _Refused(code) from None
            raise StoreUnavailable(f"{at}: {error.operation_name} was answered with {code}") from None
        except NoCredentialsError:
            raise StoreUnavailable(f"{at}: no credentials; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from None
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise StoreUnavailable(f"{at}: {type(error).__name__}; is DAILIES_S3_ENDPOINT_URL right?") from None


Store: TypeAlias = FolderStore | S3Store


class _Refused(Exception):
    """A conditional put that the server did not carry out."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def open_store(settings: Settings) -> Store:
    """The store that `settings.objects` names. An S3 bucket that is not there yet is made."""
    place = settings.objects
    if not place.startswith("s3://"):
        if "://" in place:
            raise SettingsError(
                f"object_store: got {place.partition('://')[0]}://; expected s3://bucket/prefix or a folder"
            )
        return FolderStore(Path(place))
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if not bucket:
        raise SettingsError("object_store: got s3:// without a bucket; expected s3://bucket/prefix")
    store = S3Store(bucket, prefix, s3_client(endpoint_url=settings.s3_endpoint_url, region=settings.s3_region))
    store.make_bucket(region=settings.s3_region)
    return store


def s3_client(*, endpoint_url: str | None, region: str) -> S3Client:
    """Safe to share between threads. Credentials come from the AWS chain; transient errors are tried six times."""
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 6},
        max_pool_connections=32,
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    return boto3.session.Session().client("s3", endpoint_url=endpoint_url, region_name=region, config=config)


def _read_file(path: Path) -> bytes | None:
    """None for what is no regular file: a named pipe would make its reader wait for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    return path.read_bytes()


def _make_folder(folder: Path) -> None:
    """As mkdir -p, but what it makes survives a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # NTFS journals its directories, and Windows opens none
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
