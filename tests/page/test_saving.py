"""Labels go where the layout expects them, on the image's grid, and what they replace is copied first."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import rasterio
import SimpleITK
from numpy.typing import NDArray
from PIL import Image
from rasterio.shutil import copy

from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import format_of, read_case, read_image
from samtailor.labels import LabelSpace
from samtailor.page.cases import open_folder
from samtailor.page.fit_data import fit_data
from samtailor.page.request_error import RequestError
from samtailor.page.saving import save, target_of, write_label
from samtailor.training.settings import SamplingConfig, TrainConfig
from samtailor.training.train import train
from tests import generate, generate_scenes
from tests.data.formats.dicom.files import write_series
from tests.page.conftest import Opening


def painted(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    """A label of three classes in no order."""
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def pictures_without(root: Path, count: int = 6, folder: str = "") -> Path:
    """Pictures without any label."""
    (root / folder).mkdir(parents=True)
    for number in range(count):
        Image.fromarray(generate.picture((40, 48), number)[0]).save(root / folder / f"p{number}.png")
    return root


def outlined(path: Path, *names: str) -> None:
    """LabelMe's file of a picture of 40 x 48, with a triangle of each class."""
    shapes = [
        {"label": name, "points": [[1 + 20 * n, 1], [19 + 20 * n, 1], [9 + 20 * n, 19]], "shape_type": "polygon"}
        for n, name in enumerate(names)
    ]
    generate.write_json(path, {"version": "5.5", "flags": {}, "shapes": shapes, "imageHeight": 40, "imageWidth": 48})


def saved_all(root: Path, classes: tuple[str, ...] = ("field", "water"), count: int = 4) -> list[Path]:
    """Save labels of the first cases of a folder; their files."""
    folder = open_folder(root, classes)
    targets = []
    for number, files in enumerate(folder.cases[:count]):
        case = read_image(files.images[0])
        done = save(folder, case, files, painted(case.geometry.shape, number))
        folder.cases[number] = done.files
        targets.append(done.target)
    return targets


class TestWhereLabelsGo:
    @pytest.mark.parametrize(
        ("images", "labels"),
        [
            ("", "labels"),
            ("images", "labels"),
            ("imgs", "labels"),
            ("train/images", "train/labels"),
            ("north", "labels/north"),
            ("JPEGImages", "labels"),
        ],
    )
    def test_beside_images_that_nobody_has_labelled(self, images: str, labels: str, tmp_path: Path) -> None:
        root = pictures_without(tmp_path / "data", folder=images)
        targets = saved_all(root)
        assert [target.relative_to(root).as_posix() for target in targets] == [f"{labels}/p{n}.png" for n in range(4)]
        assert json.loads((root / "dataset.json").read_text()) == {"classes": ["background", "field", "water"]}
        again = open_folder(root)  # with the other two, and the classes without being told
        assert again.dataset is not None
        assert again.labels.names == ("background", "field", "water")
        assert sorted(case.name for case in again.labelled) == ["p0", "p1", "p2", "p3"]
        assert sorted(case.name for case in again.cases) == [f"p{n}" for n in range(6)]
        assert not check_dataset(root).errors
        for number, target in enumerate(targets):
            case = next(case for case in again.labelled if case.label == target)
            label = read_case(case, again.labels).label
            assert np.array_equal(label, painted((1, 40, 48), number))  # type: ignore[arg-type]

    def test_beside_volumes_that_nobody_has_labelled(self, tmp_path: Path) -> None:
        for number in range(5):
            for channel in range(2):
                array = generate.volume((16, 12, 4), number)[0]
                generate.write_volume(tmp_path / f"v{number}_{channel:04d}.nii.gz", array)
        targets = saved_all(tmp_path, ("liver", "spleen"))
        assert [target.relative_to(tmp_path).as_posix() for target in targets] == [
            f"labels/v{number}.nii.gz" for number in range(4)
        ]
        again = open_folder(tmp_path)
        assert [len(case.images) for case in again.cases] == [2] * 5
        assert len(again.labelled) == 4
        assert not check_dataset(tmp_path).errors

    def test_in_nnunets_layout(self, nnunet_folder: Path) -> None:
        (nnunet_folder / "labelsTr" / "case_1.nii.gz").unlink()
        folder = open_folder(nnunet_folder)
        files = next(case for case in folder.cases if case.name == "case_1")
        assert files.label is None
        assert target_of(folder, files) == nnunet_folder / "labelsTr" / "case_1.nii.gz"
        test = next(case for case in folder.cases if case.name == "case_5")
        assert target_of(folder, test) == nnunet_folder / "labelsTs" / "case_5.nii.gz"

    def test_in_an_image_folder(self, image_folder: Path) -> None:
        (image_folder / "masks" / "tile_3.png").unlink()
        folder = open_folder(image_folder)
        assert target_of(folder, folder.cases[3]) == image_folder / "masks" / "tile_3.png"

    def test_in_a_folder_whose_dataset_json_lists_its_files(self, image_folder: Path) -> None:
        cases = {f"tile_{n}": {"images": [f"images/tile_{n}.png"], "label": f"masks/tile_{n}.png"} for n in range(3)}
        del cases["tile_1"]["label"]
        content = {"classes": generate.PICTURE_CLASSES, "dataset": cases}
        (image_folder / "dataset.json").write_text(json.dumps(content))
        folder = open_folder(image_folder)
        case = read_image(folder.cases[1].images[0])
        done = save(folder, case, folder.cases[1], painted((1, 40, 48)))
        assert done.target == image_folder / "labels" / "tile_1.png"
        assert done.backup is None
        again = open_dataset(image_folder)
        assert again.cases[1].label == done.target
        assert again.cases[0].label == image_folder / "masks" / "tile_0.png"

    @pytest.mark.parametrize("shared", ["masks/tile_0.png", "both.tif"])
    def test_a_label_of_several_images_is_left_alone(self, shared: str, image_folder: Path) -> None:
        ids = np.asarray(Image.open(image_folder / "masks" / "tile_0.png"))
        Image.fromarray(ids).save(image_folder / "both.tif")
        cases = {f"tile_{n}": {"images": [f"images/tile_{n}.png"], "label": shared} for n in range(2)}
        (image_folder / "dataset.json").write_text(json.dumps({"classes": generate.PICTURE_CLASSES, "dataset": cases}))
        folder = open_folder(image_folder)
        before = (image_folder / shared).read_bytes()
        with pytest.raises(RequestError, match="a label file of its own, found that of tile_1 too; download the label"):
            save(folder, read_image(folder.cases[0].images[0]), folder.cases[0], painted((1, 40, 48)))
        assert (image_folder / shared).read_bytes() == before

    def test_a_case_whose_name_is_spelled_with_marks_apart(self, image_folder: Path) -> None:
        Image.open(image_folder / "masks" / "tile_0.png").save(image_folder / "one.tif")
        name = unicodedata.normalize("NFD", "é")
        cases = {name: {"images": ["images/tile_0.png"], "label": "one.tif"}}
        (image_folder / "dataset.json").write_text(json.dumps({"classes": generate.PICTURE_CLASSES, "dataset": cases}))
        folder = open_folder(image_folder)
        done = save(folder, read_image(folder.cases[0].images[0]), folder.cases[0], painted((1, 40, 48)))
        assert not (image_folder / "one.tif").exists()
        assert open_dataset(image_folder).cases[0].label == done.target

    def test_as_its_neighbours_are_called(self, tmp_path: Path) -> None:
        (tmp_path / "pics").mkdir()
        for number in range(4):
            pixels, ids = generate.picture((40, 48), number)
            Image.fromarray(pixels).save(tmp_path / "pics" / f"a{number}.png")
            if number < 3:
                Image.fromarray(ids).save(tmp_path / "pics" / f"a{number}_mask.png")
        folder = open_folder(tmp_path)
        assert [case.name for case in folder.cases if case.label is None] == ["a3"]
        target = target_of(folder, folder.cases[3])
        assert target == tmp_path / "pics" / "a3_mask.png"
        save(folder, read_image(folder.cases[3].images[0]), folder.cases[3], painted((1, 40, 48)))
        assert [case.name for case in open_dataset(tmp_path).cases] == ["a0", "a1", "a2", "a3"]

    def test_nothing_of_the_pages_is_taken_for_data(self, image_folder: Path) -> None:
        before = open_dataset(image_folder).cases
        folder = open_folder(image_folder)
        save(folder, read_image(folder.cases[0].images[0]), folder.cases[0], painted((1, 40, 48)))
        (image_folder / ".samtailor" / "edits").mkdir()
        shutil.copy(image_folder / "images" / "tile_0.png", image_folder / ".samtailor" / "edits" / "x.png")
        assert open_dataset(image_folder).cases == before
        assert not check_dataset(image_folder).errors


class TestWhatIsReplaced:
    def test_is_copied_first_each_time(self, image_folder: Path) -> None:
        folder = open_folder(image_folder)
        files = folder.cases[0]
        case = read_image(files.images[0])
        contents = []
        for seed in range(3):
            assert files.label is not None
            contents.append(files.label.read_bytes())
            done = save(folder, case, files, painted((1, 40, 48), seed))
            assert done.target == files.label
            assert done.backup is not None
            assert done.backup.read_bytes() == contents[-1]
            assert done.backup.parent == image_folder / ".samtailor" / "backups" / "masks"
        assert len(list((image_folder / ".samtailor" / "backups" / "masks").iterdir())) == 3

    def test_a_label_of_a_kind_that_is_not_written_makes_room(self, image_folder: Path) -> None:
        """Two labels of one image would be refused."""
        old = image_folder / "masks" / "tile_0.tif"
        (image_folder / "masks" / "tile_0.png").unlink()
        Image.fromarray(generate.picture((40, 48), 0)[1]).save(old)
        content = old.read_bytes()
        folder = open_folder(image_folder)
        assert folder.cases[0].label == old
        done = save(folder, read_image(folder.cases[0].images[0]), folder.cases[0], painted((1, 40, 48)))
        assert done.target == image_folder / "masks" / "tile_0.png"
        assert not old.exists()
        assert done.backup is not None
        assert done.backup.read_bytes() == content
        assert open_dataset(image_folder).cases[0].label == done.target

    def test_a_label_that_shares_its_file_with_others_is_not_touched(self, tmp_path: Path) -> None:
        Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / "a.png")
        coco = {
            "images": [{"id": 1, "file_name": "a.png", "width": 48, "height": 40}],
            "categories": [{"id": 1, "name": "field"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
            ],
        }
        (tmp_path / "instances.json").write_text(json.dumps(coco))
        folder = open_folder(tmp_path)
        with pytest.raises(RequestError, match="found another kind; download the label") as error:
            save(folder, read_image(tmp_path / "a.png"), folder.cases[0], painted((1, 40, 48)))
        assert error.value.status == 409
        assert json.loads((tmp_path / "instances.json").read_text()) == coco
        assert not (tmp_path / ".samtailor").exists()

    def test_no_mask_is_put_beside_outlines_that_alone_name_the_classes(self, tmp_path: Path) -> None:
        """The folder could not be opened again: nobody would know which number is which name."""
        for name in ("a", "b", "c"):
            Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / f"{name}.png")
        for name in ("a", "b"):
            outlined(tmp_path / f"{name}.json", "field", "water")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        folder = open_folder(tmp_path)
        for files in folder.cases:
            with pytest.raises(RequestError, match=r"the outlines of a\.json alone.*samtailor check .* --write"):
                save(folder, read_image(files.images[0]), files, painted((1, 40, 48)))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
    @pytest.mark.parametrize("kind", ["png", "jpg"])
    def test_a_mask_never_takes_the_place_of_its_image(self, order: tuple[int, ...], kind: str, tmp_path: Path) -> None:
        """Outlines lie beside their images, and are called as they are."""
        for name in ("a", "b", "c"):
            Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / f"{name}.{kind}")
        for name in ("a", "b"):
            outlined(tmp_path / f"{name}.json", "field", "water")
        generate.write_json(tmp_path / "dataset.json", {"classes": ["background", "field", "water"]})
        images = {path: path.read_bytes() for path in tmp_path.glob(f"*.{kind}")}
        folder = open_folder(tmp_path)
        assert [case.label is None for case in folder.cases] == [False, False, True]
        for number in order:
            files = folder.cases[number]
            done = save(folder, read_image(files.images[0]), files, painted((1, 40, 48)))
            folder.cases[number] = done.files
            assert done.target == tmp_path / f"{files.name}_mask.png"
        assert {path: path.read_bytes() for path in images} == images
        again = open_dataset(tmp_path)
        assert [case.label for case in again.cases] == [tmp_path / f"{name}_mask.png" for name in "abc"]

    def test_a_mask_that_a_list_has_beside_its_image_stays_where_it_is(self, tmp_path: Path) -> None:
        listed = {}
        for index, name in enumerate(("a", "b")):
            pixels, ids = generate.picture((40, 48), index)
            Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
            Image.fromarray(ids).save(tmp_path / f"{name}.png")
            listed[name] = {"images": [f"{name}.jpg"], "label": f"{name}.png"}
        generate.write_json(tmp_path / "dataset.json", {"classes": ["background", "field", "water"], "dataset": listed})
        folder = open_folder(tmp_path)
        done = save(folder, read_image(tmp_path / "a.jpg"), folder.cases[0], painted((1, 40, 48)))
        assert done.target == tmp_path / "a.png"
        assert len(open_dataset(tmp_path).cases) == 2

    def test_a_label_in_two_files_makes_room_as_a_whole(self, tmp_path: Path) -> None:
        for index, name in enumerate(("a", "b")):
            hu, ids = generate.volume((16, 12, 6), index)
            for folder, array, suffix in (("images", hu, "mha"), ("labels", ids, "mhd")):
                (tmp_path / folder).mkdir(exist_ok=True)
                SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array.T), str(tmp_path / folder / f"{name}.{suffix}"))
        folder = open_folder(tmp_path)
        case = read_image(folder.cases[0].images[0])
        done = save(folder, case, folder.cases[0], painted(case.geometry.shape))
        assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == ["a.mha", "b.mhd", "b.raw"]
        assert done.target == tmp_path / "labels" / "a.mha"
        kept = {path.suffix for path in (tmp_path / ".samtailor" / "backups" / "labels").iterdir()}
        assert kept == {".mhd", ".raw"}
        assert done.backup is not None
        assert done.backup.suffix == ".mhd"

    def test_a_shapefile_makes_room_as_a_whole(self, tmp_path: Path) -> None:
        root = generate_scenes.scene_folder(tmp_path / "scenes", count=3)
        folder = open_folder(root)
        (files,) = (case for case in folder.cases if case.label == root / "masks" / "s2.shp")
        case = read_image(files.images[0])
        done = save(folder, case, files, painted(case.geometry.shape))
        assert sorted(path.name for path in (root / "masks").glob("s2.*")) == ["s2.qml", "s2.tif"]
        assert done.target == root / "masks" / "s2.tif"
        kept = {path.suffix for path in (root / ".samtailor" / "backups" / "masks").iterdir()}
        assert kept == {".shp", ".shx", ".dbf", ".prj", ".cpg"}

    def test_what_a_mosaic_is_made_of_may_become_the_label(self, tmp_path: Path) -> None:
        root = generate_scenes.scene_folder(tmp_path / "scenes", count=3)
        mask = root / "masks" / "s0.tif"
        before = mask.read_bytes()
        copy(mask, root / "masks" / "s0.vrt", driver="VRT")
        generate.write_json(
            root / "dataset.json",
            {
                "classes": generate.PICTURE_CLASSES,
                "dataset": {"s0": {"images": ["images/s0.tif"], "label": "masks/s0.vrt"}},
            },
        )
        folder = open_folder(root)
        case = read_image(folder.cases[0].images[0])
        done = save(folder, case, folder.cases[0], painted(case.geometry.shape))
        assert done.target == mask
        assert (read_case(done.files, folder.labels).label >= -1).all()
        copies = {path.suffix: path for path in (root / ".samtailor" / "backups" / "masks").iterdir()}
        assert copies.keys() == {".vrt", ".tif"}
        assert copies[".tif"].read_bytes() == before
        assert not (root / "masks" / "s0.vrt").exists()


class TestGeometry:
    def test_of_nifti_with_odd_axes(self, tmp_path: Path) -> None:
        affine = generate.affine((2, 3, 5), "PIR")
        generate.write_volume(tmp_path / "a.nii.gz", generate.volume((16, 12, 6), 0)[0], affine)
        case = read_image(tmp_path / "a.nii.gz")
        label = painted(case.geometry.shape)
        write_label(case, tmp_path / "label.nii.gz", label, generate.LABELS)
        image, written = nib.load(tmp_path / "a.nii.gz"), nib.load(tmp_path / "label.nii.gz")
        assert written.shape == image.shape
        assert np.allclose(written.affine, image.affine)
        ids, geometry = format_of(tmp_path / "label.nii.gz").read_ids(tmp_path / "label.nii.gz", generate.LABELS)
        assert np.array_equal(ids, label)
        assert case.geometry.difference(geometry) is None

    def test_of_a_scene_whose_pixels_without_data_stay_so(self, tmp_path: Path) -> None:
        root = generate_scenes.scene_folder(tmp_path / "scenes", count=3)
        image = root / "images" / "s0.tif"
        case = read_image(image)
        label = painted(case.geometry.shape)
        label[:, : generate_scenes.EMPTY_ROWS] = 255
        write_label(case, tmp_path / "label.tif", label, generate.LABELS)
        with rasterio.open(image) as scene, rasterio.open(tmp_path / "label.tif") as written:
            assert (written.crs, written.transform, written.shape) == (scene.crs, scene.transform, scene.shape)
            assert np.array_equal(written.read(1)[3:], label[0, 3:])
            assert not written.read_masks(1)[:3].any()
            assert written.read_masks(1)[3:].all()

    def test_of_a_picture_that_lies_on_its_side(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / "a.jpg", exif=exif)
        case = read_image(tmp_path / "a.jpg")
        assert case.geometry.shape == (1, 48, 40)
        label = painted((1, 48, 40))
        write_label(case, tmp_path / "label.png", label, generate.LABELS)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "label.png")), label[0])

    def test_of_a_dicom_series(self, tmp_path: Path) -> None:
        pytest.importorskip("highdicom")
        write_series(tmp_path / "scan", generate.volume((16, 12, 4), 0)[0].transpose(2, 1, 0))
        case = read_image(tmp_path / "scan")
        label = painted(case.geometry.shape)
        label[0] = 0
        for suffix in (".seg.dcm", ".nii.gz"):
            write_label(case, tmp_path / f"label{suffix}", label, generate.LABELS)
            file = tmp_path / f"label{suffix}"
            ids, geometry = format_of(file).read_ids(file, generate.LABELS, case.geometry)
            assert np.array_equal(ids, label)
            assert case.geometry.difference(geometry) is None

    def test_what_counts_nowhere_has_the_ignore_id_or_is_background(self, tmp_path: Path) -> None:
        Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / "a.png")
        case = read_image(tmp_path / "a.png")
        label = painted((1, 40, 48))
        label[0, 0] = 255
        for ignore_id, expected in ((9, 9), (None, 0)):
            labels = LabelSpace.from_names(("background", "field", "water"), ignore_id)
            write_label(case, tmp_path / "label.png", label, labels)
            found = np.asarray(Image.open(tmp_path / "label.png"))
            assert (found[0] == expected).all()
            assert np.array_equal(found[1:], label[0, 1:])


class TestFitData:
    def test_a_data_set_that_is_labelled_as_a_whole_is_taken_as_it_is(
        self, image_folder: Path, nnunet_folder: Path
    ) -> None:
        assert fit_data(open_folder(image_folder), "run") == image_folder
        assert fit_data(open_folder(nnunet_folder), "run") == nnunet_folder
        assert not (image_folder / ".samtailor").exists()

    def test_of_others_what_is_labelled_is_listed(self, nnunet_folder: Path) -> None:
        (nnunet_folder / "labelsTr" / "case_1.nii.gz").unlink()
        (nnunet_folder / "labelsTr" / "case_4.nii.gz").unlink()  # the only one for validation
        data = fit_data(open_folder(nnunet_folder), "run")
        assert data == nnunet_folder / ".samtailor" / "fits" / "run"
        found = open_dataset(data)
        assert [case.name for case in found.cases] == ["case_0", "case_2", "case_3", "case_5"]
        assert found.channels == ("CT",)
        assert found.labels == generate.LABELS
        assert {split: len(names) for split, names in found.splits.items()} == {"train": 2, "val": 1, "test": 1}
        assert found.splits["test"] == ("case_5",)
        assert not check_dataset(data).errors
        assert [case.name for case in open_dataset(nnunet_folder).cases] == [f"case_{n}" for n in range(6)]

    def test_two_cases_are_enough_and_one_is_not(self, tmp_path: Path) -> None:
        root = pictures_without(tmp_path / "data")
        for count in (0, 1):
            saved_all(root, count=count)
            with pytest.raises(RequestError, match=f"at least 2 labelled cases.*found {count}") as error:
                fit_data(open_folder(root, ("field", "water")), "run")
            assert error.value.status == 409
        saved_all(root, count=2)
        found = open_dataset(fit_data(open_folder(root), "run"))
        assert sorted(map(len, found.splits.values())) == [1, 1]
        assert found.splits.keys() == {"train", "val"}

    def test_one_in_eight_is_for_validation(self, tmp_path: Path) -> None:
        root = pictures_without(tmp_path / "data", count=18)
        saved_all(root, count=17)
        splits = open_dataset(fit_data(open_folder(root), "run")).splits
        assert {split: len(names) for split, names in splits.items()} == {"train": 15, "val": 2}

    def test_ct_that_nobody_has_called_so(self, tmp_path: Path) -> None:
        for number in range(3):
            generate.write_volume(tmp_path / f"v{number}.nii.gz", generate.volume((16, 12, 4), number)[0])
        saved_all(tmp_path, ("liver", "spleen"), 2)
        folder = open_folder(tmp_path)
        assert open_dataset(fit_data(folder, "ct", is_ct=True)).channels == ("CT",)
        assert open_dataset(fit_data(folder, "other")).channels == ("image",)


@pytest.mark.parametrize("make", [pictures_without, None], ids=["pictures", "volumes"])
def test_a_folder_that_begins_without_labels_is_trained_on(
    make: Callable[[Path], Path] | None, open_page: Opening, tmp_path: Path
) -> None:
    """An empty folder of images and the names of the classes are enough to begin."""
    root = tmp_path / "data"
    if make is None:
        for number in range(6):
            generate.write_volume(root / f"v{number}.nii.gz", generate.volume((32, 24, 4), number)[0])
    else:
        make(root)
    page = open_page(base="tiny-sam", data=root, classes=("field", "water"))
    assert [row["labelled"] for row in page.project()["cases"]] == [False] * 6
    for number in range(4):
        shape = page.open(number)["shape"]
        page.paint(number, (0, 2, 2, shape[0], 12, 12), 1)
        page.paint(number, (0, 14, 14, shape[0], 22, 22), 2)
        found = page.json("POST", f"/api/cases/{number}/save")
        assert (root / found["path"]).is_file()
        assert found["backup"] is None
        assert (found["row"]["labelled"], found["row"]["edited"]) == (True, False)
        assert page.open(number)["shown"] == "truth"
    config = TrainConfig(
        data=str(root),
        out=str(tmp_path / "run"),
        base="tiny-sam",
        epochs=1,
        sampling=SamplingConfig(image_size=32),
        device="cpu",
    )
    run = train(**vars(config))
    assert run.is_finished()
    assert run.read_dataset()["labels"]["names"] == ["background", "field", "water"]
    assert sum(map(len, run.read_dataset()["splits"].values())) == 4


def test_saving_what_was_saved_before_keeps_it(open_page: Opening, pictures: Path) -> None:
    page = open_page(pictures / "run", pictures / "data")
    mask = pictures / "data" / "masks" / "tile_0.png"
    before = mask.read_bytes()
    page.json("POST", "/api/cases/0/predict")
    page.paint(0, (0, 0, 0, 1, 40, 48), 2)
    found = page.json("POST", "/api/cases/0/save")
    assert found["path"] == "masks/tile_0.png"
    assert (pictures / "data" / found["backup"]).read_bytes() == before
    assert (np.asarray(Image.open(mask)) == 2).all()
    assert found["row"]["score"] == pytest.approx(
        2 * (page.label(0, "prediction") == 2).sum() / (40 * 48 + (page.label(0, "prediction") == 2).sum())
    )
    assert page.open(0)["sources"] == ["truth", "prediction"]
    assert not any((pictures / "data" / ".samtailor" / "edits").iterdir())
