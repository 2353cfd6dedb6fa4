"""Colorize black-and-white photos, at their own size.

python colorize.py photo.jpg                   # writes photo-colorized.jpg beside it
python colorize.py scans/ -o color/            # folders, patterns and several photos
python colorize.py photo.jpg --point 412,230,#c0392b     # this color at this pixel
python colorize.py --serve                     # a page in the browser
python colorize.py --help                      # everything else

Once the package is installed, the command `pix2pix-colorize` is the same.
"""

from pix2pix.command import main
from pix2pix.errors import run_script

if __name__ == "__main__":
    run_script(main)
