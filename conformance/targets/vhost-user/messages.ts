// The vhost-user messages that this front end sends, as bytes. QEMU, docs/interop/vhost-user.rst, "Message Specification"
// and "Front-end message types": header of request, flags and size, 32 bits each, then the payload, all little-endian.

export const request = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  SET_MEM_TABLE: 5,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
} as const;
export type RequestName = keyof typeof request;

export const headerSize = 12;
/** VHOST_USER_MAX_CONFIG_SIZE of QEMU and libvhost-user. */
export const configSizeMax = 256;
/** Bits of GET_FEATURES that belong to vhost and vhost-user, never to the virtio device. */
export const VHOST_F_LOG_ALL: bigint = 1n << 26n;
export const VHOST_USER_F_PROTOCOL_FEATURES: bigint = 1n << 30n;
export const VHOST_USER_PROTOCOL_F_MQ: bigint = 1n << 0n;
export const VHOST_USER_PROTOCOL_F_CONFIG: bigint = 1n << 9n;

const version = 1;

const message = (name: RequestName, payload: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(headerSize + payload.length);
  bytes.writeUInt32LE(request[name], 0);
  bytes.writeUInt32LE(version, 4);
  bytes.writeUInt32LE(payload.length, 8);
  payload.copy(bytes, headerSize);
  return bytes;
};

const nothing = Buffer.alloc(0);
/** A request without payload; SET_OWNER takes none either. */
export const bare = (name: RequestName): Buffer => message(name, nothing);

export const u64 = (name: RequestName, value: bigint): Buffer => {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(value);
  return message(name, payload);
};

/** A vring state: queue index and a number; for the descriptors of kick and call the index stands alone in a u64. */
export const vringState = (name: RequestName, queue: number, value: number): Buffer => {
  const payload = Buffer.alloc(8);
  payload.writeUInt32LE(queue, 0);
  payload.writeUInt32LE(value, 4);
  return message(name, payload);
};

/** Ring addresses in the front end's own address space. */
export const vringAddress = (queue: number, desc: bigint, used: bigint, avail: bigint): Buffer => {
  const payload = Buffer.alloc(40);
  payload.writeUInt32LE(queue, 0);
  payload.writeBigUInt64LE(BigInt.asUintN(64, desc), 8);
  payload.writeBigUInt64LE(BigInt.asUintN(64, used), 16);
  payload.writeBigUInt64LE(BigInt.asUintN(64, avail), 24);
  return message('SET_VRING_ADDR', payload);
};

/** One region: guest memory at guest-physical address 0, offset 0 of the file that travels with it. */
export const memoryTable = (size: number, userAddress: bigint): Buffer => {
  const payload = Buffer.alloc(8 + 32);
  payload.writeUInt32LE(1, 0);
  payload.writeBigUInt64LE(BigInt(size), 16);
  payload.writeBigUInt64LE(userAddress, 24);
  return message('SET_MEM_TABLE', payload);
};

/** The first `size` bytes of configuration space; libvhost-user ignores any other offset than 0. */
export const getConfig = (size: number): Buffer => {
  const payload = Buffer.alloc(12 + size);
  payload.writeUInt32LE(size, 4);
  return message('GET_CONFIG', payload);
};
/** Flags 0: written by the driver, not by a migration. */
export const setConfig = (at: number, bytes: Uint8Array): Buffer => {
  const payload = Buffer.alloc(12 + bytes.length);
  payload.writeUInt32LE(at, 0);
  payload.writeUInt32LE(bytes.length, 4);
  payload.set(bytes, 12);
  return message('SET_CONFIG', payload);
};
/** Offset, size and flags precede the bytes in both directions. */
const configHeaderSize = 12;
/** The bytes of an answer to GET_CONFIG, on their own; undefined where there are fewer. */
export const configIn = (reply: Buffer, size: number): Buffer | undefined =>
  reply.length < configHeaderSize + size ? undefined : Buffer.from(reply.subarray(configHeaderSize, configHeaderSize + size));
