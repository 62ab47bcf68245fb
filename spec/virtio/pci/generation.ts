// The configuration generation against the configuration bytes read: when a changed value must come with a changed generation.
// VIRTIO 1.4, Common configuration structure layout: judged where the change surely came after the generation was last read.

export interface Track {
  tick: number;
  /** Generation as last read, and when. */
  value: number | undefined;
  readAt: number;
  /** Configuration bytes as last read, and when. */
  readonly bytes: Map<number, { readonly value: number; readonly at: number }>;
  /** The host last changed the configuration then. */
  changedAt: number;
  /** A byte was read changed since the generation was last read, and the change is younger than that read. */
  stale: boolean;
}
export const newTrack = (): Track => ({ tick: 0, value: undefined, readAt: -1, bytes: new Map(), changedAt: -1, stale: false });

/** A configuration value was read. */
export const readBytes = (t: Track, offset: number, width: number, value: number): void => {
  t.tick++;
  for (let i = 0; i < width; i++) {
    const byte = Math.floor(value / 256 ** i) % 256;
    const before = t.bytes.get(offset + i);
    if (before && before.value !== byte && t.value !== undefined && Math.max(before.at, t.changedAt) >= t.readAt) t.stale = true;
    t.bytes.set(offset + i, { value: byte, at: t.tick });
  }
};
/** The generation was read. */
export const readGeneration = (t: Track, value: number): void => {
  t.tick++;
  t.value = value;
  t.readAt = t.tick;
  t.stale = false;
};
/** The host changed the device: what follows is younger than the generation read so far. */
export const hostChanged = (t: Track): void => {
  t.tick++;
  t.changedAt = t.tick;
};
/** The driver wrote a configuration byte: a change of it is its own. */
export const driverWrote = (t: Track): void => t.bytes.clear();
export const forget = (t: Track): void => {
  t.bytes.clear();
  t.value = undefined;
  t.stale = false;
};
