"""Codes by which DICOM objects say what a class is (SNOMED CT), found by the class's name.

SNOMED CT is the scheme that DICOM prefers for anatomy (PS3.16, CID 7150 and 7151). Codes and meanings are those of
DICOM as pydicom's dictionary has them; what DICOM does not list (muscles, single ribs, ...) is as in TotalSegmentator's
table. Where the two differ (its "subclavian artery, left" carries DICOM's code of the right one), DICOM's is taken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from samtailor.metrics.class_names import key_of

PRIVATE_SCHEME = "99SAMTAILOR"
"""Coding scheme of classes that have no code here; '99' marks private schemes (PS3.16, 8.2)."""
_LONGEST_VALUE = 16
_LONGEST_MEANING = 64


@dataclass(frozen=True)
class Code:
    """A coded concept.

    Attributes:
        value: Its value.
        meaning: What people read.
        scheme: Coding scheme of the value; SNOMED CT unless another one is said.
    """

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class ClassCodes:
    """What a class is.

    Attributes:
        category: Kind of property that its voxels have.
        type: The property itself.
        side: Left or right, where the type is of both sides.
        region: Where it lies, if that is said beside what it is ('liver tumor').
        region_side: Left or right of the region.
    """

    category: Code
    type: Code
    side: Code | None = None
    region: Code | None = None
    region_side: Code | None = None

    @property
    def has_public_code(self) -> bool:
        """Whether others know the code."""
        return self.type.scheme != PRIVATE_SCHEME


ANATOMY = Code("91723000", "Anatomical Structure")
ABNORMALITY = Code("49755003", "Morphologically Abnormal Structure")
UNCODED = Code("class", "Class of a segmenter", PRIVATE_SCHEME)
SIDES = {"left": Code("7771000", "Left"), "right": Code("24028007", "Right")}

STRUCTURES: dict[str, Code] = {
    "adrenal gland": Code("23451007", "Adrenal gland"),
    "aorta": Code("15825003", "Aorta"),
    "left atrial appendage": Code("33626005", "Left auricular appendage"),
    "autochthon": Code("244849004", "Deep muscle of back"),
    "brachiocephalic trunk": Code("12691009", "Brachiocephalic trunk"),
    "brachiocephalic vein": Code("8887007", "Brachiocephalic vein"),
    "brain": Code("12738006", "Brain"),
    "clavicula": Code("51299004", "Clavicle"),
    "clavicle": Code("51299004", "Clavicle"),
    "colon": Code("71854001", "Colon"),
    "common carotid artery": Code("32062004", "Common carotid artery"),
    "costal cartilages": Code("50016007", "Costal cartilage"),
    "duodenum": Code("38848004", "Duodenum"),
    "esophagus": Code("32849002", "Esophagus"),
    "femur": Code("71341001", "Femur"),
    "gallbladder": Code("28231008", "Gallbladder"),
    "gluteus maximus": Code("206007", "Gluteus maximus muscle"),
    "gluteus medius": Code("78333006", "Gluteus medius muscle"),
    "gluteus minimus": Code("75297007", "Gluteus minimus muscle"),
    "heart": Code("80891009", "Heart"),
    "heart atrium left": Code("82471001", "Left atrium"),
    "heart atrium right": Code("73829009", "Right atrium"),
    "heart myocardium": Code("74281007", "Myocardium"),
    "heart ventricle left": Code("87878005", "Left ventricle"),
    "heart ventricle right": Code("53085002", "Right ventricle"),
    "hip": Code("29836001", "Hip"),
    "humerus": Code("85050009", "Humerus"),
    "iliac artery": Code("73634005", "Common iliac artery"),
    "iliac vena": Code("46027005", "Common iliac vein"),
    "iliopsoas": Code("68455001", "Iliopsoas muscle"),
    "inferior vena cava": Code("64131007", "Inferior vena cava"),
    "kidney": Code("64033007", "Kidney"),
    "liver": Code("10200004", "Liver"),
    "lung": Code("39607008", "Lung"),
    "lung lower lobe": Code("90572001", "Lower lobe of lung"),
    "lung middle lobe right": Code("72481006", "Middle lobe of right lung"),
    "lung upper lobe": Code("45653009", "Upper lobe of lung"),
    "pancreas": Code("15776009", "Pancreas"),
    "portal and splenic veins": Code("110765007", "Portal vein and splenic vein"),
    "portal vein": Code("32764006", "Portal vein"),
    "portal vein and splenic vein": Code("110765007", "Portal vein and splenic vein"),
    "prostate": Code("41216001", "Prostate"),
    "pulmonary artery": Code("81040000", "Pulmonary artery"),
    "pulmonary vein": Code("122972007", "Pulmonary vein"),
    "rectum": Code("34402009", "Rectum"),
    "rib 1": Code("48535007", "First rib"),
    "rib 2": Code("78247007", "Second rib"),
    "rib 3": Code("25888004", "Third rib"),
    "rib 4": Code("25523003", "Fourth rib"),
    "rib 5": Code("15339008", "Fifth rib"),
    "rib 6": Code("59558009", "Sixth rib"),
    "rib 7": Code("24915002", "Seventh rib"),
    "rib 8": Code("5953002", "Eighth rib"),
    "rib 9": Code("22565002", "Ninth rib"),
    "rib 10": Code("77644006", "Tenth rib"),
    "rib 11": Code("58830002", "Eleventh rib"),
    "rib 12": Code("43993008", "Twelfth rib"),
    "sacrum": Code("54735007", "Sacrum"),
    "scapula": Code("79601000", "Scapula"),
    "skull": Code("89546000", "Skull"),
    "small bowel": Code("30315005", "Small intestine"),
    "spinal cord": Code("2748008", "Spinal cord"),
    "spleen": Code("78961009", "Spleen"),
    "splenic vein": Code("35819009", "Splenic vein"),
    "sternum": Code("56873002", "Sternum"),
    "stomach": Code("69695003", "Stomach"),
    "subclavian artery": Code("36765005", "Subclavian artery"),
    "subclavian artery left": Code("85235006", "Left subclavian artery"),
    "subclavian artery right": Code("29700009", "Right subclavian artery"),
    "superior vena cava": Code("48345005", "Superior vena cava"),
    "thyroid gland": Code("69748006", "Thyroid"),
    "trachea": Code("44567001", "Trachea"),
    "urinary bladder": Code("89837001", "Bladder"),
    "bladder": Code("89837001", "Bladder"),
    "uterus": Code("35039007", "Uterus"),
    "vertebrae C1": Code("14806007", "C1 vertebra"),
    "vertebrae C2": Code("39976000", "C2 vertebra"),
    "vertebrae C3": Code("113205007", "C3 vertebra"),
    "vertebrae C4": Code("5329002", "C4 vertebra"),
    "vertebrae C5": Code("36978003", "C5 vertebra"),
    "vertebrae C6": Code("36054005", "C6 vertebra"),
    "vertebrae C7": Code("87391001", "C7 vertebra"),
    "vertebrae L1": Code("66794005", "L1 vertebra"),
    "vertebrae L2": Code("14293000", "L2 vertebra"),
    "vertebrae L3": Code("36470004", "L3 vertebra"),
    "vertebrae L4": Code("11994002", "L4 vertebra"),
    "vertebrae L5": Code("49668003", "L5 vertebra"),
    "vertebrae S1": Code("65985001", "S1 vertebra"),
    "vertebrae T1": Code("64864005", "T1 vertebra"),
    "vertebrae T2": Code("53733008", "T2 vertebra"),
    "vertebrae T3": Code("1626008", "T3 vertebra"),
    "vertebrae T4": Code("73071006", "T4 vertebra"),
    "vertebrae T5": Code("56401006", "T5 vertebra"),
    "vertebrae T6": Code("45296009", "T6 vertebra"),
    "vertebrae T7": Code("62487009", "T7 vertebra"),
    "vertebrae T8": Code("11068009", "T8 vertebra"),
    "vertebrae T9": Code("82687006", "T9 vertebra"),
    "vertebrae T10": Code("7610001", "T10 vertebra"),
    "vertebrae T11": Code("12989004", "T11 vertebra"),
    "vertebrae T12": Code("23215003", "T12 vertebra"),
}
"""Anatomical structures by the names of FLARE22, BTCV, AMOS and TotalSegmentator."""

ABNORMALITIES: dict[str, Code] = {
    "cyst": Code("367643001", "Cyst"),
    "lesion": Code("52988006", "Lesion"),
    "neoplasm": Code("108369006", "Neoplasm"),
    "tumor": Code("108369006", "Neoplasm"),
    "tumour": Code("108369006", "Neoplasm"),
}
"""What may be found in a structure, by the word for it: 'lesion', 'liver tumor', 'kidney_cyst_left'."""

_STRUCTURES = {key_of(name): code for name, code in STRUCTURES.items()}


def codes_of(name: str) -> ClassCodes:
    """What a class is by its name, in whatever spelling (see `key_of`); with a private code if need be."""
    words = key_of(name).split()
    if known := _structure(words):
        return ClassCodes(ANATOMY, *known)
    for found, code in ABNORMALITIES.items():
        if found in words:
            rest = [word for word in words if word != found]
            if not rest:
                return ClassCodes(ABNORMALITY, code)
            if known := _structure(rest):
                return ClassCodes(ABNORMALITY, code, None, *known)
    value = name if len(name) <= _LONGEST_VALUE else hashlib.sha256(name.encode()).hexdigest()[:_LONGEST_VALUE]
    return ClassCodes(UNCODED, Code(as_text(value), as_text(name), PRIVATE_SCHEME))


def as_text(name: str) -> str:
    """A name as DICOM's short texts may be: 64 characters, no backslash, which parts values there."""
    return name.replace("\\", "/")[:_LONGEST_MEANING].strip()


def _structure(words: list[str]) -> tuple[Code, Code | None] | None:
    """A structure and its side, by the sorted words of its name; None if there is none such."""
    if code := _STRUCTURES.get(" ".join(words)):
        return code, None
    sides = [word for word in words if word in SIDES]
    code = _STRUCTURES.get(" ".join(word for word in words if word not in SIDES))
    return (code, SIDES[sides[0]]) if code and len(sides) == 1 else None
