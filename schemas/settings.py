"""Where things are and how much is allowed. Never what to make: that is the manifest's.

Read from `DAILIES_*` environment variables, then `dailies.toml` in the working folder, then the defaults, which need
nothing to be started. Only entry points call `Settings()`; everything else is handed what it needs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

Role = Literal["viewer", "reviewer", "lead", "admin"]
"""viewer: looks. reviewer: decides. lead: settles what others decided, releases what was set aside. admin: the same."""
ROLES: tuple[Role, ...] = ("admin", "lead", "reviewer", "viewer")
"""Highest first."""
LEADS = frozenset[str]({"lead", "admin"})
CLIENT = "client"
"""The role of who comes by a client link, and the step of a review that is theirs alone unless a group has its name."""
DECIDERS = frozenset[str]({"reviewer", *LEADS})

ImageFormat = Literal["png", "webp", "jxl"]
LogFormat = Literal["text", "json"]
Attention = Literal["native", "auto", "flash", "cudnn", "efficient", "math"]
"""PyTorch's kernels for attention: its own choice, the fastest on this device, or one of them."""
Backend = Literal["auto", "torch", "onnxruntime"]
"""What computes the denoiser: PyTorch; ONNX Runtime, from a graph that is exported once; or that where it repays it."""

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: where models/ and manifests/ are."""


PREFIX = "DAILIES_"
OTHERS = frozenset(PREFIX + name for name in ("KILL_AT", "NIGHT", "FRUITLESS", "FOLDER", "CRON"))
"""Variables of this prefix that are no settings: rehearsed crashes, what a process tells the one that follows it, and
what `dailies deploy` fills into prefect.yaml."""


class Limits(BaseModel):
    """What a manifest may cost before it is refused. Counts are computed before anything is expanded."""

    model_config = ConfigDict(extra="forbid")

    manifest_bytes: int = Field(4 * 2**20, ge=1, description="bytes of one manifest file")
    depth: int = Field(24, ge=1, description="levels of nesting")
    nodes: int = Field(200_000, ge=1, description="scalars, lists and mappings")
    images: int = Field(100_000, ge=1, description="images one manifest may ask for")
    source_pixels: int = Field(
        64_000_000, ge=1, description="pixels of one referenced image, checked before it is decoded"
    )
    source_bytes: int = Field(64 * 2**20, ge=1, description="bytes of one referenced image")
    image_side: int = Field(4096, ge=1, description="px, longest side of an image to be made")


class KitsuSettings(BaseModel):
    """Where and as what delivered pictures are shown in Kitsu. Without `url` and `token` nothing is."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, pattern=r"^https?://\S+$", description="of the API: https://kitsu.studio.example/api")
    token: SecretStr | None = Field(None, description="of a bot; DAILIES_KITSU__TOKEN keeps it out of files")
    asset_type: str = Field("Props", min_length=1, description="of assets that Kitsu does not have yet")
    task_type: str = Field("Concept", min_length=1, description="name of the task that gets the preview")
    status: str = Field("wfa", min_length=1, description="short name of the status that the task gets")
    projects: dict[str, str] = Field(default_factory=dict, description="our project = its name in Kitsu, if another")
    create: bool = Field(True, description="make projects, types, assets and tasks that are missing")


ADDRESS = r"^[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+$"
Address = Annotated[str, StringConstraints(pattern=ADDRESS, max_length=254)]


class MailSettings(BaseModel):
    """By which server e-mails leave, and who gets them. Without `host` none does."""

    model_config = ConfigDict(extra="forbid")

    host: str | None = Field(None, pattern=r"^[^\s/:]+$", description="of the SMTP server: mail.studio.example")
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="none: for a relay on this machine")
    user: str | None = Field(None, min_length=1)
    password: SecretStr | None = Field(None, description="DAILIES_MAIL__PASSWORD keeps it out of files")
    sender: Address | None = Field(None, description="whom the e-mails come from: dailies@studio.example")
    nights: tuple[Address, ...] = Field((), description="who hears how a night ended, or that a shift stopped itself")
    people: dict[str, Address] = Field(
        default_factory=dict,
        description="name -> address, for mentions in comments; who signs in has an address for a name",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.host is not None and self.sender is None:
            raise ValueError("got host without sender; expected both")
        if (self.user is None) != (self.password is None):
            there, missing = ("user", "password") if self.password is None else ("password", "user")
            raise ValueError(f"got {there} without {missing}; expected both")
        if self.password is not None and self.security == "none":
            raise ValueError("got a password with security none; expected starttls or tls, so that nobody reads it")
        return self

    def find_address(self, person: str) -> str | None:
        """Where this person gets e-mails; their name, where it is an address."""
        return self.people.get(person) or (person if re.fullmatch(ADDRESS, person) else None)


class TextReader(BaseModel):
    """A model that reads text in the text check, for languages that the one in rapidocr's wheel does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path = Field(description="ONNX, a recognition model of PaddleOCR")
    letters: Path | None = Field(None, description="its dictionary, one letter a line; none: they are in the model")


class Retention(BaseModel):
    """After how many days `dailies gc` removes what. Nothing that is approved, delivered or waiting ever goes."""

    model_config = ConfigDict(extra="forbid")

    rejected_days: float | None = Field(90, ge=0, description="rejected images, their record stays; none: never")
    conditions_days: float | None = Field(
        30, ge=0, description="conditions that no image used since; they are computed again when needed; none: never"
    )
    previews_days: float | None = Field(
        None, ge=0, description="large previews of what was decided, thumbnails stay; none: never"
    )
    unreferenced_days: float = Field(7, ge=1, description="objects that no record names; killed workers leave some")
    trash_days: float = Field(7, ge=1, description="how long everything that was removed can still be put back")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="DAILIES_", env_nested_delimiter="__", toml_file="dailies.toml", extra="forbid"
    )

    # where things are
    home: Path = Field(Path(".dailies"), description="state of the one-machine set-up: database, objects, reports")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in `home`")
    object_store: str = Field("", description="s3://bucket/prefix or a folder; empty: a folder in `home`")
    s3_endpoint_url: str | None = Field(
        None, description="for SeaweedFS, MinIO, Ceph; credentials come from the AWS chain"
    )
    s3_region: str = "us-east-1"
    catalogue: Path = Field(ROOT / "models" / "catalogue.yaml", description="model aliases")
    condition_models: Path | None = Field(None, description="folder of detector weights for depth, pose, hed, ...")
    hand_model: Path | None = Field(None, description="local hand or pose model for the hands check")
    text_readers: dict[str, TextReader] = Field(
        default_factory=dict, description="language -> what reads it, for the text check; manifests name the language"
    )
    search_model: str = Field(
        "", description="alias of the CLIP or SigLIP model by which the Library is searched; empty: none"
    )
    delivery_folder: Path | None = Field(None, description="deliver here too, beside delivery/ in the object store")
    signing: Literal["auto", "required", "off"] = Field(
        "auto", description="C2PA in what is delivered: auto signs where there is a certificate; required never without"
    )
    signing_certificate: Path | None = Field(None, description="PEM chain; else that of `dailies provenance init`")
    signing_key: Path | None = Field(None, description="PEM, of the certificate (ES256)")

    # how to render
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on CUDA and on a CPU with units for it (AMX); else float32"
    )
    batch_size: int = Field(
        8, ge=1, le=256, description="images in one forward pass at most; halved when out of memory"
    )
    memory: str = Field(
        "auto", pattern=r"^(auto|[1-9]\d*gb)$", description="of the GPU: auto, or plan as if it had 8gb, 12gb, 24gb"
    )
    compile: bool = Field(False, description="torch.compile: the first batch of a shape takes longer, the rest less")
    channels_last: Literal["auto", "on", "off"] = Field(
        "auto", description="layout of convolutions; auto: on CUDA; on a CPU the autoencoder's, in bfloat16 all"
    )
    attention: Attention = Field(
        "native", description="auto measures once a device; the image's record names the kernel"
    )
    backend: Backend = Field(
        "auto", description="of the denoiser on a CPU; auto: onnxruntime where the shift's work repays its graph"
    )
    image_format: ImageFormat = "png"
    max_attempts: int = Field(3, ge=1, description="failures before a spec is set aside")
    same_error_limit: int = Field(5, ge=1, description="specs in a row failing alike before the shift stops")
    lease_seconds: int = Field(900, ge=10, description="how long a worker may hold specs without a sign of life")
    silence_seconds: int = Field(
        60, ge=1, description="after its lease a silent shift is given this long before another worker gets its work"
    )
    worker_wait_seconds: int = Field(1800, ge=1, description="a night waits so long for a GPU worker to be online")
    checks: bool = Field(True, description="run the advisory checks; without them findings say not_checked")

    learned_order: bool = Field(
        True, description="order the inbox by what decisions so far say of findings like an image's; never hides one"
    )

    # the night
    window: str | None = Field(None, description="22:00-07:00; no new batch outside it")
    timezone: str = "UTC"
    night_gpu_hours: float | None = Field(None, gt=0, description="budget of one night")
    project_gpu_hours: dict[str, float] = Field(default_factory=dict, description="budget of a project, all nights")
    gpu_hour_price: float = Field(2.5, ge=0, description="money for one GPU-hour, for reports")
    currency: str = "USD"
    max_retakes: int = Field(3, ge=0, description="retakes in one line unless the manifest says less")
    review_url: str = Field(
        "http://127.0.0.1:8501", pattern=r"^https?://\S+$", description="of the review app, for links in reports"
    )
    webhook_url: SecretStr | None = Field(
        None, description="told when a night ends, fails or stops itself, and of mentions in comments"
    )
    webhook_shape: Literal["json", "slack"] = "json"

    mail: MailSettings = Field(default_factory=MailSettings)
    kitsu: KitsuSettings = Field(default_factory=KitsuSettings)

    log_format: LogFormat = Field(
        "text", description="json: a line is an object with level, logger, message, night, shift, asset, digest"
    )

    # who and how much
    reviewer: str = Field("", description="local name used when nobody signs in; empty: asked once")
    roles: dict[str, Role] = Field(default_factory=dict, description="name or e-mail address -> role")
    groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="step of a review, or group -> names or e-mail addresses"
    )
    roles_without_sign_in: bool = Field(
        False, description="where nobody signs in, a typed name may be a lead or an admin too"
    )
    review_hosts: tuple[str, ...] = Field(
        (), description="host names under which the review app answers, beside this machine's own"
    )
    default_role: Role = Field("reviewer", description="of those that `roles` and the claim do not name")
    role_claim: str = Field("", description="claim of the identity token that holds the role; empty: `roles` only")
    allowed_s3_prefixes: tuple[str, ...] = Field((), description="s3:// prefixes manifests may read pictures from")
    limits: Limits = Field(default_factory=Limits)
    retention: Retention = Field(default_factory=Retention)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{(self.home / 'dailies.db').resolve()}"

    def list_others_steps(self, name: str, role: str) -> frozenset[str]:
        """The groups that this person is not of, and whose steps of a review she may therefore not take."""
        if role in LEADS:
            return frozenset()
        groups = {CLIENT: (), **self.groups}
        return frozenset(group for group, people in groups.items() if name not in people)

    def list_groups(self, name: str) -> list[str]:
        return [group for group, people in self.groups.items() if name in people]

    @property
    def objects(self) -> str:
        return self.object_store or str((self.home / "objects").resolve())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def unknown_variables(names: Iterable[str]) -> list[str]:
    """A complaint for every environment variable that looks like a setting and is none. Pydantic skips them, and a
    misspelt setting would silently not hold."""
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    complaints = []
    for name in sorted(name.upper() for name in names if name.upper().startswith(PREFIX)):
        if name in OTHERS or name.split("__")[0] in known:
            continue
        complaints.append(f"{name}: {_say_unknown(name, known)}")
    return complaints


def spell_settings(wrong: ValidationError) -> list[str]:
    """What is wrong with which setting, a line each, without the values: some are secret."""
    lines = []
    for error in wrong.errors():
        said = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            said = _say_unknown(str(error["loc"][-1]), _list_fields(error["loc"][:-1]))
        lines.append(f"setting {'.'.join(map(str, error['loc']))}: {said}")
    return lines


def _list_fields(path: tuple[int | str, ...]) -> Iterable[str]:
    """Names of what may stand in this part of dailies.toml."""
    model: type[BaseModel] = Settings
    for name in path:
        inner = model.model_fields[str(name)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ()
        model = inner
    return model.model_fields


def _say_unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return "there is no such setting" + (f"; close to it: {close[0]}" if close else "")
