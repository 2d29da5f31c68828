"""`whet demo`"""

from typing import Annotated

import typer

FRESH = (
    "Hi, I moved last week and my parcel is still going to the old flat, can that be fixed?",
    "The kettle looked fine in the box, but the handle came off in my hand.",
    "It keeps saying my password is wrong although I have just reset it. Twice.",
    "Is the blue tent big enough for two adults and a dog?",
)


def command(
    seed: Annotated[int, typer.Option(help="Split, new weights, order and dropout.")] = 0,
) -> None:
    """The whole story in about a minute: bundled data, embedded encoder, no network."""
    from importlib.resources import as_file, files

    from whet import api
    from whet.cli.tables import console, demo_table
    from whet.runs import free_path

    show = console()
    show.print("480 customer messages of 8 intents come with whet; 160 more were held out.\n", soft_wrap=True)
    with as_file(files("whet.demo_data")) as folder:
        train, heldout = folder / "train.csv", folder / "heldout.csv"
        run = api.train(train, test=heldout, out=free_path("demo"), seed=seed)
        model = run.model()
        words = bag_of_words(str(train), str(heldout))
    show.print("\nOn the 160 held-out messages, which nothing above has seen:")
    show.print(demo_table(run.manifest["results"]["test"], words))
    show.print("Four fresh messages:")
    for prediction, text in zip(model.predict(FRESH), FRESH, strict=True):
        show.print(f"  {prediction.label or '?':<17} {prediction.probability:>4.0%}  {text}", soft_wrap=True)
    show.print(f"\nThe model is in {run.folder / 'model'}; transformers opens it too. Next, try:")
    show.print(f'  whet predict {run.folder} --text "Where on earth is my parcel?"')
    show.print("  whet train YOUR.csv")


def bag_of_words(train: str, heldout: str) -> dict[str, float]:
    """Accuracy and macro F1 of what people try first: TF-IDF of words and word pairs, logistic regression,
    its strength chosen by cross-validation on the training rows."""
    import csv

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    def read(path: str) -> tuple[list[str], list[str]]:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [row["message"] for row in rows], [row["intent"] for row in rows]

    texts, labels = read(train)
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"logisticregression__C": [1.0, 10.0, 100.0]}, cv=5).fit(texts, labels)
    unseen, true = read(heldout)
    predicted = search.predict(unseen)
    return {
        "accuracy": float(accuracy_score(true, predicted)),
        "macro_f1": float(f1_score(true, predicted, average="macro")),
    }
