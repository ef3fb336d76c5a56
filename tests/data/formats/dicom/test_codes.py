"""Classes are coded by their names, and the codes are those of the dictionaries."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from samtailor.data.formats.dicom.codes import ABNORMALITIES, PRIVATE_SCHEME, STRUCTURES, as_text, codes_of
from samtailor.metrics.protocols import FLARE22_CLASSES

BTCV = (
    *("spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta"),
    *("inferior vena cava", "portal and splenic veins", "pancreas", "right adrenal gland", "left adrenal gland"),
)
TOTAL_SEGMENTATOR = (
    *("adrenal_gland_left", "aorta", "atrial_appendage_left", "autochthon_right", "brachiocephalic_trunk", "brain"),
    *("brachiocephalic_vein_left", "clavicula_left", "colon", "common_carotid_artery_right", "costal_cartilages"),
    *("duodenum", "esophagus", "femur_left", "gallbladder", "gluteus_maximus_left", "gluteus_medius_right"),
    *("gluteus_minimus_left", "heart", "hip_right", "humerus_left", "iliac_artery_left", "iliac_vena_right"),
    *("iliopsoas_left", "inferior_vena_cava", "kidney_cyst_left", "kidney_right", "liver", "lung_lower_lobe_left"),
    *("lung_middle_lobe_right", "lung_upper_lobe_left", "pancreas", "portal_vein_and_splenic_vein", "prostate"),
    *("pulmonary_vein", "rib_left_1", "rib_right_12", "sacrum", "scapula_left", "skull", "small_bowel"),
    *("spinal_cord", "spleen", "sternum", "stomach", "subclavian_artery_left", "superior_vena_cava", "thyroid_gland"),
    *("trachea", "urinary_bladder", "vertebrae_C1", "vertebrae_L5", "vertebrae_S1", "vertebrae_T12"),
)


@pytest.mark.parametrize("name", [*FLARE22_CLASSES[1:], *BTCV, *TOTAL_SEGMENTATOR])
def test_organs_of_the_usual_data_sets_have_a_public_code(name: str) -> None:
    assert codes_of(name).has_public_code


# Muscles, single ribs, parts of the heart and two more are not in DICOM's own lists.
NOT_LISTED = {
    *("244849004", "206007", "78333006", "75297007", "68455001", "74281007", "110765007", "65985001"),
    *("48535007", "78247007", "25888004", "25523003", "15339008", "59558009", "24915002", "5953002", "22565002"),
    *("77644006", "58830002", "43993008"),
}


@pytest.mark.parametrize("name", [*STRUCTURES, *ABNORMALITIES])
def test_a_code_means_what_dicom_says(name: str) -> None:
    code = {**STRUCTURES, **ABNORMALITIES}[name]
    meanings = {found.meaning.lower() for found in codes.SCT.concepts.values() if found.value == code.value}
    assert (code.meaning.lower() in meanings) == (code.value not in NOT_LISTED)
    assert bool(meanings) == (code.value not in NOT_LISTED)


@pytest.mark.parametrize("name", ["RK", "right kidney", "kidney_right", "Kidney, right"])
def test_any_spelling_will_do(name: str) -> None:
    found = codes_of(name)
    assert (found.type.meaning, found.side and found.side.meaning) == ("Kidney", "Right")


def test_sides_that_have_a_code_of_their_own_need_no_modifier() -> None:
    for name, value in {"subclavian_artery_left": "85235006", "subclavian_artery_right": "29700009"}.items():
        assert (codes_of(name).type.value, codes_of(name).side) == (value, None)


@pytest.mark.parametrize(
    ("name", "region", "side"),
    [("tumor", None, None), ("liver tumour", "Liver", None), ("kidney_cyst_left", "Kidney", "Left")],
)
def test_what_lies_in_an_organ_is_not_the_organ(name: str, region: str | None, side: str | None) -> None:
    found = codes_of(name)
    assert found.category.meaning == "Morphologically Abnormal Structure"
    assert found.side is None
    assert (found.region and found.region.meaning) == region
    assert (found.region_side and found.region_side.meaning) == side


def test_classes_without_a_code_get_private_ones_that_differ() -> None:
    long = "catheter of the first kind with a name that goes on, and on, and still on"
    names = ["catheter", long, f"{long} and on", "left tumor of nothing known", "left right lung", r"a\b"]
    found = [codes_of(name) for name in names]
    assert {code.type.scheme for code in found} == {PRIVATE_SCHEME}
    assert len({code.type.value for code in found}) == len(names)
    for code in found:
        assert len(code.type.value) <= 16
        assert len(code.type.meaning) <= 64
        assert "\\" not in code.type.value + code.type.meaning
    assert as_text(r"a\b") == "a/b"
