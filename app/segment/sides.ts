import { keep, recall } from "../shared/recall.ts";
import type { Store } from "./state.ts";

const key = "lunet-sides";

/** Whether the reader looks at slices from the feet, as radiologists do: the patient's left is then on the right. */
export const startsFromFeet = (): boolean => recall(key) === "feet";

/** Changes sides, also for the next visit. */
export function changeSides(store: Store): void {
  const fromFeet = !store.get().fromFeet;
  keep(key, fromFeet ? "feet" : "head");
  store.set({ fromFeet });
}
