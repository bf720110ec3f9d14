"""A :class:`Cohort`: a patient table held against its study, all faults said at once."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from biomarker.errors import CohortError, Fault
from biomarker.outcomes import survival_outcome
from biomarker.parsing import Parsed, ParseRule, State, id_array, is_plain, masked, to_arrow
from biomarker.study import Column, ResponseEndpoint, Study, SurvivalEndpoint

__all__ = ["Cohort", "Fault", "Outcome"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}[- ]?[A-Za-z]{3}\b", re.ASCII)


@dataclass(frozen=True, eq=False)
class Outcome:
    """One endpoint's outcomes.

    Attributes
    ----------
    included : ndarray of bool, shape (n_patients,)
        Rows whose outcome is known.
    y : ndarray, shape (n_included,)
        (event, duration) records for survival, booleans (True = response) for a response.
    excluded : mapping of str to int
        Reason to number of rows left out.
    """

    name: str
    endpoint: SurvivalEndpoint | ResponseEndpoint
    included: Bools
    y: npt.NDArray[Any]
    excluded: Mapping[str, int]

    @property
    def kind(self) -> Literal["survival", "response"]:
        """``survival`` or ``response``."""
        return self.endpoint.type

    @property
    def event(self) -> Bools:
        """True where the event, or the response, was observed; shape (n_included,)."""
        return np.asarray(self.y["event"] if self.kind == "survival" else self.y, dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Cohort:
    """A frozen, validated patient table with its study.

    Attributes
    ----------
    study : Study
    ids : ndarray of str objects, shape (n_rows,)
        As the file has them, byte for byte; the row number where the study declares no id column.
    columns : mapping of str to Parsed
        Every declared feature column the file holds, as numbers with NaN for missing.
    groups : mapping of str to ndarray of int, shape (n_rows,)
        Batch and centre columns as group numbers, -1 for missing.
    outcomes : mapping of str to Outcome
    notices : tuple of str
        What a person should know though it is no fault; holds no patient values.
    """

    study: Study
    ids: npt.NDArray[np.object_]
    columns: Mapping[str, Parsed]
    groups: Mapping[str, npt.NDArray[np.int64]]
    outcomes: Mapping[str, Outcome]
    notices: tuple[str, ...] = field(default=())

    @classmethod
    def from_frame(cls, frame: Any, study: Study) -> Cohort:
        """Hold a table against a study.

        Parameters
        ----------
        frame : pandas DataFrame or pyarrow Table, shape (n_rows, n_columns)
            Text as read from a file, or typed columns; missing text only as the study declares.
        study : Study

        Returns
        -------
        Cohort

        Raises
        ------
        CohortError
            With every fault found in ``.faults``; values are masked.
        """
        table = _as_table(frame)
        reader = _Reader(table, study)
        cohort = reader.read()
        if reader.faults:
            kinds = Counter(fault.kind for fault in reader.faults)
            listing = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
            raise CohortError(
                f"The table must meet study '{study.name}'; found {len(reader.faults)} fault(s): "
                f"{listing}.",
                tuple(reader.faults),
            )
        return cohort

    @property
    def n_rows(self) -> int:
        """Number of rows in the table."""
        return len(self.ids)

    @property
    def n_patients(self) -> int:
        """Number of distinct patient ids."""
        return len(set(self.ids.tolist()))

    @property
    def patient_numbers(self) -> npt.NDArray[np.int64]:
        """A number for each row's patient, equal where ids repeat; shape (n_rows,)."""
        return np.unique(self.ids, return_inverse=True)[1].astype(np.int64)

    @property
    def treated(self) -> Bools | None:
        """True where the patient was not on control; None where the file has no arm column."""
        arm = self.study.arm_column
        if arm is None or arm not in self.columns:
            return None
        return np.asarray(self.columns[arm].values == 1.0)

    @property
    def features(self) -> tuple[str, ...]:
        """Feature columns the file holds, in declared order."""
        return tuple(name for name in self.study.feature_columns if name in self.columns)

    def matrix(self, names: tuple[str, ...] | None = None) -> Floats:
        """Parsed values side by side, NaN for missing; shape (n_rows, n_columns)."""
        names = self.features if names is None else names
        if not names:
            return np.empty((self.n_rows, 0))
        return np.column_stack([self.columns[name].values for name in names])

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the study and every parsed value in row order."""
        total = hashlib.sha256(self.study.digest.encode())
        total.update("\x1f".join(self.ids.tolist()).encode("utf-8", "surrogatepass"))
        for name, parsed in sorted(self.columns.items()):
            total.update(name.encode() + parsed.values.tobytes() + parsed.states.tobytes())
        for name, outcome in sorted(self.outcomes.items()):
            total.update(name.encode() + outcome.included.tobytes() + outcome.y.tobytes())
        return total.hexdigest()


class _Reader:
    """Reads one table once and collects every fault on the way."""

    def __init__(self, table: pa.Table, study: Study) -> None:
        self.table = table
        self.study = study
        self.faults: list[Fault] = []
        self.notices: list[str] = []

    def read(self) -> Cohort:
        self._check_names()
        if self.table.num_rows == 0:
            self._fault(None, "(table)", "empty", "no rows", "at least one patient", "Add rows.")
        ids = self._ids()
        columns = {
            name: self._feature(name)
            for name in self.study.feature_columns
            if name in self.table.column_names
        }
        self._check_arm(columns)
        groups = {
            name: self._group(name)
            for name in self.study.with_role("batch", "centre")
            if name in self.table.column_names
        }
        outcomes = self._outcomes()
        return Cohort(self.study, ids, columns, groups, outcomes, tuple(self.notices))

    def _fault(
        self, row: int | None, column: str, kind: str, found: str, allowed: str, advice: str
    ) -> None:
        self.faults.append(Fault(row, column, kind, found, allowed, advice))

    # -- columns ---------------------------------------------------------------------------------

    def _check_names(self) -> None:
        present, declared = self.table.column_names, self.study.columns
        repeated = [name for name, count in Counter(present).items() if count > 1]
        strangers = not any(name in declared for name in present)
        for name in repeated if not strangers else ():
            self._fault(
                None, name, "repeated column", "the name more than once", "each name once",
                "Rename or remove the repeated column.",
            )  # fmt: skip
        if repeated:
            unique = [present.index(name) for name in dict.fromkeys(present)]
            self.table = self.table.select(unique)
        extra = [name for name in self.table.column_names if name not in declared]
        if present and strangers:
            # The "names" may be a patient's values, so they are counted, never shown.
            self._fault(
                None, "(header)", "no known column", f"{len(extra)} names, none declared",
                "the declared column names", "Is the header line missing, or the study another?",
            )  # fmt: skip
            return
        for name, column in declared.items():
            if name in present or column.optional or column.role in _NEVER_REQUIRED:
                continue
            close = _closest(name, extra)
            advice = (
                f"Rename '{close}' to '{name}'?"
                if close is not None
                else ("Add the column, or declare it 'optional = true'.")
            )
            self._fault(None, name, "missing column", "no such column", "declared", advice)
        if not extra:
            return
        if self.study.undeclared_columns == "ignore":
            self.notices.append("not declared, so not used: " + ", ".join(extra))
            return
        for name in extra:
            self._fault(
                None, name, "undeclared column", "a column the study does not name",
                "declared columns only",
                "Declare it with a role ('ignore' leaves it out), or allow undeclared columns.",
            )  # fmt: skip

    def _ids(self) -> npt.NDArray[np.object_]:
        name = self.study.id_column
        if name is None or name not in self.table.column_names:
            return np.array([str(i + 1) for i in range(self.table.num_rows)], dtype=object)
        ids = id_texts(self.table[name])
        empty = [row for row, text in enumerate(ids) if text == ""]
        for row in empty:
            self._fault(row, name, "empty id", "nothing", "an id", "Give every patient an id.")
        if self.study.rows_per_patient == "one":
            seen: dict[str, int] = {}
            for row, text in enumerate(ids):
                if text and text in seen:
                    self._fault(
                        row, name, "duplicate id", "an id used before", "each id once",
                        "Remove the duplicate, or declare rows_per_patient = 'many'.",
                    )  # fmt: skip
                seen.setdefault(text, row)
        return np.array(ids, dtype=object)

    def _feature(self, name: str) -> Parsed:
        column = self.study.columns[name]
        rule = ParseRule.from_column(name, column, self.study.missing)
        values = to_arrow(self.table[name])
        parsed = rule.parse(values)
        self._value_faults(name, column, rule, values, parsed)
        if column.kind == "continuous" and column.unit and column.check_units:
            self._check_units(name, column, parsed)
        known = parsed.values[parsed.states != State.MISSING]
        if len(known) == 0 and self.table.num_rows:
            self.notices.append(f"{name}: every value is missing")
        elif column.role != "arm" and len(known) > 1 and np.all(known == known[0]):
            self.notices.append(f"{name}: every known value is the same")
        return parsed

    def _value_faults(
        self, name: str, column: Column, rule: ParseRule, values: pa.Array, parsed: Parsed
    ) -> None:
        for row in np.flatnonzero(parsed.states >= State.UNPARSABLE):
            state = State(int(parsed.states[row]))
            value = values[int(row)].as_py()
            found = _found(value, state, column, float(parsed.values[row]))
            advice = _advice(value, state, column, rule)
            self._fault(int(row), name, _KIND[state], found, rule.allowed(), advice)

    def _check_units(self, name: str, column: Column, parsed: Parsed) -> None:
        """Values a thousandfold off, where the rest lie close together, are another unit."""
        usable = (parsed.states == State.OK) & (parsed.values > 0)
        if np.count_nonzero(usable) < 20:
            return
        logs = np.where(usable, np.log10(np.where(usable, parsed.values, 1.0)), np.nan)
        low, centre, high = np.nanquantile(logs, (0.25, 0.5, 0.75))
        if high - low > 1.2:
            return
        far = np.abs(logs - centre)
        for row in np.flatnonzero((far > 2.2) & (np.abs(far - 3.0) < 1.0)):
            self._fault(
                int(row), name, "suspected unit mix-up",
                "about 1000 times " + ("more" if logs[row] > centre else "less")
                + " than most others",
                f"all values in {column.unit}",
                "Convert the value, or declare 'check_units = false' if the spread is real.",
            )  # fmt: skip

    def _check_arm(self, columns: Mapping[str, Parsed]) -> None:
        arm = self.study.arm_column
        if arm is None or arm not in columns or self.table.num_rows == 0:
            return
        parsed = columns[arm]
        for row in np.flatnonzero(parsed.states == State.MISSING):
            self._fault(
                int(row), arm, "missing arm", "nothing", "a declared arm", "Every patient has one."
            )
        known = parsed.values[parsed.states == State.OK]
        if len(known) and (np.all(known == 1.0) or np.all(known == 0.0)):
            only = "treated" if known[0] == 1.0 else "control"
            self._fault(
                None, arm, "one arm only", f"every patient is {only}", "control and treated",
                f"Drop the column and declare single_arm = '{only}', if the study had one arm.",
            )  # fmt: skip

    def _group(self, name: str) -> npt.NDArray[np.int64]:
        column = to_arrow(self.table[name])
        if not is_plain(column.type):
            self._fault(
                None, name, "unparsable", f"values of type {column.type}", "one text a patient",
                "Store the group's name or number.",
            )  # fmt: skip
            return np.full(len(column), -1, dtype=np.int64)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        missing = np.array(
            [
                v is None or v != v or str(v) in self.study.missing
                for v in column.dictionary.to_pylist()
            ],
            dtype=np.bool_,
        )
        codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        if missing.any():
            codes = np.where(np.isin(codes, np.flatnonzero(missing)), -1, codes)
        return codes

    # -- endpoints -------------------------------------------------------------------------------

    def _outcomes(self) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for name, endpoint in self.study.endpoints.items():
            needed = endpoint.columns
            absent = [column for column in needed if column not in self.table.column_names]
            if absent:
                if len(absent) < len(needed):
                    self._fault(
                        None, absent[0], "missing column", "no such column",
                        f"both columns of endpoint '{name}'", "Add it, or drop its partner.",
                    )  # fmt: skip
                continue
            before = len(self.faults)
            if isinstance(endpoint, SurvivalEndpoint):
                outcome = self._survival(name, endpoint)
            else:
                outcome = self._response(name, endpoint)
            if len(self.faults) == before:
                self._check_informative(outcome)
                outcomes[name] = outcome
        if not any(fault.kind == "missing column" for fault in self.faults) and not (
            outcomes or self.faults
        ):
            self._fault(
                None, "(endpoints)", "missing column", "no endpoint's columns",
                "at least one endpoint", "Add the columns of an endpoint.",
            )  # fmt: skip
        return outcomes

    def _survival(self, name: str, endpoint: SurvivalEndpoint) -> Outcome:
        duration_rule = ParseRule(
            endpoint.duration, "continuous", missing=self.study.missing, unit=endpoint.unit
        )
        durations_text = to_arrow(self.table[endpoint.duration])
        durations = duration_rule.parse(durations_text)
        wrong = durations.states >= State.UNPARSABLE
        known = durations.states == State.OK
        for row in np.flatnonzero(wrong | (known & ~(durations.values > 0))):
            value = durations_text[int(row)].as_py()
            found = _found(value, State(int(durations.states[row])), None, np.nan)
            advice = _duration_advice(value, endpoint.unit)
            if known[row]:
                zero = durations.values[row] == 0
                found = "zero" if zero else "a negative time"
                advice = _ZERO_ADVICE if zero else "Check which date was taken from which."
            self._fault(
                int(row), endpoint.duration, "invalid duration", found,
                f"a number of {endpoint.unit} greater than 0", advice,
            )  # fmt: skip
        event_levels = endpoint.event_values + endpoint.censored_values
        events = self._coded(endpoint.event, event_levels, "event_values or censored_values")
        is_event = events.values < len(endpoint.event_values)
        no_time = ~known
        no_event = events.states == State.MISSING
        included = ~(no_time | no_event | wrong)
        if any(fault.column in (endpoint.duration, endpoint.event) for fault in self.faults):
            included &= False
        y = survival_outcome(is_event[included], durations.values[included])
        excluded = {
            "duration missing": int(np.count_nonzero(no_time)),
            "event missing": int(np.count_nonzero(no_event & ~no_time)),
        }
        return Outcome(name, endpoint, included, y, {k: v for k, v in excluded.items() if v})

    def _response(self, name: str, endpoint: ResponseEndpoint) -> Outcome:
        levels = endpoint.positive + endpoint.negative + endpoint.not_evaluable
        coded = self._coded(endpoint.column, levels, "positive, negative or not_evaluable")
        positive = coded.values < len(endpoint.positive)
        missing = coded.states == State.MISSING
        not_evaluable = coded.values >= len(endpoint.positive) + len(endpoint.negative)
        included = coded.states <= State.MISSING
        excluded: dict[str, int] = {}
        for reason, mask, rule in (
            ("response missing", missing, endpoint.missing_rule),
            ("not evaluable", not_evaluable, endpoint.not_evaluable_rule),
        ):
            if rule == "exclude" and mask.any():
                included &= ~mask
                excluded[reason] = int(np.count_nonzero(mask))
        return Outcome(name, endpoint, included, positive[included], excluded)

    def _coded(self, column: str, levels: tuple[str, ...], where: str) -> Parsed:
        rule = ParseRule(column, "categorical", levels=levels, missing=self.study.missing)
        values = to_arrow(self.table[column])
        parsed = rule.parse(values)
        for row in np.flatnonzero(parsed.states == State.UNSEEN_CATEGORY):
            self._fault(
                int(row), column, "undeclared coding", _shown(values[int(row)].as_py()),
                rule.allowed(), f"Declare the value under {where}.",
            )  # fmt: skip
        return parsed

    def _check_informative(self, outcome: Outcome) -> None:
        positive = int(np.count_nonzero(outcome.event))
        n = len(outcome.y)
        column = outcome.endpoint.columns[-1]
        if n == 0 and self.table.num_rows:
            self._fault(
                None, column, "no outcomes", f"no known outcome for '{outcome.name}'",
                "at least one", "Check the missing values of the endpoint's columns.",
            )  # fmt: skip
        elif outcome.kind == "survival" and positive == 0 and n:
            self._fault(
                None, column, "all censored", f"no event among {n} patients",
                "at least one event", "Nothing can be estimated; check event_values.",
            )  # fmt: skip
        elif outcome.kind == "response" and n and positive in (0, n):
            self._fault(
                None, column, "one response class", f"{positive} responses among {n} patients",
                "responders and non-responders", "Nothing can be estimated; check the coding.",
            )  # fmt: skip


_ZERO_ADVICE = (
    "Count the first day as half a day (or a whole one) for every patient, and say so in the study."
)
_NEVER_REQUIRED = ("ignore", "post_baseline", "batch", "centre")

_KIND = {
    State.UNPARSABLE: "unparsable",
    State.NOT_FINITE: "not finite",
    State.OUTSIDE_ALLOWED_RANGE: "outside allowed range",
    State.UNSEEN_CATEGORY: "undeclared category",
}


def id_texts(column: Any) -> list[str]:
    """Ids as text, unchanged: integers in plain digits, nulls as the empty text.

    Raises
    ------
    CohortError
        If ids are neither text nor whole numbers (a float cannot say which id it was).
    """
    return ["" if value is None else str(value) for value in id_array(column).to_pylist()]


def _as_table(frame: Any) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if not (hasattr(frame, "iloc") and getattr(frame, "ndim", 0) == 2):
        raise CohortError(
            f"The table must be a pandas DataFrame or a pyarrow Table; got {type(frame).__name__}."
        )
    return pa.Table.from_arrays(
        [to_arrow(frame.iloc[:, i]) for i in range(frame.shape[1])],
        names=[str(name) for name in frame.columns],
    )


def _closest(name: str, others: list[str]) -> str | None:
    """The other name most like this one, case and surrounding spaces aside, if any is like it."""
    plain = {other.strip().casefold(): other for other in reversed(others)}
    close = difflib.get_close_matches(name.strip().casefold(), plain, n=1, cutoff=0.5)
    return plain[close[0]] if close else None


def _shown(value: Any) -> str:
    return (
        masked(str(value)) if isinstance(value, str) else f"a value of type {type(value).__name__}"
    )


def _duration_advice(value: Any, unit: str) -> str:
    if hasattr(value, "year") or (isinstance(value, str) and _DATE.match(value)):
        return f"Give the {unit} since the start, not a date."
    return f"Give the {unit} since the start as a plain number, such as 12.5."


def _found(value: Any, state: State, column: Column | None, number: float) -> str:
    """Say what a value looks like without saying what it is."""
    if state is State.NOT_FINITE:
        return "infinity, or a number too large to be one"
    if state is not State.OUTSIDE_ALLOWED_RANGE or column is None or column.range is None:
        return _shown(value)
    low, high = column.range
    side = "below the minimum" if number < low else "above the maximum"
    for factor, words in ((1e-3, "a thousandth of it"), (1e3, "a thousand times it")):
        if low < number * factor <= high and number * factor != 0:
            return f"{side}; {words} would fit: another unit?"
    return side


def _advice(value: Any, state: State, column: Column, rule: ParseRule) -> str:
    if state is State.UNSEEN_CATEGORY:
        return "Correct it, add it to levels, or map it under aliases."
    if state is State.OUTSIDE_ALLOWED_RANGE:
        return f"Check the unit ({column.unit or 'none declared'}) and the sign."
    if state is State.NOT_FINITE:
        return "Leave it empty if it was not measured."
    if hasattr(value, "year") or (isinstance(value, str) and _DATE.match(value)):
        return "A date stands where a number is declared: a spreadsheet may have changed it."
    if isinstance(value, str) and value.startswith("#"):
        return "A spreadsheet's error stands there; correct its formula, or leave the cell empty."
    if isinstance(value, str) and value != value.strip():
        return "Remove the spaces around the number."
    if isinstance(value, str) and value[:1] in ("<", ">"):
        if rule.lower_limit is None and rule.upper_limit is None:
            return "Declare the detection limits of this column to read it."
        return "It is a hundredfold from the declared limit, or on its undeclared side: check it."
    return (
        "Write 12.5, not 12,5 or 1,250; declare words for missing under 'missing', "
        "and for too low to measure under 'detection'."
    )
