/** A buffer that is planned: made once the whole program is known. */
export interface Slot {
  label: string;
  bytes: number;
}

export interface MemoryPlan {
  slots: Slot[];
  /** A buffer of its own. */
  keep(label: string, bytes: number): Slot;
  /** A buffer that may have been used and released before, or is used again after {@link release}. */
  take(label: string, bytes: number): Slot;
  release(slot: Slot): void;
  /** A buffer for what lives within one operation, as large as the largest asks for; index 0, 1, ... for several at a time. */
  scratch(index: number, bytes: number): Slot;
}

/** Plans buffers in the order of the program: the smallest free one that fits, else the largest free one grown, else a new one. */
export function createMemoryPlan(): MemoryPlan {
  const slots: Slot[] = [];
  const free: Slot[] = [];
  const scratches: Slot[] = [];
  const whole = (bytes: number): number => Math.max(16, Math.ceil(bytes / 16) * 16);
  const keep = (label: string, bytes: number): Slot => {
    const slot = { label, bytes: whole(bytes) };
    slots.push(slot);
    return slot;
  };
  return {
    slots,
    keep,
    take(label, bytes) {
      free.sort((a, b) => a.bytes - b.bytes);
      const fitting = free.findIndex((slot) => slot.bytes >= bytes);
      const [slot] = free.splice(fitting < 0 ? free.length - 1 : fitting, 1);
      if (!slot) return keep(label, bytes);
      slot.bytes = Math.max(slot.bytes, whole(bytes));
      return slot;
    },
    release: (slot) => {
      free.push(slot);
    },
    scratch(index, bytes) {
      scratches[index] ??= keep(`scratch ${index}`, 0);
      scratches[index].bytes = Math.max(scratches[index].bytes, whole(bytes));
      return scratches[index];
    },
  };
}
