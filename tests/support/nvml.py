"""A library with the functions of NVML that Slipway calls, compiled from C, for machines without a driver."""

import shutil
import subprocess
from pathlib import Path

import pytest

#: Three GPUs: the first busy, the second idle, the third (a slice of one) tells its memory alone.
SOURCE = """
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned int busy; unsigned long long used; const char *uuid; } device_t;
static device_t devices[3] = {
    {90, 70000000000ULL, "GPU-aaaa"}, {10, 500000000ULL, "GPU-bbbb"}, {101, 1000000ULL, "MIG-cccc"}};
static int started = 0;
int nvmlInit_v2(void) { started = 1; return START; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 3; return started ? 0 : 1; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device_t **device) {
    if (!started || index > 2) return 2;
    *device = &devices[index];
    return 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, device_t **device) {
    for (int i = 0; i < 3; i++) if (!strcmp(uuid, devices[i].uuid)) { *device = &devices[i]; return 0; }
    return 6;
}
int nvmlDeviceGetUtilizationRates(device_t *device, utilization_t *rates) {
    if (device->busy > 100) return 3;
    rates->gpu = device->busy;
    rates->memory = 55;
    return 0;
}
int nvmlDeviceGetMemoryInfo(device_t *device, memory_t *memory) {
    memory->total = 150000000000ULL;
    memory->used = device->used;
    memory->free = memory->total - memory->used;
    return 0;
}
"""


def compiled(folder: Path, start: int = 0) -> str:
    """Compile the library, whose start gives this code; return its path, or skip without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: put cc or gcc on the PATH")
    (folder / "nvml.c").write_text(SOURCE)
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-DSTART={start}", "-o", library, folder / "nvml.c"], check=True
    )  # fmt: skip
    return str(library)
