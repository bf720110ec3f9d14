"""A card for each registered model: what it is, for whom, how well it did, where it must not go."""

from __future__ import annotations

from pipelines.pack.fields import Checklist, Item, Writer, pointer
from pipelines.pack.phrases import arms, endpoint_flow, performance_words, settings_words
from pipelines.report.words import CAUTION

__all__ = ["model_card"]

_SOURCE = (
    "Sections after Mitchell M, Wu S, Zaldivar A, et al. Model cards for model reporting. FAT* "
    "2019:220–229; names are ours."
)


def model_card(w: Writer, i: int) -> Checklist:
    """Write the card of the run's i-th model.

    Parameters
    ----------
    w : Writer
    i : int
        Place in ``models.json``.

    Returns
    -------
    Checklist
    """
    model = w.value("models.json", pointer(i))
    items = [*_what(w, i), *_use(w), *_data(w), *_performance(w, i), *_limits(w, i), *_ends(w, i)]
    return Checklist(
        f"model-card-{model['endpoint']}-{model['model']}",
        f"Model card: {model['model']} on {model['endpoint']}",
        "What one should know before using this model, and what nobody knows yet.",
        _SOURCE,
        tuple(items),
    )


def _what(w: Writer, i: int) -> list[Item]:
    done = []
    params = w.value("models.json", pointer(i, "params"))
    tuned = ", ".join(
        f"{name} {w.take('models.json', pointer(i, 'params', name), 'plain')}" for name in params
    )
    kept = "kept as candidate" if w.value("models.json", pointer(i, "kept")) else "compared"
    w.say(
        f"{w.take('models.json', f'/{i}/model')} for endpoint "
        f"{w.take('models.json', f'/{i}/endpoint')}, {kept}; tuned settings: {tuned or 'none'}; "
        f"{w.take('models.json', f'/{i}/n_features', 'count')} encoded features.",
        f"Scale of its margin: {w.take('models.json', f'/{i}/attribution/scale')} "
        f"({w.take('models.json', f'/{i}/attribution/direction')}).",
    )
    done.append(w.item("1", "Model", "what it is"))
    w.ask("contact")
    done.append(w.item("2", "Model", "who answers for it"))
    return done


def _use(w: Writer) -> list[Item]:
    done = []
    w.ask("intended_use")
    done.append(w.item("3", "Use", "what it is for, and whose decision"))
    w.say(
        "Not to choose a treatment: the model forecasts, and whether a marker changes the effect "
        "of treatment is asked by the evidence section alone. Not outside the patients it was "
        "fitted on before it was judged there."
    )
    w.ask("not_for")
    done.append(w.item("4", "Use", "what it is not for"))
    return done


def _data(w: Writer) -> list[Item]:
    w.say(
        *endpoint_flow(w),
        arms(w),
        f"Data digest {w.take('cohort.json', '/dataset_digest', 'short hash')}; study digest "
        f"{w.take('cohort.json', '/study_digest', 'short hash')}.",
    )
    w.ask("data_source", "dates", "eligibility")
    return [w.item("5", "Data", "who it was fitted on")]


def _performance(w: Writer, i: int) -> list[Item]:
    w.say(f"Out of fold: {settings_words(w)}")
    rows = w.value("models.json", pointer(i, "performance"))
    w.say(*(f"{performance_words(w, i, j)}." for j in range(len(rows))))
    return [w.item("6", "Performance", "every estimate with its interval and n")]


def _limits(w: Writer, i: int) -> list[Item]:
    done = []
    w.say(*(w.take("limits.json", f"/{k}") for k in range(len(w.value("limits.json", "")))))
    done.append(w.item("7", "Limits", "what these data cannot carry"))
    done.append(
        w.item("8", "Limits", "performance in subgroups", "No estimate by subgroup was made.", True)
    )
    shown = w.value("models.json", pointer(i, "attribution"))
    if "withheld" in shown:
        w.say(
            "Importance is withheld: " + w.take("models.json", f"/{i}/attribution/withheld") + "."
        )
    else:
        leading = [
            f"{w.take('models.json', f'/{i}/attribution/importance/{k}/source')} "
            + w.take("models.json", f"/{i}/attribution/importance/{k}/mean_absolute", "metric")
            + " ("
            + w.take("models.json", f"/{i}/attribution/importance/{k}/low", "metric")
            + " to "
            + w.take("models.json", f"/{i}/attribution/importance/{k}/high", "metric")
            + ")"
            for k in range(len(shown["importance"]))
        ]
        w.say(f"Mean absolute attribution: {'; '.join(leading)}.", CAUTION)
    done.append(w.item("9", "Limits", "attribution, and how not to read it"))
    return done


def _ends(w: Writer, i: int) -> list[Item]:
    done = []
    w.ask("ethics", "fairness", "inequalities")
    done.append(w.item("10", "Ethics", "approval, groups that could be wronged"))
    address = (
        f"models:/{w.take('models.json', f'/{i}/registered_name')}@"
        f"{w.take('models.json', f'/{i}/alias')}"
    )
    w.say(
        f"Score a file with: biomarker score FILE --model {address}",
        f"In Python: mlflow.pyfunc.load_model(“{address}”)",
        "Columns, units and levels it expects are those of study.json of this pack.",
    )
    done.append(w.item("11", "Loading", "address and command"))
    if w.value("models.json", f"/{i}/bundle_sha256"):
        w.say(
            "SHA-256 of the bundle's list of hashes (SHA256SUMS): "
            + w.take("models.json", f"/{i}/bundle_sha256")
            + "."
        )
        done.append(w.item("12", "Loading", "hash"))
    else:
        done.append(w.item("12", "Loading", "hash", "No bundle was written.", True))
    return done
