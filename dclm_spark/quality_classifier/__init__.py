"""The DCLM-style fastText classifier: its texts and its training."""

from dclm_spark.quality_classifier.classifier_training import (
    QualityTrainingSettings,
    train_quality,
)

__all__ = ["QualityTrainingSettings", "train_quality"]
