/* Plugs toy-blk.c into vmmc: requests on stdin, replies on stdout, guest memory in a file that both sides map.
 * cc -O2 -o adapter adapter.c toy-blk.c && vmmc adapter ./adapter && vmmc check exec:./adapter
 * The suite writes each line in one way only, keys never repeat in a line, so looking for `"key":` is enough. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "toy-blk.h"

static char *line;
static struct toy_blk toy;

static const char *find(const char *key) { /* what stands after "key": and an opening quote */
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    return at ? at + strlen(quoted) + (at[strlen(quoted)] == '"') : NULL;
}
static uint64_t number(const char *key) {
    const char *at = find(key);
    return at ? strtoull(at, NULL, 0) : 0;
}
static void word(const char *key, char *into, size_t room) {
    const char *at = find(key);
    snprintf(into, room, "%.*s", at ? (int)strcspn(at, "\"") : 0, at ? at : "");
}
static int is(const char *key, const char *value) {
    const char *at = find(key);
    return at && strncmp(at, value, strlen(value)) == 0 && at[strlen(value)] == '"';
}
static void saw(const char *observations) { printf("\"saw\":[%s]", observations); }

static void reset(void) {
    char path[256];
    if (!is("bus", "none") || !is("device", "blk")) {
        printf("\"unsupported\":\"only a block device without a bus\"");
        return;
    }
    if (toy.memory) munmap(toy.memory, toy.memory_size);
    free(toy.disk);
    toy = (struct toy_blk){.memory_size = number("memory"), .sectors = number("sectors"), .queue_size_max = (uint32_t)number("queueSizeMax")};
    toy.read_only = strncmp(find("readOnly"), "true", 4) == 0;
    word("serial", toy.serial, sizeof toy.serial);
    word("file", path, sizeof path);
    int fd = open(path, O_RDWR);
    void *map = mmap(NULL, toy.memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    toy.memory = map == MAP_FAILED ? NULL : map;
    if (!toy.memory || !toy_build(&toy, number("offer"), (uint32_t)number("blockSize"))) printf("\"broke\":\"no memory\"");
    else printf("\"granted\":{\"virtio\":{\"offer\":\"0x%" PRIx64 "\",\"queueSizeMax\":%u,\"queues\":1}}", toy.offered, toy.queue_size_max);
}

static void apply(void) {
    uint64_t at = number("at"), width = number("width");
    if (is("do", "settle")) saw("{\"saw\":\"settled\",\"by\":\"sync\"}");
    else if (is("do", "virtio.status.read")) printf("\"saw\":[{\"saw\":\"virtio.status\",\"value\":%u}]", toy.status);
    else if (is("do", "virtio.status.write")) toy_status(&toy, (uint8_t)number("value")), saw("");
    else if (is("do", "virtio.features.read")) printf("\"saw\":[{\"saw\":\"virtio.features\",\"offered\":\"0x%" PRIx64 "\"}]", toy.offered);
    else if (is("do", "virtio.features.write")) toy_accept(&toy, number("accepted")), saw("");
    else if (is("do", "virtio.generation.read")) saw("{\"saw\":\"virtio.generation\",\"value\":0}");
    else if (is("do", "virtio.config.write")) saw(""); /* nothing there can be written */
    else if (is("do", "virtio.config.read") && at + width <= TOY_CONFIG) {
        printf("\"saw\":[{\"saw\":\"virtio.config\",\"at\":%u,\"bytes\":\"", (unsigned)at);
        for (uint64_t i = 0; i < width; i++) printf("%02x", toy.config[at + i]);
        printf("\"}]");
    } else if (is("do", "virtq.read")) {
        int exists = number("queue") == 0;
        printf("\"saw\":[{\"saw\":\"virtq.state\",\"queue\":%u,\"sizeMax\":%u,\"enabled\":%s}]", (unsigned)number("queue"),
               exists ? toy.queue_size_max : 0, exists && toy.enabled ? "true" : "false");
    } else if (is("do", "virtq.set") && number("queue") == 0 && !find("base")
               && toy_queue(&toy, (uint32_t)number("size"), number("desc"), number("avail"), number("used"))) saw("");
    else if (is("do", "virtq.notify")) {
        int raised = number("queue") == 0 ? toy_notify(&toy) : 0;
        printf("\"saw\":[%s%s%s]", raised & TOY_QUEUE_INTERRUPT ? "{\"saw\":\"interrupt\",\"from\":\"queue\",\"queue\":0}" : "",
               raised == (TOY_QUEUE_INTERRUPT | TOY_CONFIG_INTERRUPT) ? "," : "",
               raised & TOY_CONFIG_INTERRUPT ? "{\"saw\":\"interrupt\",\"from\":\"config\"}" : "");
    } else printf("\"unsupported\":\"the toy cannot do that\"");
}

int main(void) {
    for (size_t room = 0; getline(&line, &room, stdin) > 0 && !find("bye"); fflush(stdout)) {
        printf("{\"seq\":%" PRIu64 ",", number("seq"));
        if (find("hello"))
            printf("\"hello\":{\"protocol\":1,\"name\":\"toy-blk in C\",\"version\":\"1\",\"offers\":[\"memory.seen\",\"virtio.blk\","
                   "\"virtio.status\",\"virtio.generation\",\"virtio.interrupt.queue\",\"disk.seen\"]}");
        else if (find("reset")) reset();
        else if (find("apply")) apply();
        printf("}\n");
    }
    return 0;
}
