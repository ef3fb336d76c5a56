"""What `samtailor export` wrote, run with onnxruntime and numpy: python onnx_predict.py segmenter.onnx IMAGE OUT.

IMAGE is a picture or a NIfTI volume, OUT a PNG or NIfTI file of class ids. It does what `samtailor predict` does with
`--refine none`, windows, flips and offsets of the logits included; denoising and depth adapters are left to samtailor.
"""

import json
import sys

import numpy as np
import onnxruntime


def main(network, image_file, out_file):
    """Segment one image."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    known = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    if known["preprocessing"].get("steps") or known["slices"] > 1:
        sys.exit("this example knows neither denoising nor groups of slices: use samtailor predict")
    is_volume = image_file.endswith((".nii", ".nii.gz"))
    if is_volume:
        import nibabel as nib
        from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

        volume, canonical = nib.load(image_file), axcodes2ornt(("S", "P", "L"))  # slices, rows, columns
        file_axes = io_orientation(volume.affine)
        values = np.asarray(volume.dataobj, np.float32)
        values = apply_orientation(values.reshape(*values.shape[:3], -1), ornt_transform(file_axes, canonical))
        image = np.moveaxis(values, -1, 1)  # (S, C, H, W)
    else:
        from PIL import Image

        picture = Image.open(image_file).convert("L" if known["preprocessing"]["channels"] == 1 else "RGB")
        image = np.atleast_3d(np.asarray(picture, np.float32)).transpose(2, 0, 1)[None]
    if bands := known["preprocessing"].get("bands"):
        image = image[:, np.array(bands) - 1]
    image = scaled(image, known["preprocessing"]["intensity"])
    ids = np.array(known["ids"])[np.stack([label_of(session, known, seen) for seen in slices(image, known)])]
    if is_volume:
        array = apply_orientation(ids.astype(np.int16), ornt_transform(canonical, file_axes))
        nib.save(nib.Nifti1Image(array.reshape(volume.shape[:3]), volume.affine), out_file)
    else:
        Image.fromarray(ids[0].astype(np.uint8 if ids.max() < 256 else np.uint16)).save(out_file)


def scaled(image, intensity):
    """Values (S, C, H, W) in [0, 1], by one scaling for all channels, or by one for each."""
    if isinstance(intensity, list):
        return np.concatenate([scaled(image[:, i : i + 1], one) for i, one in enumerate(intensity)], axis=1)
    low, high = intensity.get("low"), intensity.get("high")
    if intensity["kind"] == "window":
        low, high = (intensity["level"] + sign * intensity["width"] / 2 for sign in (-1, 1))
    if intensity["kind"] == "percentile":
        low, high = np.percentile(image, (low, high))
    unit = np.clip((image - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    return unit.astype(np.float16).astype(np.float32)


def slices(image, known):
    """What the network sees of each slice, (C, H, W): three colours, neighbours, or as many channels as there are."""
    for i in range(len(image)):
        if known["preprocessing"].get("neighbours"):
            yield image[np.clip([i - 1, i, i + 1], 0, len(image) - 1), 0]
        else:
            yield np.repeat(image[i], 3, axis=0) if len(image[i]) == 1 else image[i]


def label_of(session, known, image):
    """Class indices (H, W) of a slice (C, H, W): the mean of its windows' logits, weighted towards their middles."""
    height, width = image.shape[1:]
    longest, field, seen = max(height, width), *(known["preprocessing"].get(key) for key in ("field", "seen"))
    side = field or (seen if seen and longest > 1.5 * seen else longest)
    flips = {"none": [()], "columns": [(), (2,)], "both": [(), (2,), (1,), (1, 2)]}[known["tta"]]
    rows, columns = (starts(length, side, len(flips) > 1) for length in (height, width))
    bias = np.array(known["bias"], np.float32)[:, None, None]
    bell = np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side / 4)) ** 2)
    total = np.zeros((len(known["classes"]), height, width), np.float32)
    for y, x in ((y, x) for y in rows for x in columns):
        part, mean = image[:, y : y + side, x : x + side], 0.0
        inside = (slice(None), *(slice(length) for length in part.shape[1:]))
        for flip in flips:
            square = np.zeros((len(image), side, side), np.float32)
            square[inside] = np.flip(part, flip)
            logits = session.run(None, {"images": resized(square, known["preprocessing"]["image_size"])[None]})[0][0]
            mean = mean + np.flip(resized(logits, side)[inside], flip) / len(flips)
        # Not divided by the sum of the weights, which is the same for all classes of a pixel.
        weight = (bell[:, None] * bell)[inside[1:]].astype(np.float32)
        total[:, y : y + side, x : x + side] += (mean + bias) * weight
    return total.argmax(axis=0)


def starts(length, side, mirrored):
    """First positions of windows along a length, which overlap by a quarter."""
    last = length - side
    count = 1 + int(np.ceil(last / (side * 0.75)))
    count += mirrored and count % 2 == 1 and last % 2 == 1
    found = [round(start) for start in np.linspace(0, last, count)]
    if mirrored:
        found[(count + 1) // 2 :] = [last - start for start in reversed(found[: count // 2])]
    return found if last > 0 else [0]


def resized(image, side):
    """Square maps (C, n, n) at another side, bilinear and antialiased, as torch resizes them."""
    step = image.shape[-1] / side
    reach = max(step, 1)
    distance = np.arange(image.shape[-1]) + 0.5 - (np.arange(side)[:, None] + 0.5) * step
    weights = np.clip(1 - np.abs(distance) / reach, 0, None)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights @ image @ weights.T


if __name__ == "__main__":
    main(*sys.argv[1:])
