"""What a weights file is, from its header alone: names, shapes and metadata. No tensor is read, no library is needed.

header.py        safetensors header -> Header
components.py    the component configurations that ship with the project, or those of a diffusers folder
shapes.py        configuration -> the name and shape of every weight
original.py      the names of the original code -> diffusers' names
identify.py      Header -> Identity: kind, architecture, prediction type, layout
lora.py          the layouts of LoRAs -> module, factor
compare.py       every key and shape of a file against what it is made for
"""
