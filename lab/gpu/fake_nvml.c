/* Copyright: gpufleet.vllm contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A stand-in for libnvidia-ml.so.1, for hosts without a GPU. It answers what the host's description says, and reads the
 * description anew at every call, so that a test can change the hardware under a running program.
 * Layouts and codes: nvml.h of CUDA 13. */
#include "fake_nvml.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static struct handle handles[MAX_GPUS][MAX_MIG + 1];
static unsigned users;
struct description lab_host;

device lab_handle_of(unsigned gpu, unsigned mig) {
    handles[gpu][mig] = (struct handle){(unsigned char)gpu, (unsigned char)mig};
    return &handles[gpu][mig];
}

int lab_is_handle(device of) {
    return of >= &handles[0][0] && of <= &handles[MAX_GPUS - 1][MAX_MIG];
}

int lab_refresh(void) {
    if (!users) return UNINITIALIZED;
    description_read(&lab_host);
    return OK;
}

int lab_look_up(device of, enum call call, struct gpu **gpu) {
    int rc = lab_refresh();
    if (rc != OK) return rc;
    if (!lab_is_handle(of) || of->gpu >= lab_host.gpu_count) return INVALID;
    *gpu = &lab_host.gpus[of->gpu];
    if (of->mig > (*gpu)->mig_count) return INVALID;
    return (*gpu)->error[call];
}

struct mig_device *lab_mig_of(const struct gpu *gpu, device of) {
    return of->mig ? (struct mig_device *)&gpu->mig[of->mig - 1] : NULL;
}

static int answer(const char *text, char *to, unsigned room) {
    if (!to) return INVALID;
    if (strlen(text) + 1 > room) return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return OK;
}

/* --- library and host --- */

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    description_read(&lab_host);
    if (lab_host.init_error) return lab_host.init_error;
    if (!lab_host.found || !lab_host.driver_version[0]) return DRIVER_NOT_LOADED;
    users++;
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) {
    if (!users) return UNINITIALIZED;
    users--;
    return OK;
}

const char *nvmlErrorString(int rc) {
    switch (rc) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 16: return "GPU requires reset";
    case 18: return "Driver/library version mismatch";
    case VERSION_MISMATCH: return "Argument version mismatch";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *to, unsigned room) { NEED_HOST(); return answer(lab_host.driver_version, to, room); }
int nvmlSystemGetNVMLVersion(char *to, unsigned room) { NEED_HOST(); return answer(lab_host.nvml_version, to, room); }
int nvmlSystemGetCudaDriverVersion(int *to) { NEED_HOST(); *to = lab_host.cuda_version; return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *to) { return nvmlSystemGetCudaDriverVersion(to); }
int nvmlSystemGetProcessName(unsigned pid, char *to, unsigned room) {
    NEED_HOST();
    for (unsigned i = 0; i < lab_host.gpu_count; i++)
        for (unsigned n = 0; n < lab_host.gpus[i].process_count; n++)
            if (lab_host.gpus[i].processes[n].pid == pid) return answer(lab_host.gpus[i].processes[n].name, to, room);
    return NOT_FOUND;
}

/* --- handles --- */

int nvmlDeviceGetCount_v2(unsigned *to) { NEED_HOST(); *to = lab_host.gpu_count; return OK; }
int nvmlDeviceGetCount(unsigned *to) { return nvmlDeviceGetCount_v2(to); }

static int give_handle(unsigned gpu, unsigned mig, device *to) {
    *to = lab_handle_of(gpu, mig);
    return lab_host.gpus[gpu].error[CALL_HANDLE];
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *to) {
    NEED_HOST();
    return index < lab_host.gpu_count ? give_handle(index, 0, to) : INVALID;
}
int nvmlDeviceGetHandleByIndex(unsigned index, device *to) { return nvmlDeviceGetHandleByIndex_v2(index, to); }
int nvmlDeviceGetHandleByUUID(const char *uuid, device *to) {
    NEED_HOST();
    for (unsigned i = 0; i < lab_host.gpu_count; i++) {
        if (!strcasecmp(uuid, lab_host.gpus[i].uuid)) return give_handle(i, 0, to);
        for (unsigned n = 0; n < lab_host.gpus[i].mig_count; n++)
            if (!strcasecmp(uuid, lab_host.gpus[i].mig[n].uuid)) return give_handle(i, n + 1, to);
    }
    return NOT_FOUND;
}

/* NVML writes a domain of eight digits, sysfs one of four: compare from the end. */
int lab_same_slot(const char *a, const char *b) {
    size_t la = strlen(a), lb = strlen(b), n = la < lb ? la : lb;
    return n && !strcasecmp(a + la - n, b + lb - n);
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device *to) {
    NEED_HOST();
    for (unsigned i = 0; i < lab_host.gpu_count; i++)
        if (lab_same_slot(bus_id, lab_host.gpus[i].bus_id)) return give_handle(i, 0, to);
    return NOT_FOUND;
}

/* --- one GPU --- */

int nvmlDeviceGetIndex(device of, unsigned *to) { NEED_GPU(of, CALL_HANDLE); (void)gpu; *to = of->gpu; return OK; }
int nvmlDeviceGetMinorNumber(device of, unsigned *to) { NEED_GPU(of, CALL_HANDLE); *to = gpu->minor_number; return OK; }
int nvmlDeviceGetName(device of, char *to, unsigned room) { NEED_GPU(of, CALL_NAME); return answer(gpu->name, to, room); }
int nvmlDeviceGetUUID(device of, char *to, unsigned room) {
    NEED_GPU(of, CALL_UUID);
    return answer(of->mig ? lab_mig_of(gpu, of)->uuid : gpu->uuid, to, room);
}
int nvmlDeviceGetSerial(device of, char *to, unsigned room) {
    NEED_GPU(of, CALL_NAME);
    return gpu->serial[0] ? answer(gpu->serial, to, room) : NOT_SUPPORTED;
}

struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
static struct memory_v2 memory_of(const struct gpu *gpu, device of) {
    struct mig_device *mig = lab_mig_of(gpu, of);
    struct memory_v2 is = {.total = mig ? mig->memory : gpu->memory, .reserved = mig ? 0 : gpu->reserved,
                           .used = mig ? mig->used : gpu->used};
    is.free = is.total - is.reserved - is.used;
    return is;
}
int nvmlDeviceGetMemoryInfo(device of, struct memory *to) {
    NEED_GPU(of, CALL_MEMORY);
    struct memory_v2 is = memory_of(gpu, of);
    *to = (struct memory){is.total, is.free, is.used + is.reserved};
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(device of, struct memory_v2 *to) {
    NEED_GPU(of, CALL_MEMORY);
    unsigned version = to->version;
    if (version != (sizeof *to | 2u << 24)) return VERSION_MISMATCH;
    *to = memory_of(gpu, of);
    to->version = version;
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(device of, int *major, int *minor) {
    NEED_GPU(of, CALL_COMPUTE_CAPABILITY);
    *major = gpu->major, *minor = gpu->minor;
    return OK;
}
int nvmlDeviceGetEccMode(device of, unsigned *now, unsigned *pending) {
    NEED_GPU(of, CALL_ECC);
    if (gpu->ecc == NOT_SET) return NOT_SUPPORTED;
    *now = *pending = (unsigned)gpu->ecc;
    return OK;
}
int nvmlDeviceGetPersistenceMode(device of, unsigned *to) {
    NEED_GPU(of, CALL_PERSISTENCE);
    *to = (unsigned)gpu->persistence;
    return OK;
}
int nvmlDeviceGetPowerUsage(device of, unsigned *to) { NEED_GPU(of, CALL_POWER); *to = gpu->power_mw; return OK; }
int nvmlDeviceGetPowerManagementLimit(device of, unsigned *to) {
    NEED_GPU(of, CALL_POWER);
    *to = gpu->power_limit_mw;
    return gpu->power_limit_mw ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetEnforcedPowerLimit(device of, unsigned *to) { return nvmlDeviceGetPowerManagementLimit(of, to); }
int nvmlDeviceGetTemperature(device of, int sensor, unsigned *to) {
    NEED_GPU(of, CALL_TEMPERATURE);
    (void)sensor;
    *to = gpu->temperature;
    return OK;
}
struct utilization { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(device of, struct utilization *to) {
    NEED_GPU(of, CALL_UTILIZATION);
    to->gpu = to->memory = gpu->busy;
    return OK;
}

void lab_fill_pci(struct pci_info *to, const char *bus_id) {
    memset(to, 0, sizeof *to);
    sscanf(bus_id, "%x:%x:%x", &to->domain, &to->bus, &to->device);
    unsigned domain = to->domain & 0xffff, bus = to->bus & 0xff, slot = to->device & 0xff;
    snprintf(to->legacy, sizeof to->legacy, "%04X:%02X:%02X.0", domain, bus, slot);
    snprintf(to->bus_id, sizeof to->bus_id, "%08X:%02X:%02X.0", to->domain, bus, slot);
}
int nvmlDeviceGetPciInfo_v3(device of, struct pci_info *to) {
    NEED_GPU(of, CALL_PCI_INFO);
    lab_fill_pci(to, gpu->bus_id);
    to->id = gpu->pci_device, to->subsystem = gpu->pci_subsystem;
    return OK;
}

struct process_info { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; };
int nvmlDeviceGetComputeRunningProcesses_v3(device of, unsigned *count, struct process_info *to) {
    NEED_GPU(of, CALL_PROCESSES);
    unsigned room = *count;
    *count = gpu->process_count;
    if (!gpu->process_count) return OK;
    if (!to || room < gpu->process_count) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < gpu->process_count; i++)
        to[i] = (struct process_info){gpu->processes[i].pid, gpu->processes[i].memory, ~0u, ~0u};
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v2(device of, unsigned *count, struct process_info *to) {
    return nvmlDeviceGetComputeRunningProcesses_v3(of, count, to);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(device of, unsigned *count, struct process_info *to) {
    NEED_GPU(of, CALL_PROCESSES);
    (void)gpu, (void)to;
    *count = 0;
    return OK;
}
