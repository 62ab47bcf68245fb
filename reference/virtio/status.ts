// Decides what writing the device status field does, and how the device says that only a reset helps.
// VIRTIO 1.4: Device Status Field; Device Reset; Device Initialization.

const ACKNOWLEDGE = 1;
const DRIVER = 2;
export const DRIVER_OK = 4;
export const FEATURES_OK = 8;
const DEVICE_NEEDS_RESET = 64;
const FAILED = 128;

/** The bits a driver may set here. SUSPEND (16) is not offered; bit 5 is reserved; DEVICE_NEEDS_RESET belongs to the device. */
const DRIVER_BITS = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED;

/** The status field, and what its changes set in motion. */
export interface StatusField {
  status: number;
  /** Everything else returns to its initial state. */
  readonly whenReset: () => void;
  /** Whether the accepted features are acceptable. */
  readonly featuresAgreed: () => boolean;
  /** The accepted features hold from here on. */
  readonly whenNegotiated: () => void;
  /** The device is live. */
  readonly whenLive: () => void;
  /** Sends a configuration change notification. */
  readonly configurationChanged: () => void;
}

export const writeStatus = (field: StatusField, value: number): void => {
  // Device Reset: writing 0 resets, and status reads 0 when that is done.
  if (value === 0) {
    field.status = 0;
    field.whenReset();
    return;
  }
  // Device Status Field: a driver that gave up resets before it tries again.
  if ((field.status & FAILED) !== 0) return;
  // A driver clears no bit; a write that would is not obeyed in part.
  const set = value & DRIVER_BITS;
  if ((field.status & DRIVER_BITS & ~set) !== 0) return;
  const added = set & ~field.status;
  field.status |= added & (ACKNOWLEDGE | DRIVER | FAILED);
  // Device Initialization, step 5: FEATURES_OK stands only for a subset the device supports.
  if ((added & FEATURES_OK) !== 0 && field.featuresAgreed()) {
    field.status |= FEATURES_OK;
    field.whenNegotiated();
  }
  // Step 8: no device goes live without negotiated features.
  if ((added & DRIVER_OK) === 0) return;
  if ((field.status & FEATURES_OK) === 0) return;
  field.status |= DRIVER_OK;
  field.whenLive();
};

/** Device Status Field: an error that needs a reset shows in status and, once live, by a configuration change notification. */
export const needReset = (field: StatusField): void => {
  if ((field.status & DEVICE_NEEDS_RESET) !== 0) return;
  field.status |= DEVICE_NEEDS_RESET;
  if ((field.status & DRIVER_OK) !== 0) field.configurationChanged();
};

/** Whether the device may look at its queues. */
export const live = (field: StatusField): boolean => {
  if ((field.status & DRIVER_OK) === 0) return false;
  if ((field.status & DEVICE_NEEDS_RESET) !== 0) return false;
  if ((field.status & FAILED) !== 0) return false;
  return true;
};
