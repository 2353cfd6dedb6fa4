"""From a photo file, or a Pillow image, to upright pixels: sRGB, or lightness with everything that is known of it."""
