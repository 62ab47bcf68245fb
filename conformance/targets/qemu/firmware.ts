// A 64 KiB firmware image whose processor halts for ever with interrupts off: the machine runs, and the bus is ours alone.
// Intel SDM, First Instruction Executed: the reset vector is 16 bytes below the top of the image.

const cli = 0xfa;
const hlt = 0xf4;
const jump = [0xeb, 0xfd]; // jmp to the hlt before it

export function haltingFirmware(): Uint8Array {
  const image = new Uint8Array(0x10000).fill(hlt);
  image.set([cli, hlt, ...jump], image.length - 16);
  return image;
}
