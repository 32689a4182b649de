/* Copyright: gpufleet.vllm contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The description of a host's GPUs, as the simulated NVML reads it. Sizes are bytes here, MiB in the file. */
#ifndef GPUFLEET_LAB_DESCRIPTION_H
#define GPUFLEET_LAB_DESCRIPTION_H

enum { MAX_GPUS = 16, MAX_PROCESSES = 16, MAX_MIG = 7, MAX_LINKS = 18, NOT_SET = -1 };

/* What a description can make fail for one GPU: "<call>_error = N". */
enum call {
    CALL_HANDLE, CALL_NAME, CALL_UUID, CALL_PCI_INFO, CALL_MEMORY, CALL_COMPUTE_CAPABILITY, CALL_MIG, CALL_ECC,
    CALL_POWER, CALL_PERSISTENCE, CALL_PROCESSES, CALL_NVLINK, CALL_TOPOLOGY, CALL_UTILIZATION, CALL_TEMPERATURE, CALLS
};

struct process { unsigned pid; unsigned long long memory; char name[64]; };
struct mig_device { char uuid[96]; unsigned long long memory, used; unsigned gpu_instance, compute_instance, slices; };
struct nvlink { unsigned link, active; char to[32]; };

struct gpu {
    char name[96], uuid[96], bus_id[32], serial[32], pci_switch[32];
    unsigned long long memory, reserved, used;
    int major, minor, mig_mode, mig_pending, ecc, persistence, numa_node;
    unsigned pci_device, pci_subsystem, minor_number, power_mw, power_limit_mw, temperature, busy;
    int error[CALLS];
    unsigned process_count, mig_count, link_count;
    struct process processes[MAX_PROCESSES];
    struct mig_device mig[MAX_MIG];
    struct nvlink links[MAX_LINKS];
};

struct description {
    int found, init_error, cuda_version;
    char driver_version[80], nvml_version[80];
    unsigned gpu_count;
    struct gpu gpus[MAX_GPUS];
};

/* Reads $FAKE_NVML_CONFIG, else /etc/gpufleet-lab/gpu.ini; found stays 0 where there is no file. */
void description_read(struct description *to);

#endif
