/* Copyright: gpufleet.vllm contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files of the simulated NVML share: handles, the current description, and how a call finds its GPU. */
#ifndef GPUFLEET_LAB_FAKE_NVML_H
#define GPUFLEET_LAB_FAKE_NVML_H

#include "description.h"

enum {
    OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9,
    VERSION_MISMATCH = 25
};

/* A handle must outlive a change of the description, so it points to a place, not to what was read. */
typedef const struct handle { unsigned char gpu, mig; } *device; /* mig: 0 is the GPU itself, n its nth MIG device */
struct pci_info { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };

extern struct description lab_host;

device lab_handle_of(unsigned gpu, unsigned mig);
int lab_is_handle(device of);
int lab_refresh(void);
int lab_look_up(device of, enum call call, struct gpu **gpu);
struct mig_device *lab_mig_of(const struct gpu *gpu, device of);
int lab_same_slot(const char *a, const char *b);
void lab_fill_pci(struct pci_info *to, const char *bus_id);

#define NEED_HOST() do { int rc_ = lab_refresh(); if (rc_ != OK) return rc_; } while (0)
#define NEED_GPU(of, call) struct gpu *gpu; do { int rc_ = lab_look_up(of, call, &gpu); if (rc_ != OK) return rc_; } while (0)

#endif
