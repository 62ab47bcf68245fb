/* A small, honest virtio block device over one split ring: features, configuration, one queue, no bus.
 * Facts: VIRTIO 1.4, Split Virtqueues; Block Device. It knows nothing of the protocol that adapter.c speaks. */
#ifndef TOY_BLK_H
#define TOY_BLK_H
#include <stddef.h>
#include <stdint.h>

enum { TOY_QUEUE_MAX = 256, TOY_CONFIG = 60 };

struct toy_blk {
    /* what it is */
    uint8_t *memory; /* guest memory, from guest-physical address 0 */
    uint64_t memory_size;
    uint8_t *disk;
    uint64_t sectors; /* of 512 bytes */
    int read_only;
    char serial[21];
    uint64_t offered;
    uint32_t queue_size_max;
    uint8_t config[TOY_CONFIG];
    /* what the driver made of it; forgotten by a reset */
    uint64_t accepted;
    uint8_t status;
    int enabled;
    uint32_t size;
    uint64_t desc, avail, used;
    uint16_t next_avail, next_used;
};

/* Interrupts that a call raised. */
enum { TOY_QUEUE_INTERRUPT = 1, TOY_CONFIG_INTERRUPT = 2 };

/* Fills in the offered features (VIRTIO_F_VERSION_1, and those of `wish` that it knows), the configuration space and the disk. 0 when there is no memory for it. */
int toy_build(struct toy_blk *toy, uint64_t wish, uint32_t block_size);
void toy_status(struct toy_blk *toy, uint8_t value);
void toy_accept(struct toy_blk *toy, uint64_t features);
/* 0 when the queue cannot be like that. */
int toy_queue(struct toy_blk *toy, uint32_t size, uint64_t desc, uint64_t avail, uint64_t used);
/* Serves everything that is available; returns the interrupts. */
int toy_notify(struct toy_blk *toy);
#endif
