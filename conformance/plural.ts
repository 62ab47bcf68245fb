// A count with its noun, for people: `1 program`, `2 programs`. Only nouns whose plural is an s.

export const plural = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? '' : 's'}`;
