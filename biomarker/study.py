"""What each column of a cohort file means: a :class:`Study`, read from TOML text."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from biomarker.errors import StudyError
from biomarker.outcomes import TimeUnit
from biomarker.reporting import Reporting

__all__ = [
    "FORMAT_VERSION",
    "Column",
    "DetectionLimits",
    "Hypothesis",
    "ResponseEndpoint",
    "ScoringRules",
    "Study",
    "SurvivalEndpoint",
    "TrainingSettings",
]

FORMAT_VERSION = 1

Role = Literal[
    "id",
    "arm",
    "marker",
    "covariate",
    "stratum",
    "endpoint",
    "batch",
    "centre",
    "post_baseline",
    "ignore",
]
Kind = Literal["continuous", "ordinal", "categorical", "genotype"]
Transform = Literal["identity", "log", "log1p", "log2", "sqrt"]
Reaction = Literal["warn", "refuse"]

FEATURE_ROLES = ("arm", "marker", "covariate", "stratum")
_BETWEEN = "\x1f"  # parts several faults that one validator found
_NEEDS_POSITIVE = {"log": 0.0, "log2": 0.0, "log1p": -1.0}
_MAY_TOUCH = {"sqrt": 0.0}


class _Spec(BaseModel):
    """A frozen piece of the study that refuses names it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=False, allow_inf_nan=False
    )


class DetectionLimits(_Spec):
    """How a laboratory reports values it could not measure.

    A reading such as ``<15`` carries its own limit; a token such as ``BDL`` takes ``lower``.
    The value used is the limit times the factor of ``rule``; values above the upper limit are
    used at the limit.
    """

    lower: float | None = Field(default=None, gt=0)
    upper: float | None = Field(default=None, gt=0)
    below_tokens: tuple[str, ...] = ("<LLOQ", "BDL")
    above_tokens: tuple[str, ...] = (">ULOQ",)
    rule: Literal["half", "sqrt2", "limit"] = "sqrt2"

    @model_validator(mode="after")
    def _ordered(self) -> DetectionLimits:
        if self.lower is None and self.upper is None:
            raise ValueError("must name a lower or an upper limit")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(f"lower must be below upper; got {self.lower} and {self.upper}")
        return self


class ScoringRules(_Spec):
    """What happens to a row at scoring when this column is not as expected."""

    missing: Reaction = "warn"
    outside_training_range: Reaction = "warn"
    below_detection: Reaction = "warn"
    above_detection: Reaction = "warn"
    unseen_category: Reaction = "refuse"
    unparsable: Reaction = "refuse"
    not_finite: Reaction = "refuse"
    outside_allowed_range: Reaction = "refuse"
    suspected_unit_mixup: Reaction = "refuse"


class Column(_Spec):
    """One column: its role, what its values look like, and what is allowed."""

    role: Role
    kind: Kind | None = None
    label: str | None = None
    unit: str | None = None
    range: tuple[float, float] | None = None
    transform: Transform = "identity"
    levels: tuple[str, ...] = ()
    aliases: dict[str, str] = Field(default_factory=dict)
    control: tuple[str, ...] = ()
    randomised: bool | None = None
    detection: DetectionLimits | None = None
    optional: bool = False
    check_units: bool = True
    scoring: ScoringRules = ScoringRules()

    @model_validator(mode="before")
    @classmethod
    def _one_control(cls, data: Any) -> Any:
        """Accept ``control = "0"`` for ``control = ["0"]``."""
        if isinstance(data, dict) and isinstance(data.get("control"), str):
            data = {**data, "control": [data["control"]]}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if self.role == "arm":
            self._check_arm()
        elif self.control or self.randomised is not None:
            raise ValueError("control and randomised belong to the column with role 'arm'")
        if self.role in ("marker", "covariate", "stratum"):
            self._check_feature()
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("levels must be distinct")
        for alias, level in self.aliases.items():
            if level not in self.levels:
                raise ValueError(f"alias {alias!r} must name a level; {level!r} is none")
            if alias in self.levels:
                raise ValueError(f"alias {alias!r} is itself a level")
        return self

    def _check_arm(self) -> None:
        if len(self.levels) < 2:
            raise ValueError("an arm column must list its levels (two or more)")
        if not self.control or not set(self.control) < set(self.levels):
            raise ValueError("control must name some but not all of the arm's levels")

    def _check_feature(self) -> None:
        if self.kind is None:
            raise ValueError(f"a {self.role} must declare its kind")
        if self.kind == "continuous":
            if self.levels:
                raise ValueError("a continuous column has no levels")
            self._check_transform()
        else:
            if len(self.levels) < 2:
                raise ValueError(f"a column of kind {self.kind} must list its levels")
            if self.range or self.unit or self.detection or self.transform != "identity":
                raise ValueError(
                    "range, unit, detection and transform belong to continuous columns"
                )
        if self.role == "stratum" and self.kind == "continuous":
            raise ValueError("a stratum must be ordinal or categorical")

    def _check_transform(self) -> None:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range must go from low to high; got {list(self.range)}")
        low = self.range[0] if self.range else None
        strict, touch = _NEEDS_POSITIVE.get(self.transform), _MAY_TOUCH.get(self.transform)
        if strict is not None and (low is None or low <= strict):
            raise ValueError(f"transform {self.transform} needs a range that starts above {strict}")
        if touch is not None and (low is None or low < touch):
            raise ValueError(f"transform {self.transform} needs a range that starts at {touch}")


class SurvivalEndpoint(_Spec):
    """A time-to-event endpoint with its event coding stated, never assumed."""

    type: Literal["survival"]
    label: str | None = None
    duration: str
    event: str
    event_values: tuple[str, ...] = Field(min_length=1)
    censored_values: tuple[str, ...] = Field(min_length=1)
    unit: TimeUnit
    horizons: tuple[Annotated[float, Field(gt=0)], ...] = ()
    tau: float | None = Field(default=None, gt=0)
    competing: bool = False
    primary: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the endpoint is read from."""
        return (self.duration, self.event)

    @property
    def codes(self) -> tuple[str, ...]:
        """Every value the event column may hold."""
        return self.event_values + self.censored_values

    @model_validator(mode="after")
    def _coded(self) -> SurvivalEndpoint:
        both = set(self.event_values) & set(self.censored_values)
        if both:
            raise ValueError(f"a value cannot mean event and censored; got {sorted(both)} in both")
        if list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError("horizons must rise")
        return self


class ResponseEndpoint(_Spec):
    """A response endpoint: which categories count, and what a missing one means."""

    type: Literal["response"]
    label: str | None = None
    column: str
    positive: tuple[str, ...] = Field(min_length=1)
    negative: tuple[str, ...] = Field(min_length=1)
    not_evaluable: tuple[str, ...] = ()
    not_evaluable_rule: Literal["non_response", "exclude"] = "exclude"
    missing_rule: Literal["non_response", "exclude"] = "exclude"
    primary: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the endpoint is read from."""
        return (self.column,)

    @property
    def codes(self) -> tuple[str, ...]:
        """Every value the response column may hold."""
        return self.positive + self.negative + self.not_evaluable

    @model_validator(mode="after")
    def _disjoint(self) -> ResponseEndpoint:
        sets = [set(self.positive), set(self.negative), set(self.not_evaluable)]
        if sum(map(len, sets)) != len(set.union(*sets)):
            raise ValueError("positive, negative and not_evaluable must not share a value")
        return self


Endpoint = Annotated[SurvivalEndpoint | ResponseEndpoint, Field(discriminator="type")]


class Hypothesis(_Spec):
    """A claim written down before the outcomes were looked at."""

    marker: str
    endpoint: str
    claim: Literal["predictive", "prognostic"]
    direction: Literal["higher_is_better", "higher_is_worse"] | None = None
    note: str = ""


class TrainingSettings(_Spec):
    """How models are trained; a flag or an environment variable overrides each."""

    models: tuple[str, ...] = ()
    folds: int = Field(default=5, ge=2, le=20)
    repeats: int = Field(default=2, ge=1, le=50)
    inner_folds: int = Field(default=3, ge=2, le=10)
    seed: int = Field(default=0, ge=0)
    jobs: int = Field(default=0, ge=0, description="0 takes every core")
    refits: int = Field(default=200, ge=0, le=10_000, description="of the model kept; 0 for none")


class Study(_Spec):
    """The declaration a cohort file is read by.

    Examples
    --------
    >>> study = Study.from_toml('''
    ... format_version = 1
    ... name = "small"
    ... [columns.pid]
    ... role = "id"
    ... [columns.vegf]
    ... role = "marker"
    ... kind = "continuous"
    ... unit = "pg/mL"
    ... [columns.t]
    ... role = "endpoint"
    ... [columns.d]
    ... role = "endpoint"
    ... [endpoints.os]
    ... type = "survival"
    ... duration = "t"
    ... event = "d"
    ... event_values = ["1"]
    ... censored_values = ["0"]
    ... unit = "months"
    ... ''')
    >>> study.feature_columns
    ('vegf',)
    """

    format_version: int
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str = ""
    description: str = ""
    missing: tuple[str, ...] = ("", "NA")
    undeclared_columns: Literal["refuse", "ignore"] = "refuse"
    rows_per_patient: Literal["one", "many"] = "one"
    single_arm: Literal["treated", "control"] | None = None
    columns: dict[str, Column]
    endpoints: dict[str, Endpoint]
    hypotheses: tuple[Hypothesis, ...] = ()
    training: TrainingSettings = TrainingSettings()
    reporting: Reporting = Reporting()
    answers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _joined_up(self) -> Study:
        faults = [*self._role_faults(), *self._endpoint_faults(), *self._hypothesis_faults()]
        if faults:
            raise ValueError(_BETWEEN.join(faults))
        return self

    def _role_faults(self) -> Iterator[str]:
        for role in ("id", "arm"):
            holders = self.with_role(role)
            if len(holders) > 1:
                yield f"at most one column may have role {role!r}; got {list(holders)}"
        for name, column in self.columns.items():
            both = sorted(set(self.missing) & {*column.levels, *column.aliases})
            if both:
                yield (
                    f"column {name!r} lists {both} among its levels or aliases, and 'missing' says "
                    "it means missing; a value cannot be both"
                )

    def _endpoint_faults(self) -> Iterator[str]:
        if not self.endpoints:
            yield "endpoints must declare at least one endpoint"
        used: set[str] = set()
        for name, endpoint in self.endpoints.items():
            for column in endpoint.columns:
                if column not in self.columns or self.columns[column].role != "endpoint":
                    yield (
                        f"endpoint {name!r} needs a column {column!r} declared with role 'endpoint'"
                    )
            if len(set(endpoint.columns)) < len(endpoint.columns):
                yield f"endpoint {name!r} reads duration and event from one column"
            both = sorted(set(self.missing) & set(endpoint.codes))
            if both:
                yield (
                    f"endpoint {name!r} codes {both} as an outcome, and 'missing' says it means "
                    "missing; a value cannot be both"
                )
            used.update(endpoint.columns)
        idle = [c for c in self.with_role("endpoint") if c not in used]
        if idle:
            yield f"column(s) {idle} have role 'endpoint' but no endpoint uses them"
        if sum(endpoint.primary for endpoint in self.endpoints.values()) > 1:
            yield "at most one endpoint may be primary"

    def _hypothesis_faults(self) -> Iterator[str]:
        for hypothesis in self.hypotheses:
            if hypothesis.marker not in self.with_role("marker"):
                yield f"hypothesis names {hypothesis.marker!r}, which is no marker"
            if hypothesis.endpoint not in self.endpoints:
                yield f"hypothesis names endpoint {hypothesis.endpoint!r}: not declared"

    # -- reading and writing ------------------------------------------------------------------

    @classmethod
    def from_toml(cls, text: str) -> Study:
        """Read a study from TOML text.

        Raises
        ------
        StudyError
            If the text is no TOML, is of another format version, or contradicts itself; the
            message lists every fault with the place it stands at.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise StudyError(f"The study must be valid TOML; {error}.") from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Study:
        """Read a study from parsed TOML or JSON; errors as :meth:`from_toml`."""
        if not isinstance(data, dict):
            raise StudyError(
                f"A study must be a table of names and values; got {type(data).__name__}. "
                "Use Study.from_toml for TOML text."
            )
        version = data.get("format_version")
        if version != FORMAT_VERSION:
            found = "none" if version is None else repr(version)
            raise StudyError(
                f"format_version must be {FORMAT_VERSION}; got {found}. "
                + (
                    "This study was written for a newer release: upgrade to read it."
                    if isinstance(version, int) and version > FORMAT_VERSION
                    else f"Write 'format_version = {FORMAT_VERSION}' at the top of the study."
                )
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise StudyError(_listed(error)) from None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able and TOML-able form without defaults; reads back to an equal study."""
        data: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return data

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the study's canonical JSON, defaults included.

        Answers for the reader of a report (``reporting``) decide no number and are left out.
        """
        said = self.model_dump(mode="json", exclude={"reporting"})
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    # -- looking things up ----------------------------------------------------------------------

    def with_role(self, *roles: str) -> tuple[str, ...]:
        """Names of the columns that hold one of these roles, in declared order."""
        return tuple(name for name, column in self.columns.items() if column.role in roles)

    @property
    def id_column(self) -> str | None:
        """Name of the patient id column, if the study declares one."""
        return next(iter(self.with_role("id")), None)

    @property
    def arm_column(self) -> str | None:
        """Name of the treatment arm column, if the study declares one."""
        return next(iter(self.with_role("arm")), None)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """Columns a model may use: arm, markers, covariates and strata; nothing post-baseline."""
        return self.with_role(*FEATURE_ROLES)

    @property
    def randomised(self) -> bool:
        """True only where the arm column says ``randomised = true``; unstated means no."""
        arm = self.arm_column
        return arm is not None and self.columns[arm].randomised is True

    @property
    def primary_endpoint(self) -> str:
        """The endpoint declared primary, else the first."""
        named = [name for name, endpoint in self.endpoints.items() if endpoint.primary]
        return named[0] if named else next(iter(self.endpoints))


def _listed(error: ValidationError) -> str:
    """Say every fault pydantic found, one a line, with the place it stands at."""
    lines = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"]) or "study"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "is not a name the study format knows; check the spelling"
        elif fault["type"] == "missing":
            message = "must be given; it is missing"
        elif fault["type"].startswith("union_tag"):
            message = 'must say type = "survival" or type = "response"'
        elif fault["type"] == "finite_number":
            message = "must be a finite number; leave it out where there is no bound"
        lines += [f"  {place}: {part}" for part in message.split(_BETWEEN)]
    return f"The study has {len(lines)} fault(s):\n" + "\n".join(lines)
