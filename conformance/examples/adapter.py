#!/usr/bin/env python3
"""Plugs toy_blk.py into vmmc: requests on stdin, replies on stdout, guest memory in a file that both sides map.

vmmc adapter 'python3 adapter.py' && vmmc check 'exec:python3 adapter.py'
"""
import json
import mmap
import os
import sys

from toy_blk import ToyBlk

HELLO = {
    "protocol": 1,
    "name": "toy-blk in Python",
    "version": "1",
    "offers": ["memory.seen", "virtio.blk", "virtio.status", "virtio.generation", "virtio.interrupt.queue", "disk.seen"],
}


def number(hexadecimal):
    return int(hexadecimal, 16)


def reset(machine, file):
    """A fresh device on fresh memory, and the reply."""
    virtio = machine.get("virtio")
    if machine["bus"] != "none" or virtio is None or virtio["device"] != "blk":
        return None, {"unsupported": "only a block device without a bus"}
    fd = os.open(file, os.O_RDWR)
    memory = mmap.mmap(fd, machine["memory"])
    os.close(fd)
    blk = virtio["blk"]
    offer, largest = number(virtio["offer"]), virtio["queueSizeMax"]
    device = ToyBlk(memory, offer, largest, blk["sectors"], blk["readOnly"], blk["blockSize"], blk["serial"])
    facts = {"offer": hex(device.offered), "queueSizeMax": device.queue_size_max, "queues": 1}
    return device, {"granted": {"virtio": facts}}


def apply(device, stimulus):
    """What was seen, or None for what the toy cannot do."""
    do, queue = stimulus["do"], stimulus.get("queue")
    if do == "settle":
        return [{"saw": "settled", "by": "sync"}]
    if do == "virtio.status.write":
        device.write_status(stimulus["value"] & 0xFF)
        return []
    if do == "virtio.status.read":
        return [{"saw": "virtio.status", "value": device.status}]
    if do == "virtio.features.read":
        return [{"saw": "virtio.features", "offered": hex(device.offered)}]
    if do == "virtio.features.write":
        device.accept(number(stimulus["accepted"]))
        return []
    if do == "virtio.generation.read":
        return [{"saw": "virtio.generation", "value": 0}]
    if do == "virtio.config.write":
        return []  # nothing there can be written
    if do == "virtio.config.read":
        at, end = stimulus["at"], stimulus["at"] + stimulus["width"]
        return [{"saw": "virtio.config", "at": at, "bytes": device.config[at:end].hex()}] if end <= len(device.config) else None
    if do == "virtq.read":
        exists = queue == 0
        largest = device.queue_size_max if exists else 0
        return [{"saw": "virtq.state", "queue": queue, "sizeMax": largest, "enabled": exists and device.enabled}]
    if do == "virtq.set" and queue == 0 and "base" not in stimulus:
        rings = (number(stimulus[ring]) for ring in ("desc", "avail", "used"))
        return [] if device.set_queue(stimulus["size"], *rings) else None
    if do == "virtq.notify":
        raised = device.notify() if queue == 0 else []
        return [{"saw": "interrupt", "from": "queue", "queue": 0} if by == "queue" else {"saw": "interrupt", "from": by} for by in raised]
    return None


def main():
    device = None
    for line in sys.stdin:
        request = json.loads(line)
        if "bye" in request:
            return
        if "hello" in request:
            reply = {"hello": HELLO}
        elif "reset" in request:
            device, reply = reset(request["reset"], request["file"])
        else:
            saw = apply(device, request["apply"])
            reply = {"unsupported": "the toy cannot do that"} if saw is None else {"saw": saw}
        print(json.dumps({"seq": request["seq"], **reply}), flush=True)


main()
