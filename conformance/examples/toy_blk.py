"""A small, honest virtio block device over one split ring: features, configuration, one queue, no bus.

Facts: VIRTIO 1.4, Split Virtqueues; Block Device. It knows nothing of the protocol that adapter.py speaks.
"""
import struct

DRIVER_OK, FEATURES_OK, NEEDS_RESET = 4, 8, 64  # Device Status Field
DESC_NEXT, DESC_WRITE = 1, 2  # The Virtqueue Descriptor Table
AVAIL_NO_INTERRUPT = 1  # The Virtqueue Available Ring
F_RO, F_BLK_SIZE, F_FLUSH, F_VERSION_1 = 1 << 5, 1 << 6, 1 << 9, 1 << 32
BLK_IN, BLK_OUT, BLK_FLUSH, BLK_GET_ID = 0, 1, 4, 8  # Block Device, Device Operation
BLK_OK, BLK_IOERR, BLK_UNSUPP = b"\0", b"\1", b"\2"
QUEUE_MAX = 256


class Unfollowable(Exception):
    """The ring holds something that cannot be followed."""


class ToyBlk:
    def __init__(self, memory, wish, queue_size_max, sectors, read_only, block_size, serial):
        self.memory, self.sectors, self.read_only = memory, sectors, read_only
        self.serial = serial.encode("ascii").ljust(20, b"\0")
        self.offered = F_VERSION_1 | (wish & (F_FLUSH | F_BLK_SIZE)) | (F_RO if read_only else 0)
        self.queue_size_max = min(queue_size_max, QUEUE_MAX)
        self.disk = bytearray(b"".join(struct.pack("<H", i & 0xFFFF) for i in range(sectors * 256)))
        self.config = struct.pack("<Q12xI36x", sectors, block_size if self.offered & F_BLK_SIZE else 0)
        self.reset()

    def reset(self):
        self.status = self.accepted = self.size = self.next_avail = self.next_used = 0
        self.desc = self.avail = self.used = 0
        self.enabled = False

    def write_status(self, value):
        if value == 0:
            return self.reset()
        agreed = not self.accepted & ~self.offered and self.accepted & F_VERSION_1
        if value & FEATURES_OK and not self.status & FEATURES_OK and not agreed:
            value &= ~(FEATURES_OK | DRIVER_OK)
        self.status = value | (self.status & NEEDS_RESET)

    def accept(self, features):
        if not self.status & FEATURES_OK:
            self.accepted = features

    def set_queue(self, size, desc, avail, used):
        """False when the queue cannot be like that."""
        if not 0 < size <= self.queue_size_max or size & (size - 1):
            return False
        self.size, self.desc, self.avail, self.used = size, desc, avail, used
        self.next_avail = self.next_used = 0
        self.enabled = True
        return True

    def load(self, layout, at):
        self.inside(at, struct.calcsize(layout))
        return struct.unpack_from(layout, self.memory, at)

    def inside(self, at, length):
        if at + length > len(self.memory):
            raise Unfollowable("outside guest memory")

    def follow(self, head):
        """The readable and the writable pieces of a chain: lists of (address, length)."""
        readable, writable, index = [], [], head
        for _ in range(self.size):
            if index >= self.size:
                raise Unfollowable("no such descriptor")
            at, length, flags, following = self.load("<QIHH", self.desc + 16 * index)
            self.inside(at, length)
            if flags & ~(DESC_NEXT | DESC_WRITE) or (writable and not flags & DESC_WRITE):
                raise Unfollowable("flags")
            (writable if flags & DESC_WRITE else readable).append((at, length))
            if not flags & DESC_NEXT:
                return readable, writable
            index = following
        raise Unfollowable("longer than the queue")

    def scatter(self, pieces, data):
        for at, length in pieces:
            part, data = data[:length], data[length:]
            self.memory[at : at + len(part)] = bytes(part)

    def serve(self, readable, writable):
        """Does the request; returns how many bytes from the first writable one on were written, which is what `len` promises."""
        given = b"".join(self.memory[at : at + length] for at, length in readable)
        room = sum(length for _, length in writable) - 1  # the last writable byte is the status
        status, data = BLK_IOERR, b""
        if len(given) >= 16:
            kind, sector = struct.unpack_from("<I4xQ", given)
            length = len(given) - 16 if kind == BLK_OUT else room
            fits, start = length % 512 == 0 and sector + length // 512 <= self.sectors, sector * 512
            if kind == BLK_IN and fits:
                status, data = BLK_OK, self.disk[start : start + length]
            elif kind == BLK_OUT and fits and not self.read_only:
                status = BLK_OK
                self.disk[start : start + length] = given[16:]
            elif kind == BLK_GET_ID:
                status, data = BLK_OK, self.serial[:room]
            elif kind == BLK_FLUSH and self.accepted & F_FLUSH:
                status = BLK_OK  # the disk is memory: nothing is volatile
            elif kind not in (BLK_IN, BLK_OUT):
                status = BLK_UNSUPP
        self.scatter(writable, data)
        last, length = [piece for piece in writable if piece[1]][-1]
        self.memory[last + length - 1 : last + length] = status
        return room + 1 if len(data) == room else len(data)

    def notify(self):
        """Serves everything that is available; returns the interrupts, of 'queue' and 'config'."""
        live = DRIVER_OK | FEATURES_OK
        if not self.enabled or self.status & (live | NEEDS_RESET) != live:
            return []
        interrupts = []
        try:
            self.inside(self.desc, 16 * self.size)
            self.inside(self.avail, 4 + 2 * self.size)
            self.inside(self.used, 4 + 8 * self.size)
            (end,) = self.load("<H", self.avail + 2)
            if (end - self.next_avail) & 0xFFFF > self.size:
                raise Unfollowable("more available than the queue holds")
            while self.next_avail != end:
                (head,) = self.load("<H", self.avail + 4 + 2 * (self.next_avail % self.size))
                readable, writable = self.follow(head)
                if not any(length for _, length in writable):
                    raise Unfollowable("no place for the status")
                length = self.serve(readable, writable)
                struct.pack_into("<II", self.memory, self.used + 4 + 8 * (self.next_used % self.size), head, length)
                self.next_used = (self.next_used + 1) & 0xFFFF
                struct.pack_into("<H", self.memory, self.used + 2, self.next_used)  # the index publishes the element
                self.next_avail = (self.next_avail + 1) & 0xFFFF
                interrupts = ["queue"]
        except Unfollowable:
            self.status |= NEEDS_RESET
            interrupts = [*interrupts, "config"]
        if "queue" in interrupts and self.load("<H", self.avail)[0] & AVAIL_NO_INTERRUPT:
            interrupts.remove("queue")
        return interrupts
