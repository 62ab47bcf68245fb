// A vt-d choice with its values abstracted to classes, for the signatures of findings; and its simpler variants, for minimizing.

import type { VtdChoice } from './choices.ts';

export const shapeOf = (c: VtdChoice): string => {
  switch (c.op) {
    case 'map':
      return `map ${['4K', '2M', '1G'][c.size] ?? ''} ${c.how}`;
    case 'unmap':
    case 'remap':
    case 'protect':
    case 'resize':
      return `${c.op} ${c.how}`;
    case 'attach':
      return `attach ${c.type} ${c.how}`;
    case 'detach':
      return `detach ${c.how}`;
    case 'spoil':
      return `spoil-${c.spot} ${c.how}`;
    case 'read':
    case 'write':
    case 'atomic':
      return `${c.op} ${c.load}`;
    case 'message':
      return `message ${['remappable', 'with-subhandle', 'compatibility'][c.form] ?? ''}`;
    case 'look':
      return `look ${c.at}`;
    case 'event':
      return `event ${c.masked ? 'masked' : 'unmasked'}`;
    case 'command':
      return `command-${c.what}`;
    case 'scene':
      return `scene-${c.what}`;
    case 'sweep':
      return `sweep-${c.what}`;
    case 'queue':
      return `queue-${c.fault}`;
    case 'violate':
      return `violate ${c.duty}`;
    default:
      return c.op;
  }
};

const plainest: Readonly<Record<string, unknown>> = { how: 'right', load: 'word', type: 'translate' };
/** One field at a time to its plainest value. */
export const simpler = (c: VtdChoice): readonly VtdChoice[] => {
  if (c.op === 'violate') return Array.from({ length: Math.min(c.n, 8) }, (_, n) => ({ ...c, n }));
  return Object.entries(c).flatMap(([key, value]): readonly VtdChoice[] => {
    if (typeof value === 'number' && value !== 0)
      return value > 2
        ? [
            { ...c, [key]: 0 },
            { ...c, [key]: value >> 1 },
          ]
        : [{ ...c, [key]: 0 }];
    const plain = plainest[key];
    return plain !== undefined && plain !== value ? [{ ...c, [key]: plain } as VtdChoice] : [];
  });
};
