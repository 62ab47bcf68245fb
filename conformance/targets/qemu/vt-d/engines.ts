// Devices that make exactly one memory request when told to, while their registers are written, and ignore how it went.
// Rocker: test DMA and test interrupt. Intel HDA 1.0a: CORB. SD Host Controller 3.0: SDMA of one block, with a card that keeps its last block.

export interface Refused {
  readonly refused: string;
}
/** Commands that make a request; the answers to the last ones are what it fetched. */
export interface Access {
  readonly commands: readonly string[];
  readonly fetched?: (answers: readonly string[]) => Uint8Array;
}
const refused = (what: string): Refused => ({ refused: what });
const low = (at: bigint): bigint => at & 0xffff_ffffn;
const written = Buffer.alloc(32);
/** One command that writes doublewords to registers that follow each other: each is an access of its own, in ascending order. */
const block = (at: number, ...dwords: readonly number[]): string => {
  for (const [i, value] of dwords.entries()) written.writeUInt32LE(value, 4 * i);
  return `write ${at} ${4 * dwords.length} 0x${written.toString('hex', 0, 4 * dwords.length)}`;
};
const dwordOf = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0;

interface FillEngine {
  /** Any address and up to 64 KiB, but only bytes of 0 or of 0x96. */
  fill(at: bigint, bytes: Uint8Array): Access | Refused;
  /** Any aligned doubleword: a message to an address of memory. */
  dword(at: bigint, bytes: Uint8Array): Access | Refused;
  message(address: bigint, data: number): Access;
}
/** Rocker's registers and its MSI-X table; vector 0 is ours, the others stay masked. */
export const fillEngine = (registers: number, table: number): FillEngine => {
  const kinds = [
    { byte: 0x00, control: 1 },
    { byte: 0x96, control: 2 },
  ];
  const message = (address: bigint, data: number): Access => ({
    commands: [block(table, Number(low(address)), Number(address >> 32n), data, 0), `writel ${registers + 0x20} 0`],
  });
  return {
    fill: (at, bytes) => {
      const kind = kinds.find((k) => bytes.every((b) => b === k.byte));
      if (kind === undefined || bytes.length === 0 || bytes.length > 0xffff)
        return refused(`${bytes.length} bytes that are neither all 0x00 nor all 0x96`);
      return {
        // The address is a quadword, and so would size and control be, were they written at once.
        commands: [block(registers + 0x28, Number(low(at)), Number(at >> 32n), bytes.length), `writel ${registers + 0x34} ${kind.control}`],
      };
    },
    dword: (at, bytes) => {
      if (bytes.length !== 4 || at % 4n !== 0n)
        return refused(`${bytes.length} bytes at 0x${at.toString(16)}: above 4 GiB only fills and aligned doublewords`);
      return message(at, dwordOf(bytes, 0));
    },
    message,
  };
};

interface ListEngine {
  setUp(): readonly string[];
  /** Any aligned doubleword; nobody sees what it was. */
  read(at: bigint, length: number): Access | Refused;
}
/** The command ring of an HD audio controller without codecs: its entries are fetched one by one and come to nothing. */
export const listEngine = (registers: number): ListEngine => ({
  setUp: () => [`writel ${registers + 0x08} 1`, `writew ${registers + 0x5a} 1`, `writeb ${registers + 0x4c} 2`],
  read: (at, length) => {
    if (length !== 4 || at % 4n !== 0n) return refused(`${length} bytes from 0x${at.toString(16)}: above 4 GiB only aligned doublewords`);
    const base = at & ~0x7fn;
    const entry = Number(at - base) / 4;
    // The ring's indices first, stopped, so that the base never counts with old ones.
    return {
      commands: [
        `writeb ${registers + 0x4c} 0`,
        block(registers + 0x40, Number(low(base)), Number(base >> 32n)),
        `writew ${registers + 0x4a} ${(entry - 1) & 0xff}`,
        `writew ${registers + 0x48} ${entry}`,
        `writeb ${registers + 0x4c} 2`,
      ],
    };
  },
});

interface CardEngine {
  /** Brings the card to the transfer state, once `select` was run too. */
  setUp(): readonly string[];
  /** The relative address that the card took is the answer to the last of `setUp`. */
  select(answer: string | undefined): readonly string[];
  /** Up to 512 bytes below 4 GiB. */
  read(at: bigint, length: number): Access | Refused;
  write(at: bigint, bytes: Uint8Array): Access | Refused;
}
const SD = {
  address: 0x00,
  block: 0x04,
  argument: 0x08,
  mode: 0x0c,
  response: 0x10,
  data: 0x20,
  power: 0x29,
  clock: 0x2c,
  statusEnable: 0x34,
} as const;
const response = { none: 0, long: 1, short: 2 } as const;
const withData = 0x38 | response.short;
/** Transfer mode: DMA enable, block count enable, from card to host. */
const MODE = { dma: 1, count: 2, toHost: 0x10 } as const;

/** A card whose disk neither stores nor clears: a block read from it is the block last written to it. */
export const cardEngine = (registers: number): CardEngine => {
  let blockLength = 0;
  const coded = (index: number, flags: number, mode: number): number => index * 0x100_0000 + (flags << 16) + mode;
  const command = (index: number, argument: number, flags: number): string =>
    block(registers + SD.argument, argument, coded(index, flags, 0));
  /** A command that moves one block; `at`: to or from memory. The command is the last of the registers, and starts it. */
  const move = (index: number, length: number, mode: number, at?: bigint): string => {
    const rest = [0x1_0000 + length, 0, coded(index, withData, mode | MODE.count)];
    return at === undefined ? block(registers + SD.block, ...rest) : block(registers + SD.address, Number(at), ...rest);
  };
  const setLength = (length: number): readonly string[] => {
    if (length === blockLength) return [];
    blockLength = length;
    return [command(16, length, response.short)];
  };
  const fits = (at: bigint, length: number): Refused | undefined =>
    length < 1 || length > 512 || at + BigInt(length) > 2n ** 32n
      ? refused(`${length} bytes at 0x${at.toString(16)}: up to 512 below 4 GiB`)
      : undefined;
  const reads = (length: number): readonly string[] =>
    Array.from({ length: Math.ceil(length / 4) }, (_, i) => 4 * i).flatMap((i) =>
      i + 4 <= length ? [`readl ${registers + SD.data}`] : Array.from({ length: length - i }, (_, k) => `readb ${registers + SD.data + k}`),
    );
  const writes = (bytes: Uint8Array): readonly string[] => {
    const commands: string[] = [];
    for (let i = 0; i < bytes.length; i += 4) {
      if (i + 4 <= bytes.length) commands.push(`writel ${registers + SD.data} ${dwordOf(bytes, i)}`);
      else for (let k = i; k < bytes.length; k++) commands.push(`writeb ${registers + SD.data + (k & 3)} ${bytes[k]}`);
    }
    return commands;
  };
  const collected = (length: number, answers: readonly string[]): Uint8Array => {
    const bytes = new Uint8Array(length);
    const whole = length >> 2;
    for (const [i, answer] of answers.slice(-reads(length).length).entries()) {
      const value = Number(answer);
      if (i >= whole) bytes[4 * whole + (i - whole)] = value;
      else for (let k = 0; k < 4; k++) bytes[4 * i + k] = (value >>> (8 * k)) & 0xff;
    }
    return bytes;
  };
  return {
    setUp: () => {
      blockLength = 0;
      return [
        `writeb ${registers + SD.power} 15`,
        `writew ${registers + SD.clock} 5`,
        `writel ${registers + SD.statusEnable} 0xffffffff`,
        command(0, 0, response.none),
        command(8, 0x1aa, response.short),
        command(55, 0, response.short),
        command(41, 0x00ff_8000, response.short),
        command(2, 0, response.long),
        command(3, 0, response.short),
        `readl ${registers + SD.response}`,
      ];
    },
    select: (answer) => [command(7, Number(BigInt(answer ?? 0) & 0xffff_0000n), response.short)],
    read: (at, length) => {
      const cannot = fits(at, length);
      if (cannot !== undefined) return cannot;
      const commands = [...setLength(length), move(24, length, MODE.dma, at), move(17, length, MODE.toHost), ...reads(length)];
      return { commands, fetched: (answers) => collected(length, answers) };
    },
    write: (at, bytes) => {
      const cannot = fits(at, bytes.length);
      if (cannot !== undefined) return cannot;
      return {
        commands: [
          ...setLength(bytes.length),
          move(24, bytes.length, 0),
          ...writes(bytes),
          move(17, bytes.length, MODE.dma | MODE.toHost, at),
        ],
      };
    },
  };
};
