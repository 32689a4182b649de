/* Copyright: gpufleet.vllm contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The simulated NVML, continued: MIG devices, topology and NVLink. */
#include "fake_nvml.h"

#include <string.h>

enum { TOPOLOGY_INTERNAL = 0, TOPOLOGY_SINGLE = 10, TOPOLOGY_NODE = 40, TOPOLOGY_SYSTEM = 50 };
enum { LINK_TO_GPU = 0, LINK_TO_SWITCH = 2 };

/* --- MIG --- */

int nvmlDeviceGetMigMode(device of, unsigned *now, unsigned *pending) {
    NEED_GPU(of, CALL_MIG);
    if (gpu->mig_mode == NOT_SET) return NOT_SUPPORTED;
    *now = (unsigned)gpu->mig_mode, *pending = (unsigned)gpu->mig_pending;
    return OK;
}
int nvmlDeviceIsMigDeviceHandle(device of, unsigned *to) { NEED_GPU(of, CALL_HANDLE); (void)gpu; *to = of->mig > 0; return OK; }
int nvmlDeviceGetMaxMigDeviceCount(device of, unsigned *to) {
    NEED_GPU(of, CALL_MIG);
    *to = gpu->mig_mode == NOT_SET ? 0 : MAX_MIG;
    return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(device of, unsigned index, device *to) {
    NEED_GPU(of, CALL_MIG);
    if (gpu->mig_mode == NOT_SET) return NOT_SUPPORTED;
    if (index >= MAX_MIG) return INVALID;
    if (gpu->mig_mode != 1 || index >= gpu->mig_count) return NOT_FOUND;
    *to = lab_handle_of(of->gpu, index + 1);
    return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device of, device *to) {
    NEED_GPU(of, CALL_MIG);
    (void)gpu;
    *to = lab_handle_of(of->gpu, 0);
    return of->mig ? OK : INVALID;
}
int nvmlDeviceGetGpuInstanceId(device of, unsigned *to) {
    NEED_GPU(of, CALL_MIG);
    if (!of->mig) return NOT_SUPPORTED;
    *to = lab_mig_of(gpu, of)->gpu_instance;
    return OK;
}
int nvmlDeviceGetComputeInstanceId(device of, unsigned *to) {
    NEED_GPU(of, CALL_MIG);
    if (!of->mig) return NOT_SUPPORTED;
    *to = lab_mig_of(gpu, of)->compute_instance;
    return OK;
}
struct attributes {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    unsigned long long memory_mib;
};
int nvmlDeviceGetAttributes_v2(device of, struct attributes *to) {
    NEED_GPU(of, CALL_MIG);
    if (!of->mig) return NOT_SUPPORTED;
    struct mig_device *mig = lab_mig_of(gpu, of);
    *to = (struct attributes){.gpu_slices = mig->slices, .compute_slices = mig->slices, .memory_mib = mig->memory >> 20};
    return OK;
}

/* --- what lies between GPUs --- */

int nvmlDeviceGetTopologyCommonAncestor(device a, device b, int *to) {
    NEED_GPU(a, CALL_TOPOLOGY);
    if (!lab_is_handle(b) || b->gpu >= lab_host.gpu_count) return INVALID;
    const struct gpu *other = &lab_host.gpus[b->gpu];
    if (gpu == other) *to = TOPOLOGY_INTERNAL;
    else if (gpu->pci_switch[0] && !strcmp(gpu->pci_switch, other->pci_switch)) *to = TOPOLOGY_SINGLE;
    else *to = gpu->numa_node == other->numa_node ? TOPOLOGY_NODE : TOPOLOGY_SYSTEM;
    return OK;
}

static int link_of(const struct gpu *gpu, unsigned number, const struct nvlink **to) {
    for (unsigned i = 0; i < gpu->link_count; i++)
        if (gpu->links[i].link == number) return *to = &gpu->links[i], OK;
    return number < MAX_LINKS ? NOT_SUPPORTED : INVALID;
}
#define NEED_LINK(of, number) NEED_GPU(of, CALL_NVLINK); const struct nvlink *link; \
    do { int rc_ = link_of(gpu, number, &link); if (rc_ != OK) return rc_; } while (0)

int nvmlDeviceGetNvLinkState(device of, unsigned number, unsigned *to) { NEED_LINK(of, number); *to = link->active; return OK; }
int nvmlDeviceGetNvLinkRemotePciInfo_v2(device of, unsigned number, struct pci_info *to) {
    NEED_LINK(of, number);
    lab_fill_pci(to, link->to);
    return OK;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(device of, unsigned number, unsigned *to) {
    NEED_LINK(of, number);
    *to = LINK_TO_SWITCH;
    for (unsigned i = 0; i < lab_host.gpu_count; i++)
        if (lab_same_slot(link->to, lab_host.gpus[i].bus_id)) *to = LINK_TO_GPU;
    return OK;
}
