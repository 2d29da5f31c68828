"""XLM-RoBERTa (Conneau et al. 2019): RoBERTa in a hundred languages."""

from whet.checkpoints.families.roberta import family_like_roberta

FAMILY = family_like_roberta(
    "xlm-roberta", "XLM-RoBERTa", "a hundred languages, also several in one file", "XLMRoberta"
)
