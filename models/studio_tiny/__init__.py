"""studio-tiny: the small SDXL that ships with the project, the pictures it learnt from, and how it was trained.

    world.py         what can be in a picture, and in which words it is asked for
    pen.py           a supersampled drawing surface that keeps colour, mask and height together
    objects.py       22 icons and props           figures.py    hands, characters, signs
    materials.py     12 surfaces that tile        scenes.py     what lies behind a subject
    draw.py          seed -> picture, caption, edges, depth, mask
    architecture.py  the diffusers and transformers classes, and the folder they are saved in
    dataset.py       pictures drawn once and kept as arrays; latents likewise
    train.py         the command line; one file per part: train_vae, train_unet, train_adapters
    start.py         from the published folder back to a run, so that training can go on from it
    judge.py         names what is in a picture, and fingers.py counts a hand's fingers, for bench/checkpoint.py
    export.py        a single-file checkpoint and a kohya-format LoRA, for the tools that read those

It knows nothing of manifests, specs or reviews: the engine loads the folder `models/studio-tiny` like any other SDXL.
"""
