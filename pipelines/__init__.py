"""Everything that touches a disk, a store or a terminal; the calls a notebook makes."""

from biomarker._lazy import lazy_names

_HOMES = {
    "load_bundle": "pipelines.bundle",
    "load_cohort": "pipelines.ingest",
    "score": "pipelines.scoring",
    "study": "pipelines.ingest",
    "train": "pipelines.training",
}
__all__ = ["load_bundle", "load_cohort", "score", "study", "train"]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
