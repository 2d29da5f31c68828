"""CamemBERT (Martin et al. 2019): RoBERTa in French."""

from whet.checkpoints.families.roberta import family_like_roberta

FAMILY = family_like_roberta("camembert", "CamemBERT", "French", "Camembert")
