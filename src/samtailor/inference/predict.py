"""Segmenting many files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from samtailor.data.case import ProbabilityType
from samtailor.errors import ConfigError, ProcessLostError
from samtailor.inference.report import PredictReport
from samtailor.outputs import require_free, require_place
from samtailor.refinement import Refine, chosen_refinement
from samtailor.settings import (
    AnyPath,
    ClassBias,
    Count,
    Device,
    LabelKind,
    PolygonKind,
    Precision,
    Rare,
    TestTimeFlip,
    Thresholds,
    Weight,
    WindowChoice,
    checked,
)


@checked
def predict(
    run: AnyPath,
    inputs: Sequence[AnyPath],
    out: AnyPath,
    probabilities: bool = False,
    overlays: bool = False,
    batch_size: Count = 8,
    device: Device = "auto",
    precision: Rare[Precision] = "auto",
    skip_existing: bool = False,
    refine: Refine | None = None,
    overwrite: bool = False,
    format: LabelKind = "auto",
    polygons: PolygonKind | None = None,
    simplify: Weight = 0,
    min_area: Weight = 0,
    cog: bool = False,
    probability_type: ProbabilityType = "float32",
    tta: TestTimeFlip | None = None,
    bias: ClassBias = "saved",
    volumes: AnyPath | None = None,
    threshold: Thresholds | None = None,
    colours: bool = False,
    heat_maps: bool = False,
    windows: WindowChoice = "auto",
) -> PredictReport:
    """Segment volumes and pictures; every result is named after its input and lies on its grid.

    A file that cannot be read or written does not stop the others. Several processes (of torchrun or SLURM) share the
    files: each takes every n-th of those to be done; the GeoTIFFs that are left over when all have as many are shared
    by rows.

    Args:
        run: A run, the directory of a segmenter, or a name on the model hub; of a cross-validation the probabilities
            of all folds are averaged.
        inputs: Volumes and pictures: files, folders, or glob patterns.
        out: Folder of the results.
        probabilities: Also write the probability of every class, into the folder 'probabilities'.
        overlays: Also draw the result over its image, into the folder 'overlays'.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.
        skip_existing: Leave out inputs whose result is there already, of an interrupted prediction with the same run.
        refine: What is done after the network's first pass: 'none', or some of the following, joined by commas in the
            order in which they are to be done. 'outline' draws every object again from prompts along its outline;
            'crf' and 'level-set' move boundaries to where the image has them; 'fill-holes' fills background that one
            class encloses; 'smallest' drops small objects; 'largest-component' keeps the largest part of each class. By
            default what the segmenter has saved.
        overwrite: Replace results that are in `out` already.
        format: Kind of the label files, one that the inputs' formats write; 'auto' is the input's own, 'seg.nrrd'
            of volumes a segmentation of 3D Slicer.
        polygons: Also write the polygons of GeoTIFFs, each with its class, area and mean probability, into the folder
            'polygons'. 'gpkg' is in the CRS of the input, 'geojson' in WGS 84 longitudes and latitudes.
        simplify: Leave out vertices of polygons that are no farther than that from the new outline, in units of the
            input's CRS.
        min_area: Leave out polygons that are smaller, in square metres.
        cog: Write the results of GeoTIFFs as cloud-optimised ones.
        probability_type: How probabilities of GeoTIFFs are kept; 'uint8' is steps of 1/254, a quarter of the size.
        tta: Flips at test time: what the network says of an image and of its mirror images is averaged, which takes so
            many times as long. 'columns' (2) where left and right look alike, 'both' (4) for views from above, 'auto'
            the flips of the training; by default what the segmenter was fitted with. 'none' shows the network each
            window once: a segmenter that was fitted with `sampling.wide` is otherwise also shown twice as much of a
            picture.
        volumes: Also write a table (.csv) of what each class takes of each input: ml in volumes, square metres on the
            Earth, pixels in other pictures; with the box around it and the mean intensity in it.
        threshold: Least probability of a class, CLASS=0.7, as often as there are such classes: where it is below, the
            most probable other class is given that is not below its own threshold, and the first class (the background)
            where all are. Before the refinement.
        colours: Also write names and colours of the classes for ITK-SNAP (itk-snap.txt) and 3D Slicer (slicer.ctbl),
            into the folder 'colours'; QGIS finds them beside every GeoTIFF.
        heat_maps: Also draw how probable each class is over the image, into the folder 'heat-maps'; of a volume the
            slice where it is most so.
        windows: What the network sees at once of a picture: 'whole' all of it, shrunk to the network's input;
            'training' squares as large as the pictures, or crops, of the training, which overlap; 'auto' is the
            training's crops if there were any, else the whole of it unless its longer side is more than 1.5 times that
            of the largest picture of the training.
        bias: 'none' leaves out the offsets of the class logits that `samtailor.tune_bias` has stored in the segmenter.

    Returns:
        What was written by all processes, and what could not be, and why.

    Raises:
        SamTailorError: If the segmenter cannot be loaded, a result would overwrite something, labels of an input's
            format are not written in the format asked for, or polygons are wanted of an image that does not say where
            it lies; nothing is written.
    """
    from samtailor.data.colour_tables import TABLES, write_colours
    from samtailor.data.polygons import Drawing
    from samtailor.distributed.collectives import broadcast_from_first, connect, gather, raise_on_all_ranks
    from samtailor.inference.ensemble import mean_of
    from samtailor.inference.inputs import Wanted, plan, require_ground, require_scenes
    from samtailor.inference.pipeline import join_jobs, joint_report, predict_jobs, written_at
    from samtailor.inference.predictor import Predictor, choose_device
    from samtailor.inference.scenes import divided, require_room
    from samtailor.inference.volumes import require_table, write_volumes
    from samtailor.models.segmenter_model import load_models

    if not polygons and (simplify or min_area):
        raise ConfigError("polygons: expected gpkg or geojson with simplify and min_area, found none; name one of them")
    drawing = Drawing(polygons, simplify, min_area) if polygons else None
    table = None if volumes is None else require_table(Path(volumes), skip_existing)
    here = connect(device)
    wanted = Wanted(probabilities, overlays, probability_type, cog, drawing, table is not None, heat_maps)
    with raise_on_all_ranks():
        choose_device(device, precision)
        planned, refinement = plan(inputs, Path(out), format, wanted), chosen_refinement(refine)
        require_scenes(planned, wanted)
        if here.is_first:
            require_place(out, [run, *inputs])
            if table is not None:
                require_place(table.parent, name="volumes")
                require_free([table], overwrite, name="volumes")
            if not skip_existing:
                files = [file for job in planned for file in job.results(wanted)]
                files += [Path(out) / "colours" / name for name in TABLES] if colours else []
                require_free(files, overwrite, "leave out what is there with --skip_existing")
            if drawing:
                require_ground(planned)
        predictor = mean_of(
            [
                Predictor(
                    model.for_inference(), batch_size, device, precision, refinement, tta, bias, threshold, windows
                )
                for model in load_models(run)
            ]
        )
        if here.is_first:
            require_room(predictor, planned)
    before = {job.target: written_at(job.target) for job in planned}
    # One process decides for all, because results appear while others still look.
    jobs = broadcast_from_first([job for job in planned if not (skip_existing and os.path.exists(job.target))])
    shares = broadcast_from_first(divided(predictor, jobs, here.size))
    report = PredictReport((), ())
    try:
        report = predict_jobs(predictor, here.share(shares), wanted)
        reports = gather(report)
        reports.append(broadcast_from_first(join_jobs(predictor, shares if here.is_first else (), reports, wanted)))
    except ProcessLostError:  # what it and the others have written lies in the folder
        appeared = [job.target for job in jobs if written_at(job.target) != before[job.target]]
        reports = [report, PredictReport(tuple(appeared), ())]
    finally:
        for job in shares:
            if job.rows is not None:
                shutil.rmtree(job.parts_folder, ignore_errors=True)
    left_out = {job.target for job in planned} - {job.target for job in jobs}
    skipped = tuple(job.target for job in planned if job.target in left_out)
    if here.is_first and colours:
        write_colours(Path(out) / "colours", predictor.model.labels)
    joint = replace(joint_report(jobs, reports), skipped=skipped, out=Path(out))
    if here.is_first and table is not None:
        write_volumes(table, joint.volumes)
    return joint
