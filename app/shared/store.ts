/** A page's one state: read it, change parts of it, hear of changes. */
export interface Store<State> {
  get(): State;
  set(change: Partial<State>): void;
  /** Calls at once and after every change. */
  watch(listener: (state: State, before: State) => void): void;
}

export function createStore<State>(initial: State): Store<State> {
  let state = initial;
  const listeners: ((state: State, before: State) => void)[] = [];
  return {
    get: () => state,
    set(change) {
      const before = state;
      state = { ...state, ...change };
      for (const listener of listeners) listener(state, before);
    },
    watch(listener) {
      listeners.push(listener);
      listener(state, state);
    },
  };
}
