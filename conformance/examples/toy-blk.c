/* The device of toy-blk.h. Everything the driver wrote is checked before it is followed; a ring that cannot be followed
 * sets DEVICE_NEEDS_RESET, a request that cannot be served gets a status. */
#include "toy-blk.h"

#include <stdlib.h>
#include <string.h>

enum { DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };                  /* Device Status Field */
enum { DESC_NEXT = 1, DESC_WRITE = 2 };                                     /* The Virtqueue Descriptor Table */
enum { AVAIL_NO_INTERRUPT = 1 };                                            /* The Virtqueue Available Ring */
enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8 };            /* Block Device, Device Operation */
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };
#define F_RO (1ull << 5)
#define F_BLK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)
#define F_VERSION_1 (1ull << 32)

static uint64_t get(const uint8_t *at, int width) {
    uint64_t value = 0;
    while (width-- > 0) value = value << 8 | at[width];
    return value;
}
static void put(uint8_t *at, uint64_t value, int width) {
    for (int i = 0; i < width; i++) at[i] = (uint8_t)(value >> 8 * i);
}
static uint8_t *guest(struct toy_blk *toy, uint64_t at, uint64_t length) {
    return at <= toy->memory_size && length <= toy->memory_size - at ? toy->memory + at : NULL;
}

int toy_build(struct toy_blk *toy, uint64_t wish, uint32_t block_size) {
    toy->offered = F_VERSION_1 | (wish & (F_FLUSH | F_BLK_SIZE)); /* Reserved Feature Bits: a device offers VERSION_1 */
    if (toy->read_only) toy->offered |= F_RO;
    if (toy->queue_size_max > TOY_QUEUE_MAX) toy->queue_size_max = TOY_QUEUE_MAX;
    memset(toy->config, 0, sizeof toy->config);
    put(toy->config, toy->sectors, 8);
    if (toy->offered & F_BLK_SIZE) put(toy->config + 20, block_size, 4);
    toy->disk = toy->sectors > SIZE_MAX / 512 ? NULL : malloc(toy->sectors * 512 + 1);
    for (uint64_t i = 0; toy->disk && i < toy->sectors * 256; i++) put(toy->disk + 2 * i, i, 2);
    toy_status(toy, 0);
    return toy->disk != NULL;
}

void toy_status(struct toy_blk *toy, uint8_t value) {
    if (value == 0) { /* reset */
        toy->accepted = toy->desc = toy->avail = toy->used = 0;
        toy->status = 0;
        toy->enabled = toy->size = toy->next_avail = toy->next_used = 0;
        return;
    }
    int agreed = (toy->accepted & ~toy->offered) == 0 && (toy->accepted & F_VERSION_1);
    if ((value & FEATURES_OK) && !(toy->status & FEATURES_OK) && !agreed) value &= (uint8_t)~(FEATURES_OK | DRIVER_OK);
    toy->status = value | (toy->status & NEEDS_RESET);
}

void toy_accept(struct toy_blk *toy, uint64_t features) {
    if (!(toy->status & FEATURES_OK)) toy->accepted = features;
}

int toy_queue(struct toy_blk *toy, uint32_t size, uint64_t desc, uint64_t avail, uint64_t used) {
    if (size == 0 || size > toy->queue_size_max || (size & (size - 1))) return 0;
    toy->enabled = 1;
    toy->size = size;
    toy->desc = desc;
    toy->avail = avail;
    toy->used = used;
    toy->next_avail = toy->next_used = 0;
    return 1;
}

struct piece {
    uint8_t *at;
    uint32_t length;
};
struct chain { /* readable pieces first, then writable ones */
    struct piece piece[TOY_QUEUE_MAX];
    uint32_t pieces, readables;
    uint64_t readable, writable; /* bytes */
};

/* 0 when the chain cannot be followed. */
static int follow(struct toy_blk *toy, const uint8_t *table, uint16_t head, struct chain *chain) {
    chain->pieces = chain->readables = 0;
    chain->readable = chain->writable = 0;
    for (uint32_t index = head;;) {
        if (index >= toy->size || chain->pieces == toy->size) return 0;
        const uint8_t *desc = table + 16 * index;
        uint32_t length = (uint32_t)get(desc + 8, 4), flags = (uint32_t)get(desc + 12, 2);
        uint8_t *at = guest(toy, get(desc, 8), length);
        if (!at || (flags & ~(uint32_t)(DESC_NEXT | DESC_WRITE))) return 0;
        chain->piece[chain->pieces++] = (struct piece){at, length};
        if (flags & DESC_WRITE) {
            chain->writable += length;
        } else {
            if (chain->writable) return 0; /* readable after writable */
            chain->readable += length;
            chain->readables = chain->pieces;
        }
        if (!(flags & DESC_NEXT)) return 1;
        index = (uint32_t)get(desc + 14, 2);
    }
}

/* Copies between `bytes` and the readable (or writable) bytes of the chain, starting `skip` bytes into them. */
static void copy(struct chain *chain, int writable, uint64_t skip, uint8_t *bytes, uint64_t length) {
    for (uint32_t i = writable ? chain->readables : 0; length > 0 && i < chain->pieces; i++) {
        struct piece piece = chain->piece[i];
        if (skip >= piece.length) {
            skip -= piece.length;
            continue;
        }
        uint64_t n = piece.length - skip < length ? piece.length - skip : length;
        if (writable) memcpy(piece.at + skip, bytes, n);
        else memcpy(bytes, piece.at + skip, n);
        bytes += n;
        length -= n;
        skip = 0;
    }
}

/* Does the request; returns how many bytes from the first writable one on were written, which is what `len` promises. */
static uint32_t serve(struct toy_blk *toy, struct chain *chain) {
    uint8_t header[16], status = BLK_IOERR;
    uint64_t room = chain->writable - 1, written = 0; /* the last writable byte is the status */
    if (chain->readable >= sizeof header) {
        copy(chain, 0, 0, header, sizeof header);
        uint32_t type = (uint32_t)get(header, 4);
        uint64_t sector = get(header + 8, 8), length = type == BLK_OUT ? chain->readable - sizeof header : room;
        int fits = length % 512 == 0 && sector <= toy->sectors && length / 512 <= toy->sectors - sector;
        if (type == BLK_IN && fits) {
            copy(chain, 1, 0, toy->disk + sector * 512, length);
            written = length;
            status = BLK_OK;
        } else if (type == BLK_OUT && fits && !toy->read_only) {
            copy(chain, 0, sizeof header, toy->disk + sector * 512, length);
            status = BLK_OK;
        } else if (type == BLK_GET_ID) {
            written = room < 20 ? room : 20;
            copy(chain, 1, 0, (uint8_t *)toy->serial, written);
            status = BLK_OK;
        } else if (type == BLK_FLUSH && (toy->accepted & F_FLUSH)) {
            status = BLK_OK; /* the disk is memory: nothing is volatile */
        } else if (type != BLK_IN && type != BLK_OUT) {
            status = BLK_UNSUPP;
        }
    }
    copy(chain, 1, room, &status, 1);
    return (uint32_t)(written == room ? room + 1 : written);
}

static int give_up(struct toy_blk *toy) {
    toy->status |= NEEDS_RESET;
    return TOY_CONFIG_INTERRUPT;
}

int toy_notify(struct toy_blk *toy) {
    const int live = DRIVER_OK | FEATURES_OK;
    if (!toy->enabled || (toy->status & (live | NEEDS_RESET)) != live) return 0;
    const uint8_t *desc = guest(toy, toy->desc, 16ull * toy->size), *avail = guest(toy, toy->avail, 4 + 2ull * toy->size);
    uint8_t *used = guest(toy, toy->used, 4 + 8ull * toy->size);
    if (!desc || !avail || !used) return give_up(toy);
    int served = 0;
    uint16_t end = (uint16_t)get(avail + 2, 2);
    if ((uint16_t)(end - toy->next_avail) > toy->size) return give_up(toy);
    while (toy->next_avail != end) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the entry is read after the index that published it */
        struct chain chain;
        uint16_t head = (uint16_t)get(avail + 4 + 2 * (toy->next_avail % toy->size), 2);
        if (!follow(toy, desc, head, &chain) || chain.writable == 0) {
            int interrupt = give_up(toy);
            return served && !(get(avail, 2) & AVAIL_NO_INTERRUPT) ? interrupt | TOY_QUEUE_INTERRUPT : interrupt;
        }
        uint32_t length = serve(toy, &chain);
        uint8_t *element = used + 4 + 8 * (toy->next_used % toy->size);
        put(element, head, 4);
        put(element + 4, length, 4);
        __atomic_thread_fence(__ATOMIC_RELEASE); /* the index publishes the element */
        put(used + 2, ++toy->next_used, 2);
        toy->next_avail++;
        served = 1;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the flags are read after the index is seen */
    return served && !(get(avail, 2) & AVAIL_NO_INTERRUPT) ? TOY_QUEUE_INTERRUPT : 0;
}
