/* Copyright: gpufleet.vllm contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "description.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024ULL * 1024ULL)
#define COPY(field, text) snprintf(field, sizeof field, "%s", text)

static const char *const call_names[CALLS] = {
    "handle", "name", "uuid", "pci_info", "memory", "compute_capability", "mig", "ecc", "power", "persistence",
    "processes", "nvlink", "topology", "utilization", "temperature",
};

static unsigned whole(const char *text) { return (unsigned)strtoul(text, NULL, 0); }
static unsigned long long mib(const char *text) { return strtoull(text, NULL, 0) * MIB; }
static int is(const char *key, const char *name) { return strcmp(key, name) == 0; }

static void set_host(struct description *host, const char *key, const char *value) {
    if (is(key, "driver_version")) COPY(host->driver_version, value);
    else if (is(key, "nvml_version")) COPY(host->nvml_version, value);
    else if (is(key, "cuda_version")) host->cuda_version = atoi(value);
    else if (is(key, "init_error")) host->init_error = atoi(value);
}

static void set_error(struct gpu *gpu, const char *key, const char *value) {
    for (int call = 0; call < CALLS; call++) {
        size_t length = strlen(call_names[call]);
        if (is(key, "error") || (strncmp(key, call_names[call], length) == 0 && is(key + length, "_error")))
            gpu->error[call] = atoi(value);
    }
}

static void set_gpu(struct gpu *gpu, const char *key, const char *value) {
    if (is(key, "name")) COPY(gpu->name, value);
    else if (is(key, "uuid")) COPY(gpu->uuid, value);
    else if (is(key, "bus_id")) COPY(gpu->bus_id, value);
    else if (is(key, "serial")) COPY(gpu->serial, value);
    else if (is(key, "pci_switch")) COPY(gpu->pci_switch, value);
    else if (is(key, "memory_mib")) gpu->memory = mib(value);
    else if (is(key, "reserved_mib")) gpu->reserved = mib(value);
    else if (is(key, "used_mib")) gpu->used = mib(value);
    else if (is(key, "compute_capability")) sscanf(value, "%d.%d", &gpu->major, &gpu->minor);
    else if (is(key, "mig")) gpu->mig_mode = gpu->mig_pending = atoi(value);
    else if (is(key, "mig_pending")) gpu->mig_pending = atoi(value);
    else if (is(key, "ecc")) gpu->ecc = atoi(value);
    else if (is(key, "persistence")) gpu->persistence = atoi(value);
    else if (is(key, "numa_node")) gpu->numa_node = atoi(value);
    else if (is(key, "pci_device_id")) gpu->pci_device = whole(value);
    else if (is(key, "pci_subsystem_id")) gpu->pci_subsystem = whole(value);
    else if (is(key, "power_limit_w")) gpu->power_limit_mw = 1000 * whole(value);
    else if (is(key, "power_w")) gpu->power_mw = 1000 * whole(value);
    else if (is(key, "temperature_c")) gpu->temperature = whole(value);
    else if (is(key, "busy_percent")) gpu->busy = whole(value);
    else set_error(gpu, key, value);
}

static void set_process(struct gpu *gpu, const char *key, const char *value) {
    struct process *process = &gpu->processes[gpu->process_count - 1];
    if (is(key, "pid")) process->pid = whole(value);
    else if (is(key, "name")) COPY(process->name, value);
    else if (is(key, "memory_mib")) process->memory = is(value, "unknown") ? ~0ULL : mib(value);
}

static void set_mig(struct gpu *gpu, const char *key, const char *value) {
    struct mig_device *device = &gpu->mig[gpu->mig_count - 1];
    if (is(key, "uuid")) COPY(device->uuid, value);
    else if (is(key, "memory_mib")) device->memory = mib(value);
    else if (is(key, "used_mib")) device->used = mib(value);
    else if (is(key, "gpu_instance")) device->gpu_instance = whole(value);
    else if (is(key, "compute_instance")) device->compute_instance = whole(value);
    else if (is(key, "slices")) device->slices = whole(value);
}

static void set_link(struct gpu *gpu, const char *key, const char *value) {
    struct nvlink *link = &gpu->links[gpu->link_count - 1];
    if (is(key, "link")) link->link = whole(value);
    else if (is(key, "active")) link->active = whole(value);
    else if (is(key, "to")) COPY(link->to, value);
}

static struct gpu *add_gpu(struct description *host) {
    if (host->gpu_count == MAX_GPUS) return NULL;
    unsigned index = host->gpu_count++;
    struct gpu *gpu = &host->gpus[index];
    gpu->mig_mode = gpu->mig_pending = gpu->ecc = NOT_SET;
    gpu->minor_number = index;
    snprintf(gpu->uuid, sizeof gpu->uuid, "GPU-00000000-0000-4000-8000-%012u", index);
    snprintf(gpu->bus_id, sizeof gpu->bus_id, "00000000:%02X:00.0", 16 * index + 17);
    return gpu;
}

typedef void (*setter)(struct gpu *, const char *, const char *);

/* A section this library does not know is somebody else's: its keys are skipped. */
static setter open_section(struct description *host, struct gpu **gpu, const char *name) {
    if (is(name, "gpu")) return (*gpu = add_gpu(host)) ? set_gpu : NULL;
    if (!*gpu) return NULL;
    if (is(name, "process") && (*gpu)->process_count < MAX_PROCESSES) return (*gpu)->process_count++, set_process;
    if (is(name, "mig") && (*gpu)->mig_count < MAX_MIG) return (*gpu)->mig_count++, set_mig;
    if (is(name, "nvlink") && (*gpu)->link_count < MAX_LINKS) {
        struct nvlink *link = &(*gpu)->links[(*gpu)->link_count++];
        link->link = (*gpu)->link_count - 1, link->active = 1;
        return set_link;
    }
    return NULL;
}

void description_read(struct description *to) {
    const char *path = getenv("FAKE_NVML_CONFIG");
    FILE *file = fopen(path && *path ? path : "/etc/gpufleet-lab/gpu.ini", "r");
    char line[256], key[64], value[160];
    struct gpu *gpu = NULL;
    setter set = NULL;
    int in_section = 0;

    memset(to, 0, sizeof *to);
    if (!file) return;
    to->found = 1;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, " [%63[a-z]]", key) == 1) in_section = 1, set = open_section(to, &gpu, key);
        else if (line[0] == '#' || sscanf(line, " %63[a-z_] = %159[^\r\n]", key, value) != 2) continue;
        else if (!in_section) set_host(to, key, value);
        else if (set) set(gpu, key, value);
    }
    fclose(file);
    if (!to->cuda_version) to->cuda_version = 13000;
    if (!to->nvml_version[0]) snprintf(to->nvml_version, sizeof to->nvml_version, "13.%.70s", to->driver_version);
}
