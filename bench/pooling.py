"""What stands for a text: the family's own pooler, or the mean of its tokens. Scores on four sets, `mini`.

    python bench/pooling.py build/bench [--sets trec sst2 cola mrpc] [--seeds 2] [--pooling own mean]

Everything else is whet's default. One JSON line a run, on standard output: the reported split's main figure.
The sets are folders that `versus_trainer.py convert` wrote.
"""

import argparse
import json
import tempfile
from pathlib import Path

import whet
from bench.versus_trainer import files_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sets", nargs="+", default=["trec", "sst2", "cola", "mrpc"])
    parser.add_argument("--pooling", nargs="+", default=["own", "mean"])
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        for name in asked.sets:
            train, reported, figure = files_of(asked.work, name, None)
            for pooling in asked.pooling:
                with tempfile.TemporaryDirectory() as place:
                    run = whet.train(train, out=Path(place) / "run", seed=seed, quiet=True, pooling=pooling)
                    found = whet.load(run.folder).evaluate(reported).metrics[figure]
                row = {"set": name, "pooling": pooling, "seed": seed, figure: found}
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
