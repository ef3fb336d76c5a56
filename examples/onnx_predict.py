"""What `samtailor export` wrote, run with onnxruntime and numpy: python onnx_predict.py segmenter.onnx IMAGE OUT.

IMAGE is a picture of 8 bits or a NIfTI volume; OUT becomes the PNG or NIfTI file of `predict --tta none --refine none`.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

network, image_file, out_file = sys.argv[1:]
session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
known = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
how, scaling = known["preprocessing"], known["preprocessing"]["intensity"]
if how.get("steps") or how.get("bands") or isinstance(scaling, list) or known["slices"] > 1:
    sys.exit("denoising, bands, scalings by channel, groups of slices are not known here: use samtailor predict")

if is_volume := image_file.endswith((".nii", ".nii.gz")):
    import nibabel as nib
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    volume, ours = nib.squeeze_image(nib.load(image_file)), axcodes2ornt("SPL")  # slices, rows, columns
    volume = volume.as_reoriented(ornt_transform(theirs := io_orientation(volume.affine), ours))
    image = volume.get_fdata(dtype=np.float32)[:, None]  # (S, C, H, W)
else:
    picture = ImageOps.exif_transpose(Image.open(image_file)).convert("L" if how["channels"] == 1 else "RGB")
    image = np.atleast_3d(np.asarray(picture, np.float32)).transpose(2, 0, 1)[None]

low, high = scaling.get("low"), scaling.get("high")
if scaling["kind"] == "window":
    low, high = (scaling["level"] + sign * scaling["width"] / 2 for sign in (-1, 1))
elif scaling["kind"] == "percentile":
    low, high = np.percentile(image, (low, high))
image = np.clip((image - low) / max(high - low, 1e-6), 0, 1).astype(np.float16).astype(np.float32)
if image.shape[1] == 1:  # as three colours, or with its neighbours
    shown = np.arange(len(image))[:, None] + ([-1, 0, 1] if how.get("neighbours") else [0, 0, 0])
    image = image[shown.clip(0, len(image) - 1), 0]

height, width = image.shape[2:]
longest, seen, size = max(height, width), how.get("seen"), (how["image_size"], how["image_size"])
side = how["field"] or (seen if seen and longest > 1.5 * seen else longest)  # of windows, which overlap by a quarter
image = np.pad(image, [(0, 0), (0, 0), (0, max(0, side - height)), (0, max(0, side - width))])
starts = [np.linspace(0, n - side, 1 + int(np.ceil((n - side) / (0.75 * side)))).round() for n in image.shape[2:]]
bell = np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side / 4)) ** 2)
ids = np.empty((len(image), height, width), np.int32)
for i, plane in enumerate(image):
    total = np.zeros((len(known["classes"]), *plane.shape[1:]))
    for y, x in np.stack(np.meshgrid(*starts), axis=-1).reshape(-1, 2).astype(int):
        window = slice(None), slice(y, y + side), slice(x, x + side)
        pixels = np.stack([Image.fromarray(channel).resize(size, Image.BILINEAR) for channel in plane[window]])
        logits = session.run(None, {"images": pixels[None]})[0][0] + np.float32(known["bias"])[:, None, None]
        scores = np.stack([Image.fromarray(cells).resize((side, side), Image.BILINEAR) for cells in logits])
        total[window] += scores * bell[:, None] * bell
    ids[i] = np.array(known["ids"])[total.argmax(axis=0)[:height, :width]]
if is_volume:
    nib.save(nib.Nifti1Image(ids, volume.affine).as_reoriented(ornt_transform(ours, theirs)), out_file)
else:
    Image.fromarray(ids[0].astype(np.uint8 if ids.max() < 256 else np.uint16)).save(out_file)
