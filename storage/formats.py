"""The formats of given pictures. No library is imported here, so that a broken manifest is checked quickly."""

FORMATS = {
    "PNG": ("png", "image/png"),
    "JPEG": ("jpg", "image/jpeg"),
    "WEBP": ("webp", "image/webp"),
    "TIFF": ("tiff", "image/tiff"),
    "BMP": ("bmp", "image/bmp"),
    "EXR": ("exr", "image/x-exr"),
}
"""Name of a format (Pillow's, and OpenEXR's) -> ending and media type."""
