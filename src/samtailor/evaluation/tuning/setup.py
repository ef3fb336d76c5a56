"""What a search on validation cases begins with: a run, data of its classes, the cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.evaluation.cases import cases_of_split, check_classes
from samtailor.models.segmenter_model import SegmenterModel, load_model
from samtailor.outputs import require_place
from samtailor.runs import Run


@dataclass(frozen=True)
class TuningData:
    """A run and what its segmenter is tuned on.

    Attributes:
        run: The run.
        dataset: A labelled folder.
        files: Its validation cases.
    """

    run: Run
    dataset: Dataset
    files: tuple[CaseFiles, ...]

    @classmethod
    def opened(cls, run: Path, data: Path) -> TuningData:
        """The validation split of the run's labelled folder, or of another with its classes.

        Raises:
            SamTailorError: If run or data are not as expected, or the run cannot take what is found.
        """
        directory = Run(run)
        selection = directory.selection
        require_place(directory.tuning_directory, [run], data)
        dataset = open_dataset(data, *selection)
        return cls(directory, dataset, cases_of_split(dataset, "val", directory.read_dataset()["splits"]))

    def load(self) -> SegmenterModel:
        """The run's segmenter; data of other classes are refused."""
        model = load_model(self.run.directory)
        check_classes(self.dataset, model.labels)
        return model

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cases."""
        return tuple(file.name for file in self.files)
