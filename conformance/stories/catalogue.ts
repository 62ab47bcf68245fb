// The registration of stories: one line an area.

import { instructionStories } from './instructions.ts';
import type { Story } from './story.ts';
import { blkStories } from './virtio-blk.ts';
import { splitStories } from './virtio-split.ts';
import { transportStories } from './virtio-transport.ts';
import { vtdStories } from './vt-d.ts';

export const stories: readonly Story[] = [...splitStories, ...blkStories, ...transportStories, ...instructionStories, ...vtdStories];
