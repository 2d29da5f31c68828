"""The tasks there are: a literal table."""

from whet.tasks.base import Task
from whet.tasks.classification import Classification
from whet.tasks.masked_lm import MaskedLM
from whet.tasks.multilabel import Multilabel
from whet.tasks.question_answering import QuestionAnswering
from whet.tasks.regression import Regression
from whet.tasks.token_classification import TokenClassification

__all__ = ["TASKS", "Task"]

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (Classification, Multilabel, Regression, TokenClassification, QuestionAnswering, MaskedLM)
}
