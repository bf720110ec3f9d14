"""The safe model format: a folder of JSON and UBJ whose hashes are checked before any parsing.

::

    SHA256SUMS     one "<sha256>  <name>" line a file; `sha256sum -c SHA256SUMS` checks it too
    bundle.json    what the model is, what it gives, from what data (counts only)
    study.json     the study it was trained under
    encoder.json   how each column becomes features (frozen)
    model.json     the model's coefficients or settings
    support.json   counts of the training rows, for drift; may be absent
    *.ubj          boosters, where the model has one

Nothing in it is a pickle, and nothing in it is a patient's row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomarker import __version__
from biomarker.errors import BundleError
from biomarker.features.encoding import FrozenEncoder
from biomarker.features.support import Support
from biomarker.models.pipeline import EncodedModel
from biomarker.models.zoo import model_from_state
from pipelines.storage import atomic_folder

__all__ = [
    "FORMAT_VERSION",
    "Bundle",
    "benefit_name",
    "bundle_digest",
    "load_bundle",
    "save_bundle",
    "survival_name",
]

FORMAT_VERSION = 1
_SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([a-z0-9][a-z0-9_.-]{0,63})")
_REQUIRED = ("bundle.json", "encoder.json", "model.json", "study.json")
_SUPPORT = "support.json"  # a reader of format 1 that does not know it passes it over
_MAX_FILE = 2 * 2**30
_MAX_SUMS = 2**20


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model that can score: loaded, verified, holding no patient rows.

    Attributes
    ----------
    description : mapping
        ``bundle.json``: name, endpoint, horizons, unit, training counts, performance.
    study : mapping
        ``study.json``: the study's declarations in plain form.
    fitted : EncodedModel
        The frozen encoder and its model.
    digest : str
        SHA-256 of ``SHA256SUMS``: the bundle's identity.
    folder : Path
        Where it was loaded from.
    support : Support or None
        What its training rows looked like; None in a bundle of an earlier release.
    """

    description: Mapping[str, Any]
    study: Mapping[str, Any]
    fitted: EncodedModel
    digest: str
    folder: Path
    support: Support | None = None

    @property
    def encoder(self) -> FrozenEncoder:
        """The frozen encoder."""
        return self.fitted.encoder_

    @property
    def id_column(self) -> str | None:
        """Name of the patient id column, if the study declared one."""
        name = self.description["id_column"]
        return None if name is None else str(name)

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the number columns its scores have, in order, without drivers."""
        if self.description["kind"] != "survival":
            return ("response_probability",)
        unit = self.description["unit"]
        survival = (survival_name(h, unit) for h in self.description["horizons"])
        return ("risk", *survival, *self.benefit_names)

    @property
    def arm_feature(self) -> int | None:
        """Position of the arm among the model's features; None where it is not one of them."""
        names = [column.name for column in self.encoder.columns if column.kind == "arm"]
        places = self.encoder.feature_names
        return places.index(names[0]) if names and names[0] in places else None

    @property
    def benefit_names(self) -> tuple[str, ...]:
        """Names of the columns of predicted benefit; none unless the evidence allowed it."""
        told = self.description
        allowed = told.get("benefit") and told["kind"] == "survival"
        if not allowed or self.arm_feature is None:
            return ()
        return tuple(benefit_name(h, told["unit"]) for h in told["horizons"])


def survival_name(horizon: float, unit: str) -> str:
    """Name of the column of survival probabilities at a horizon: ``survival_12_months``."""
    return f"survival_{horizon:g}_{unit}"


def benefit_name(horizon: float, unit: str) -> str:
    """Name of the column of predicted benefit at a horizon: ``benefit_12_months``."""
    return f"benefit_{horizon:g}_{unit}"


def save_bundle(
    path: str | Path,
    fitted: EncodedModel,
    study: Mapping[str, Any],
    description: Mapping[str, Any],
    support: Support | None = None,
) -> str:
    """Write a bundle folder, whole or not at all, and return its digest.

    Parameters
    ----------
    path : path
        The folder to make; an older bundle there is replaced.
    fitted : EncodedModel
    study : mapping
        JSON-able study.
    description : mapping
        JSON-able; ``format`` and ``release`` are added here.
    support : Support, optional
        What the training rows looked like; without it, scores come without a drift report.
    """
    contents, sums = _contents(fitted, study, description, support)
    with atomic_folder(path) as folder:
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        (folder / _SUMS).write_bytes(sums.encode())
    return hashlib.sha256(sums.encode()).hexdigest()


def bundle_digest(
    fitted: EncodedModel,
    study: Mapping[str, Any],
    description: Mapping[str, Any],
    support: Support | None = None,
) -> str:
    """Digest of the bundle that :func:`save_bundle` would write; writes nothing."""
    return hashlib.sha256(_contents(fitted, study, description, support)[1].encode()).hexdigest()


def _contents(
    fitted: EncodedModel,
    study: Mapping[str, Any],
    description: Mapping[str, Any],
    support: Support | None,
) -> tuple[dict[str, bytes], str]:
    """Files of a bundle by name, and the text of their hashes."""
    state, blobs = fitted.model.to_state(description.get("horizons", ()))
    contents: dict[str, bytes] = {
        "bundle.json": _json(
            {"format": FORMAT_VERSION, "release": __version__, **dict(description)}
        ),
        "study.json": _json(dict(study)),
        "encoder.json": _json(fitted.encoder_.to_state()),
        "model.json": _json(state),
    }
    for name, data in blobs.items():
        contents[name] = data
    if support is not None:
        contents[_SUPPORT] = _json(support.to_state())
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())
    )
    return contents, sums


def load_bundle(path: str | Path) -> Bundle:
    """Verify a bundle's hashes, then read it.

    Parameters
    ----------
    path : path
        The bundle's folder.

    Raises
    ------
    BundleError
        If a file is missing, extra, altered, of another format version, or inconsistent.
        No parser sees a byte before every hash has been confirmed.
    """
    folder = Path(path)
    contents, digest = _verified(folder)
    description = _object(contents["bundle.json"], "bundle.json")
    version = description.get("format")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"The bundle's format must be {FORMAT_VERSION}; got {version!r}, written by release "
            f"{description.get('release', 'unknown')!r}. "
            + (
                "Upgrade this package to read it."
                if isinstance(version, int) and version > FORMAT_VERSION
                else "Train the model again with this release."
            )
        )
    _check_description(description)
    blobs = {name: data for name, data in contents.items() if not name.endswith(".json")}
    encoder = FrozenEncoder.from_state(_object(contents["encoder.json"], "encoder.json"))
    try:
        model = model_from_state(_object(contents["model.json"], "model.json"), blobs)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(
            f"The bundle's model must hold what its class writes; got {type(error).__name__}. "
            "The bundle is damaged or of another version."
        ) from None
    if getattr(model, "n_features_in_", len(encoder.kept)) != len(encoder.kept):
        raise BundleError("The model and its encoder must agree on the number of features.")
    study = _object(contents["study.json"], "study.json")
    support = None
    if _SUPPORT in contents:
        support = Support.from_state(_object(contents[_SUPPORT], _SUPPORT), encoder)
    fitted = EncodedModel.from_parts(encoder, model)
    return Bundle(description, study, fitted, digest, folder, support)


def _verified(folder: Path) -> tuple[dict[str, bytes], str]:
    """Bytes of every listed file once all hashes agree, and the digest of the list."""
    try:
        return _read_verified(folder)
    except OSError as error:
        raise BundleError(
            f"The bundle '{folder.name}' must be readable; the system said: {error.strerror}."
        ) from None


def _read_verified(folder: Path) -> tuple[dict[str, bytes], str]:
    listing = folder / _SUMS
    if listing.is_symlink() or not listing.is_file() or listing.stat().st_size > _MAX_SUMS:
        raise BundleError(
            f"A bundle must be a folder holding a plain {_SUMS}; none at '{folder.name}'. "
            "Name the folder that train wrote, or models:/NAME@ALIAS."
        )
    text = listing.read_bytes()
    sums = _listed(text)
    present = {entry.name for entry in folder.iterdir()} - {_SUMS}
    if present != set(sums):
        missing, extra = sorted(set(sums) - present), sorted(present - set(sums))
        raise BundleError(
            f"The bundle must hold exactly the files {_SUMS} lists; "
            f"{len(missing)} missing, {len(extra)} not listed. Copy the whole folder again."
        )
    contents = {}
    for name, expected in sums.items():
        file = folder / name
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _MAX_FILE:
            raise BundleError(f"The bundle's '{name}' must be a plain file under 2 GiB.")
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != expected:
            raise BundleError(
                f"The bundle's '{name}' does not match its recorded SHA-256: it was altered or "
                "damaged. Nothing was loaded. Copy the bundle again from its source."
            )
        contents[name] = data
    return contents, hashlib.sha256(text).hexdigest()


def _listed(text: bytes) -> dict[str, str]:
    """File name to hash, from a list that must be exactly as we write it."""
    sums: dict[str, str] = {}
    try:
        lines = text.decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = []
    if len(lines) < 2 or lines[-1] != "":
        raise BundleError(f"{_SUMS} must be whole lines of ASCII text; it is damaged.")
    for line in lines[:-1]:
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise BundleError(f"{_SUMS} must list each file once with its SHA-256; it is damaged.")
        sums[match[2]] = match[1]
    if list(sums) != sorted(sums) or any(name not in sums for name in _REQUIRED):
        raise BundleError(f"{_SUMS} must list {', '.join(_REQUIRED)} in order; it is damaged.")
    return sums


def _check_description(description: Mapping[str, Any]) -> None:
    needed = {"name", "endpoint", "kind", "model", "horizons", "unit", "id_column"}
    missing = sorted(needed - set(description))
    if missing:
        raise BundleError(f"bundle.json must name {missing}; it is of another version.")
    horizons = description["horizons"]
    numbers = isinstance(horizons, list) and all(
        isinstance(h, (int, float)) and not isinstance(h, bool) and h > 0 for h in horizons
    )
    if description["kind"] not in ("survival", "response") or not numbers:
        raise BundleError(
            "bundle.json must name a kind (survival or response) and positive horizons; it is "
            "damaged or of another version."
        )


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BundleError(f"The bundle's '{name}' must be JSON.") from None
    if not isinstance(value, dict):
        raise BundleError(f"The bundle's '{name}' must be a JSON object.")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON, and no number a bundle holds


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return (text + "\n").encode("ascii")
